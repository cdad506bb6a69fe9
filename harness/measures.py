"""The steps that measure a row, benchmark by benchmark."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness.lineage import STUDENT, TEACHER, Lineage
from harness.store import Part, Step
from harness.suite import Judged

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
    missing: dict[str, str] = field(default_factory=dict)


def measure(cell: Cell, rows: set[str], done: Callable[[Step], bool]) -> None:
    """Fill in a cell's measures, or the reason why there are none."""
    named = cell.lineage.setting.suite.benchmarks.named()
    for benchmark, spec in named.items():
        try:
            cell.measures[benchmark] = MEASURES[benchmark](cell, benchmark, spec, rows, done)
        except NotRun as reason:
            cell.missing[benchmark] = str(reason)


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
    if benchmark == "alpaca-eval":
        settings["order"] = spec.order
        inputs["reference"] = _reference(cell, spec, rows, done)
    label = f"{benchmark} judgments of {cell.model.label}"
    judged = Step("judgments", benchmark, label, settings, inputs, "harness.evaluate:run_judgments")
    return {"answers": given, "judgments": judged}


def _reference(cell: Cell, spec: Any, rows: set[str], done: Callable[[Step], bool]) -> Step:
    """The answers that AlpacaEval compares with: those of the row `reference`."""
    if spec.reference not in {*cell.lineage.setting.registry, TEACHER, STUDENT}:
        raise ValueError(f"benchmarks.alpaca-eval.reference: no row {spec.reference!r}")
    found = answers(cell, "alpaca-eval", spec, cell.lineage.result(spec.reference, cell.seed))
    if spec.reference not in rows and not done(found):
        raise NotRun(f"no answers of the reference {spec.reference}")
    return found


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
    said = lineage.rollouts(cell.model, prompts, spec.max_tokens, drop=False, greedy=True)
    name = f"answers of {cell.model.label}"
    dtype = lineage.setting.suite.teacher_dtype
    return {
        "rollouts": said,
        "teacher": lineage.signals(lineage.teacher, name, said, "logps", dtype),
        "teacher_ref": lineage.signals(lineage.teacher_ref, name, said, "logps", dtype),
    }


MEASURES: dict[str, Callable[..., Measures]] = {
    "mt-bench": _judged,
    "alpaca-eval": _judged,
    "rule": _judged,
    "openllm": _openllm,
    "implicit-reward": _implicit_reward,
    "teacher-reward": _teacher_reward,
}
