"""What measuring a row takes: its answers, and the judge's calls."""

from harness.common.cost import Cost, TextSize, decoding_cost
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
