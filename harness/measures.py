"""The steps that measure a row, benchmark by benchmark."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.api import Sampling
from harness.benchmark_specs import Judged
from harness.lineage import STUDENT, TEACHER, Lineage
from harness.store import Part, Step
from harness.suite import configured

Measures = dict[str, Step]


class NotRun(Exception):
    """Why a benchmark has no number for a row."""


@dataclass(frozen=True)
class Cell:
    """One row: the checkpoint, the steps that measure it by benchmark, and why a benchmark has none."""

    pair: str
    dataset: str
    method: str
    seed: int
    model: Step
    lineage: Lineage
    measures: dict[str, dict[str, Step]] = field(default_factory=dict)
    missing: dict[tuple[str, str], str] = field(default_factory=dict)  # (benchmark, reference) -> reason


def measure(cell: Cell, rows: set[str], done: Callable[[Step], bool]) -> None:
    """Fill in a cell's measures, or the reason why there are none."""
    named = cell.lineage.setting.suite.benchmarks.named()
    for benchmark, spec in named.items():
        try:
            cell.measures[benchmark] = MEASURES[benchmark](cell, benchmark, spec, rows, done)
        except NotRun as reason:
            cell.missing[benchmark, ""] = str(reason)


def answers(cell: Cell, benchmark: str, spec: Judged, model: Step | None = None) -> Step:
    """A model's answers to a judged benchmark's questions."""
    setting, model = cell.lineage.setting, model or cell.model
    settings = {
        "benchmark": benchmark,
        "max_tokens": spec.max_tokens,
        "template": setting.suite.chat_template,
        "seed": cell.seed,
    }
    inputs = {"model": model, "data": setting.folder(spec.data, "data")}
    label = f"{benchmark} answers of {model.label}"
    return Step(
        "answers", benchmark, label, settings, inputs, "harness.evaluate:run_answers", context=setting.how
    )


def _judged(cell: Cell, benchmark: str, spec: Any, rows: set[str], done: Callable[[Step], bool]) -> Measures:
    """Answers and judgments of MT-Bench, AlpacaEval and the rule score (which reads AlpacaEval's answers)."""
    setting = cell.lineage.setting
    asked = "alpaca-eval" if benchmark == "rule" else benchmark
    given = answers(cell, asked, spec)
    settings: dict[str, Any] = {"benchmark": benchmark, "judge": spec.judge, "max_tokens": spec.max_tokens}
    inputs: dict[str, Step | Part] = {
        "answers": given,
        "data": setting.folder(spec.data, "data"),
        "judge": setting.world(),
    }
    run, label = "harness.evaluate:run_judgments", f"{benchmark} judgments of {cell.model.label}"
    if benchmark != "alpaca-eval":
        return {"answers": given, "judgments": Step("judgments", benchmark, label, settings, inputs, run)}

    settings["order"] = spec.order
    measures = {"answers": given}
    for row in spec.reference:
        if row not in {*setting.registry, TEACHER, STUDENT}:
            raise ValueError(f"benchmarks.alpaca-eval.reference: no row {row!r}")
        of_reference = answers(cell, benchmark, spec, cell.lineage.result(row, cell.seed))
        if row not in rows and not done(of_reference):
            cell.missing[benchmark, row] = f"no answers of the reference {row}"
            continue
        against = {**inputs, "reference": of_reference}
        label = f"{benchmark} judgments of {cell.model.label} against {row}"
        measures[f"judgments.{row}"] = Step("judgments", benchmark, label, settings, against, run)
    return measures


def _openllm(cell: Cell, benchmark: str, spec: Any, rows: set[str], done: Callable[[Step], bool]) -> Measures:
    setting = cell.lineage.setting
    settings = {k: v for k, v in spec.model_dump(mode="json").items() if k not in ("include", "data")}
    inputs: dict[str, Step | Part] = {"model": cell.model}
    for key in ("include", "data"):
        if path := getattr(spec, key):
            inputs[key] = setting.folder(path, "data")
    label = f"openllm of {cell.model.label}"
    run = "harness.evaluate:run_openllm"
    return {"results": Step("openllm", "openllm", label, settings, inputs, run, context=setting.how)}


def _implicit_reward(
    cell: Cell, benchmark: str, spec: Any, rows: set[str], done: Callable[[Step], bool]
) -> Measures:
    """Log-probs of the held-out pairs under a row's model and under what it started from."""
    lineage = cell.lineage
    if cell.method == STUDENT:
        raise NotRun("the Student is its own reference")
    reference = lineage.teacher_ref if cell.method == TEACHER else lineage.student
    if reference.id == cell.model.id:
        raise NotRun("the suite has no DPO stage for the teacher")
    pairs = {"pairs": lineage.validation_pairs}
    return pairs | {
        f"{who}.{side}": lineage.signals(
            model, f"validation {side}", Part(lineage.validation_pairs, side), "logps"
        )
        for who, model in (("policy", cell.model), ("start", reference))
        for side in ("chosen", "rejected")
    }


def _teacher_reward(
    cell: Cell, benchmark: str, spec: Any, rows: set[str], done: Callable[[Step], bool]
) -> Measures:
    """Greedy answers to the held-out prompts, and both teachers' log-probs of them."""
    lineage = cell.lineage
    prompts = Part(lineage.validation_pairs, "chosen")
    greedy = Sampling(0.0, 1.0, spec.max_tokens)
    said = lineage.rollouts(cell.model, prompts, drop=False, sampling=greedy)
    name = f"answers of {cell.model.label}"
    dtype = lineage.setting.suite.teacher_dtype
    return {
        "rollouts": said,
        "teacher": lineage.signals(lineage.teacher, name, said, "logps", dtype),
        "teacher_ref": lineage.signals(lineage.teacher_ref, name, said, "logps", dtype),
    }


def _objective(
    cell: Cell, benchmark: str, spec: Any, rows: set[str], done: Callable[[Step], bool]
) -> Measures:
    """The method's own loss on the held-out pairs, with rollouts and signals of their own."""
    lineage, setting = cell.lineage, cell.lineage.setting
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
    "rule": _judged,
    "openllm": _openllm,
    "implicit-reward": _implicit_reward,
    "teacher-reward": _teacher_reward,
    "objective": _objective,
}
