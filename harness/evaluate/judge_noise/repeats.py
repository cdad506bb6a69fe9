"""The step that has some answers judged again, to tell how far a judge's verdicts on one answer scatter.

    repeats.jsonl    {"repeat": 1, "question": "81", "turn": 1, "order": "", "value": 6.0, ...}

A row is one of judgments.jsonl with the number of its repeat, from 1: the first verdicts are the step of
judgments, which knows nothing of this one. Each repeat has the judge's next seed, where it has one, and a
reply of its own in the cache. What was settled without asking is not here.
"""

from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from harness.common.cost import Cost
from harness.common.files import write_json_lines
from harness.evaluate import judgments
from harness.evaluate.judgments import JudgmentInputs, JudgmentSettings, JudgmentWork
from harness.evaluate.questions import JudgingSizes, judging_cost
from harness.store.step import Source, Step, StepKind, Work
from harness.store.step_record import FLATTENED
from harness.suite.judging import Repeats


@dataclass(frozen=True)
class RepeatSettings:
    """Which answers are judged how often, and the judgments that are repeated."""

    repeats: Repeats
    judgments: JudgmentSettings = field(metadata=FLATTENED)


def run(work: Work[RepeatSettings, JudgmentInputs[Path]]) -> dict[str, Any]:
    """The step: the judge reads the answers to a sample of the questions again."""
    repeats, settings = work.settings.repeats, work.settings.judgments
    first = JudgmentWork(settings, work.inputs, work.out, work.context)
    loaded, benchmark, items = judgments.read_items(first)
    sample = repeats.sample([q.id for q in loaded])
    of_sample = [item for item in items if item.question.id in sample]
    requests, broken = judgments.requests_of(of_sample, bool(settings.judge.get("guard")))
    again = list(product(range(1, repeats.times), requests))
    given = judgments.replies_to(first, benchmark, [(request, repeat) for repeat, (_, request) in again])
    rows = [
        {"repeat": repeat}
        | judgments.row_of(item.question, request, judgments.verdict(benchmark, request, reply), reply)
        for (repeat, (item, request)), reply in zip(again, given, strict=True)
    ]
    write_json_lines(work.out / "repeats.jsonl", rows)
    return {"questions": len(sample)} | judgments.counted(rows, broken * (repeats.times - 1), given)


def _cost(step: Step[RepeatSettings, JudgmentInputs[Source]], sizes: JudgingSizes) -> Cost:
    if step.input_ids["answers"] == step.input_ids.get("reference"):
        return Cost("judge")
    first = step.settings.judgments
    return judging_cost(first.benchmark, first.judge, step.context, sizes, step.settings.repeats)


REPEATS = StepKind(
    "repeats", RepeatSettings, JudgmentInputs, "harness.evaluate.judge_noise.repeats:run", cost=_cost
)
