"""Judges as parts of a plan: what of a judge is identity, and where it is asked."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from benchmarks.judge_check.declaration import DATA_SET as GOLD
from harness.evaluate import benchmark_files
from harness.evaluate.judge_check import JUDGE_CHECK, CheckInputs, CheckSettings
from harness.evaluate.judge_noise.repeats import REPEATS as REPEATS_KIND
from harness.evaluate.judge_noise.repeats import RepeatSettings
from harness.evaluate.judgments import JUDGMENTS as JUDGMENTS_KIND
from harness.evaluate.questions import JUDGMENTS, REPEATS
from harness.plan.context import PlanContext
from harness.store.step import Source, Step
from harness.suite import extension_file
from harness.suite.judging import Repeats
from harness.suite.measurement import Chosen, Measures, NotRun, Row
from harness.suite.schema import Suite
from harness.suite.validation import at_key


class JudgeParts(NamedTuple):
    """A judge in a step: its settings, what it reads, and context."""

    settings: dict[str, Any]
    reads: Source | None
    context: dict[str, Any]


def judge_parts(setting: PlanContext, name: str) -> JudgeParts:
    """The judge of that name. How it is asked is context; who and where it is is identity."""
    _, kind, judge_settings = setting.suite.judges[name]
    settings = {"kind": kind.name, **kind.identity(judge_settings)}
    context: dict[str, Any] = {"endpoint": kind.endpoint(judge_settings)} if kind.endpoint else {}
    settings = setting.endpoints.identified(settings, context.get("endpoint", {}))
    if kind.file:
        settings["file"] = extension_file.digest(kind.file)
        context["judge_file"] = kind.file
    return JudgeParts(settings, setting.world() if kind.world else None, context)


def check_step(
    setting: PlanContext, judge: str, prompt: str, data: str | None, repeats: int, limit: int | None
) -> Step:
    """The step that checks a judge of the suite with a benchmark's prompt."""
    parts = judge_parts(setting, judge)
    settings = CheckSettings(parts.settings, prompt, repeats, limit)
    with at_key("--data"):
        gold = setting.data(data or str(benchmark_files.find(GOLD)))
    label, context = f"check of {judge} with {prompt}", {**setting.runtime, **parts.context}
    return JUDGE_CHECK.step(label, settings, CheckInputs[Source](gold, parts.reads), context)


def measures(suite: Suite, chosen: Chosen, row: Row, failed: Mapping[str, str]) -> Measures:
    """The steps that measure a row, and one more for each of judgments that the suite has repeated. `failed`:
    why a benchmark, or with "" every one, could not be measured.
    """
    if why := failed.get("") or failed.get(chosen.name):
        raise NotRun(f"failed: {why}")
    with at_key(f"benchmarks.{chosen.name}"):
        steps = chosen.benchmark.steps(row, chosen)
    judge = suite.judges.get(chosen.settings.judged_by())
    repeats: Repeats | None = judge.settings.repeats if judge else None
    if repeats is None:
        return steps
    again = {
        name.replace(JUDGMENTS, REPEATS, 1): REPEATS_KIND.step(
            f"{step.label}, again", RepeatSettings(repeats, step.settings), step.inputs, step.context
        )
        for name, step in steps.items()
        if name.partition(".")[0] == JUDGMENTS and isinstance(step, Step) and step.kind is JUDGMENTS_KIND
    }
    return {**steps, **again}
