"""What measuring a row takes: its answers, the judge's calls, and lm-eval's requests."""

from typing import Any

from harness.common.cost import BYTES, Cost, TextSize, Unknown, decoding_cost
from harness.evaluate import registry
from harness.forecast import judging_estimate
from harness.forecast.sizes import PlanSizes, table
from harness.models.prepare import WORLD
from harness.signals.rollouts import LONGEST
from harness.store.step import Part, Step
from harness.suite.measurement import Chosen


def answers(step: Step, sizes: PlanSizes) -> Cost:
    """Answers as long as the benchmark allows; those of an endpoint or a file take nothing of a device."""
    if "model" not in step.inputs:
        return Cost(assumed=("answers from elsewhere take nothing here",))
    settings, world = step.settings, sizes.suite.world
    declared = registry.declared(settings["benchmark"], step.context.get("benchmark_file"))
    known, data = declared.sizes, step.inputs["data"]
    count, notes = known.questions, [f"questions of {declared.name}: {known.questions}"]
    prompt = known.prompt
    if world and isinstance(data, Part) and data.step.kind == WORLD:
        count, prompt, notes = world.questions_in(data.folder), table("texts")["world"]["prompt"], []
    count = min(count, settings["limit"] or count) * known.turns
    most = settings["max_tokens"] or known.max_tokens
    text = TextSize(
        count, count * (prompt + most), count * most, (*notes, f"prompts of {prompt} tokens", LONGEST)
    )
    return decoding_cost(sizes.model(step.inputs["model"]), text, most, sizes.batch, 4.0 * text.answered)


def judgments(step: Step, sizes: PlanSizes) -> Cost:
    """Calls to an endpoint, and their price; a judge that is computed costs nothing."""
    chosen = _chosen(step, sizes)
    judge = sizes.suite.judges.get(chosen.settings.judged_by())
    if judge is None or judge.kind.endpoint is None:
        return Cost(work="judge")
    usage, who = judging_estimate.usage_of(chosen), step.settings["judge"]
    note = f"tokens of judging {chosen.declaration.name}: typical ones"
    if judge.kind.served:
        note = f"the time of {who['model']}, which is served here, is not in the estimate"
        return Cost(work="judge", calls=usage.calls, assumed=(note,))
    usd = judge.kind.usd(judge.settings, sizes.prices, usage)
    disk = 4.0 * usage.completion_tokens
    return Cost(work="judge", calls=usage.calls, usd=usd, disk=disk, assumed=(note,))


def _chosen(step: Step, sizes: PlanSizes) -> Chosen:
    """The benchmark of the suite that a step judges, which may have a name of its own there."""
    return sizes.suite.benchmarks.chosen[step.context.get("named", step.settings["benchmark"])]


def openllm(step: Step, sizes: PlanSizes) -> Cost:
    """lm-eval's passes, logits of every position; float32 unless the step says otherwise."""
    from benchmarks.openllm import tasks

    model, known = sizes.model(step.inputs["model"]), table("texts")["tasks"]
    passes = tokens = generated = 0.0
    for name in tasks.SETS.get(step.settings["tasks"][0], step.settings["tasks"]):
        task: dict[str, Any] | None = known["pocket"] if name.startswith("pocket") else known.get(name)
        if task is None:
            raise Unknown(f"requests of lm-eval's task {name}")
        share = min(1.0, 4 * (step.settings["limit"] or task["passes"]) / task["passes"])
        passes += share * task["passes"]
        tokens += share * task["passes"] * task["tokens"]
        generated += share * task["passes"] * task.get("generated", 0)
    batch, number = step.settings["batch_size"], BYTES[step.settings.get("dtype", "float32")]
    context = 1024 * batch * model.vocab * 4 * 2
    return Cost(
        work="forward",
        flops=2 * (model.body + model.head) * (tokens + generated),
        precision=step.settings.get("dtype", "float32"),
        tokens=round(tokens + generated),
        sequential=round((passes + generated) / batch),
        layers=model.layers,
        reads=model.parameters * number,
        loads=model.parameters * number,
        disk=300 * passes,
        memory=sizes.workers * (model.parameters * number + context),
        assumed=(*model.notes, "lm-eval's requests: passes and tokens of texts.yaml"),
    )
