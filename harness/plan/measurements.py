"""The steps that measure a row, benchmark by benchmark."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.api import Sampling
from harness.common.suggest import nearest
from harness.common.text import slug
from harness.evaluate import benchmark_files, questions
from harness.models import hub
from harness.plan import judges, signal_steps
from harness.plan.context import Setting
from harness.plan.lineage import STUDENT, TEACHER, Lineage
from harness.store.step import Part, Step
from harness.suite.benchmarks import BASELINE, Compared, Computed, ExternalModel, Judged
from harness.suite.loading import configured

Measures = dict[str, Step]


class NotRun(Exception):
    """Why a benchmark has no number for a row."""


@dataclass(frozen=True)
class Cell:
    """One row: what answers, the steps that measure it by benchmark, and why a benchmark has none.

    `source` is a checkpoint, or what answers without one; `lineage` is None for a row that was not trained
    here.
    """

    pair: str
    dataset: str
    method: str
    seed: int
    source: Step | ExternalModel
    setting: Setting
    lineage: Lineage | None
    measures: dict[str, dict[str, Step]] = field(default_factory=dict)
    missing: dict[tuple[str, str], str] = field(default_factory=dict)  # (benchmark, reference) -> reason

    @property
    def model(self) -> Step:
        """The checkpoint of a row; NotRun where it has none."""
        if isinstance(self.source, Step):
            return self.source
        raise NotRun("no checkpoint: it answers by itself")

    @property
    def trained(self) -> Lineage:
        """The lineage of a row; NotRun where it was not trained here."""
        if self.lineage is None:
            raise NotRun("not trained here")
        return self.lineage


def measure(cell: Cell, rows: set[str], done: Callable[[Step], bool]) -> None:
    """Fill in a cell's measures, or the reason why there are none."""
    for benchmark, spec in cell.setting.suite.benchmarks.named().items():
        try:
            cell.measures[benchmark] = MEASURES[benchmark](cell, benchmark, spec, rows, done)
        except NotRun as reason:
            cell.missing[benchmark, ""] = str(reason)


def answers(cell: Cell, benchmark: str, spec: Judged | Computed, source: Step | ExternalModel) -> Step:
    """The answers of a checkpoint, or of what answers without one, to a benchmark's questions."""
    setting = cell.setting
    settings = {"benchmark": benchmark} | _asked(spec)
    inputs: dict[str, Step | Part] = {"data": _data(setting, benchmark, spec)}
    if isinstance(source, Step):
        settings |= {"template": setting.suite.chat_template, "seed": cell.seed}
        inputs["model"] = source
        label, run, context = source.label, "run_model", setting.how
    elif source.url:
        endpoint = judges.endpoint(source)
        settings |= {"endpoint": {"model": source.model, "seed": cell.seed}}
        label, run, context = str(source.model), "run_endpoint", {**setting.how, "endpoint": endpoint}
    else:
        kind = "control" if source.control else "answers"
        settings |= {kind: source.control or source.answers}
        label, run = str(settings[kind]), "run_control" if source.control else "run_stored"
        context = setting.how
    label, version = f"{benchmark} answers of {label}", 3 if run == "run_model" else 2
    return Step(
        "answers", slug(label), label, settings, inputs, f"harness.evaluate.answers:{run}", version, context
    )


def _asked(spec: Judged | Computed) -> dict[str, Any]:
    """What of a benchmark's settings decides which questions are asked, and how."""
    asked = {"max_tokens": spec.max_tokens, "limit": spec.limit}
    version = getattr(spec, "version", None)
    return asked | ({"version": version} if version else {})


def _data(setting: Setting, benchmark: str, spec: Judged | Computed) -> Step | Part:
    name = questions.DATA.get(benchmark, "")
    path = spec.data or hub.stand_in(name, lambda: str(benchmark_files.find(name)))
    return setting.folder(path, "data")


def _judged(cell: Cell, benchmark: str, spec: Any, rows: set[str], done: Callable[[Step], bool]) -> Measures:
    """Answers and judgments of a judged benchmark."""
    if benchmark == "rule":
        given = answers(
            cell, "alpaca-eval", spec.model_copy(update={"data": f"{spec.data}/alpaca_eval"}), cell.source
        )
    else:
        given = answers(cell, benchmark, spec, cell.source)
    setting = cell.setting
    judge = judges.of(setting, spec.judge)
    settings = {"benchmark": benchmark, **_asked(spec), "judge": judge.settings}
    settings |= {k: getattr(spec, k) for k in ("order", "references") if hasattr(spec, k)}
    inputs = {"answers": given, "data": _data(setting, benchmark, spec), **judge.inputs}

    def judgments(against: str, more: dict[str, Step | Part]) -> Step:
        label = f"{benchmark} judgments of {cell.method}{against} by {spec.judge}"
        run, how = "harness.evaluate.judgments:run", {**setting.how, **judge.context}
        return Step("judgments", slug(label), label, settings, {**inputs, **more}, run, 2, how)

    if not isinstance(spec, Compared):
        return {"answers": given, "judgments": judgments("", {})}
    measures = {"answers": given}
    for row in spec.reference:
        of_reference = answers(cell, benchmark, spec, _reference(cell, benchmark, row))
        if row not in {*rows, BASELINE} and not done(of_reference):
            cell.missing[benchmark, row] = f"no answers of the reference {row}"
            continue
        measures[f"judgments.{row}"] = judgments(f" against {row}", {"reference": of_reference})
    return measures


def _whose_answers(benchmark: str, spec: Judged) -> tuple[str, Judged]:
    """The rule score reads AlpacaEval's answers; every other benchmark has its own."""
    if benchmark != "rule":
        return benchmark, spec
    return "alpaca-eval", spec.model_copy(update={"data": f"{spec.data}/alpaca_eval"})


def _reference(cell: Cell, benchmark: str, row: str) -> Step | ExternalModel:
    """What a comparison is with: a row of the suite, or the benchmark's own baseline."""
    setting = cell.setting
    if row == BASELINE:
        return ExternalModel(answers=BASELINE)
    if row in setting.suite.models:
        return outside(setting, row)
    known = [*setting.suite.models, BASELINE]
    if cell.lineage is None and row in {*setting.registry, TEACHER, STUDENT}:
        raise NotRun(f"the reference {row} is trained for another pair of models")
    if cell.lineage is None or row not in {*setting.registry, TEACHER, STUDENT}:
        known += [TEACHER, STUDENT, *setting.suite.methods]
        raise ValueError(f"benchmarks.{benchmark}.reference: no row {row!r}; {nearest(row, known)}")
    return cell.lineage.result(row, cell.seed)


def outside(setting: Setting, name: str) -> Step | ExternalModel:
    """What answers for a row of the suite's `models`: a checkpoint as a step, or what needs none."""
    spec = setting.suite.models[name]
    if spec.path is None:
        return spec
    step = setting.folder(spec.path, "model")
    assert isinstance(step, Step)
    return step


def _computed(
    cell: Cell, benchmark: str, spec: Any, rows: set[str], done: Callable[[Step], bool]
) -> Measures:
    """Answers that need no judge: they are right or wrong."""
    given = answers(cell, benchmark, spec, cell.source)
    settings = {"benchmark": benchmark, **_asked(spec), "judge": {"kind": "none"}}
    inputs = {"answers": given, "data": _data(cell.setting, benchmark, spec)}
    label, run = f"{benchmark} of {cell.method}", "harness.evaluate.judgments:run"
    return {
        "answers": given,
        "judgments": Step("judgments", slug(label), label, settings, inputs, run, 2, cell.setting.how),
    }


def _openllm(cell: Cell, benchmark: str, spec: Any, rows: set[str], done: Callable[[Step], bool]) -> Measures:
    setting, model = cell.setting, cell.model
    settings = {k: v for k, v in spec.model_dump(mode="json").items() if k not in ("include", "data")}
    settings["template"] = setting.suite.chat_template
    inputs: dict[str, Step | Part] = {"model": model}
    for key in ("include", "data"):
        if path := getattr(spec, key):
            inputs[key] = setting.folder(path, "data")
    label, run = f"{benchmark} of {model.label}", "harness.evaluate.openllm:run"
    return {"results": Step("openllm", slug(benchmark), label, settings, inputs, run, 2, setting.how)}


def _implicit_reward(
    cell: Cell, benchmark: str, spec: Any, rows: set[str], done: Callable[[Step], bool]
) -> Measures:
    """Log-probs of the held-out pairs under a row's model and under what it started from."""
    lineage = cell.trained
    if cell.method == STUDENT:
        raise NotRun("the Student is its own reference")
    reference = lineage.teacher_ref if cell.method == TEACHER else lineage.student
    if reference.id == cell.model.id:
        raise NotRun("the suite has no DPO stage for the teacher")
    pairs = {"pairs": lineage.validation_pairs}
    return pairs | {
        f"{who}.{side}": signal_steps.signals(
            cell.setting, model, f"validation {side}", Part(lineage.validation_pairs, side), "logps"
        )
        for who, model in (("policy", cell.model), ("start", reference))
        for side in ("chosen", "rejected")
    }


def _teacher_reward(
    cell: Cell, benchmark: str, spec: Any, rows: set[str], done: Callable[[Step], bool]
) -> Measures:
    """Greedy answers to the held-out prompts, and both teachers' log-probs of them."""
    lineage = cell.trained
    said = _greedy(lineage, cell.model, spec.max_tokens)
    name = f"answers of {cell.model.label}"
    dtype = cell.setting.suite.teacher_dtype
    return {
        "rollouts": said,
        "teacher": signal_steps.signals(cell.setting, lineage.teacher, name, said, "logps", dtype),
        "teacher_ref": signal_steps.signals(cell.setting, lineage.teacher_ref, name, said, "logps", dtype),
    }


def _reward(cell: Cell, benchmark: str, spec: Any, rows: set[str], done: Callable[[Step], bool]) -> Measures:
    """A reward model's scores of greedy answers to the held-out prompts and of the data's chosen responses,
    and those of the checkpoints on the way where one was selected.
    """
    lineage = cell.trained
    chosen = Part(lineage.validation_pairs, "chosen")
    said = _greedy(lineage, cell.model, spec.max_tokens)
    held_out = lineage.validation_pairs, lineage.base("student")
    found = {
        "rewards": signal_steps.rewards(cell.setting, spec.model, said, said.label, *held_out),
        "reference": signal_steps.rewards(cell.setting, spec.model, chosen, "validation chosen", *held_out),
    }
    selection = cell.setting.suite.selection
    if selection is None or cell.model.kind != "select":
        return found
    on_the_way = {n: s for n, s in cell.model.sources.items() if n.startswith("rewards.")}
    of_curve = signal_steps.rewards(
        cell.setting, selection.model, chosen, "validation chosen", *held_out, selection.dtype
    )
    return found | {"selected": cell.model, "curve": of_curve} | on_the_way


def _greedy(lineage: Lineage, model: Step, max_tokens: int) -> Step:
    """Greedy answers to the held-out prompts."""
    prompts, greedy = Part(lineage.validation_pairs, "chosen"), Sampling(0.0, 1.0, max_tokens)
    return signal_steps.rollouts(lineage.setting, model, prompts, drop=False, sampling=greedy)


def _objective(
    cell: Cell, benchmark: str, spec: Any, rows: set[str], done: Callable[[Step], bool]
) -> Measures:
    """The method's own loss on the held-out pairs, with rollouts and signals of their own."""
    lineage, setting = cell.trained, cell.setting
    if cell.method in (TEACHER, STUDENT):
        return {}
    method = setting.registry[cell.method]
    hp, _ = configured(setting.suite, method)
    inputs = lineage.views(method, hp, lineage.start(cell.method, cell.seed), lineage.validation_pairs)
    inputs = {**inputs, "after": cell.model}
    return {"objective": setting.objective(cell.model.label, method, hp, cell.seed, inputs)}


MEASURES: dict[str, Callable[..., Measures]] = {
    "mt-bench": _judged,
    "alpaca-eval": _judged,
    "alpaca-eval-2": _judged,
    "arena-hard": _judged,
    "rule": _judged,
    "openllm": _openllm,
    "openllm-v2": _openllm,
    "gsm8k-cot": _computed,
    "implicit-reward": _implicit_reward,
    "teacher-reward": _teacher_reward,
    "reward": _reward,
    "objective": _objective,
}
