"""What a finished plan's models and judges wrote, and its steps, as rows for the report page."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.api import Answer, Question
from benchmarks.declaration import JudgedAnswers
from harness.plan.plan import Plan
from harness.plan.row_steps import trained_of
from harness.results.judging import JudgedRow
from harness.results.records import folder_of
from harness.store.provenance import dotted_settings
from harness.store.step import Step
from harness.store.store import Store
from harness.suite.schema import STUDENT, TEACHER
from reports.records import jsonl
from reports.records.texts import StepRecord, Text


def write(rows: Iterable[tuple[JudgedRow, JudgedAnswers]], out: Path) -> list[Text]:
    """Write `texts.jsonl` of a finished plan's judgments into `out`; returns what is in it."""
    found = [text for row, judged in rows for text in _texts(row, judged)]
    jsonl.write(found, out / "texts.jsonl")
    return found


def write_steps(plan: Plan, store: Store, out: Path) -> list[StepRecord]:
    """Write `steps.jsonl` of a finished plan into `out`; returns what is in it."""
    found = steps(plan, store)
    jsonl.write(found, out / "steps.jsonl")
    return found


def _texts(row: JudgedRow, judged: JudgedAnswers) -> Iterator[Text]:
    """Every judgment of a row, with what was asked, answered and replied; those settled by a rule too."""
    by_id = {q.id: q for q in judged.questions}
    key = {name: value for name, value in row.key.items() if name != "suite"}
    for judgment in judged.judgments:
        question, turn = by_id[judgment["question"]], judgment["turn"] - 1
        answer = judged.answers[question.id]
        yield Text(
            **key,
            metric=row.chosen.declaration.metric,
            question=question.id,
            category=question.category,
            turn=judgment["turn"],
            order=judgment["order"],
            asked=question.turns[turn],
            answer=answer.turns[turn],
            tokens=answer.tokens[turn],
            truncated=answer.truncated[turn],
            reference_answer=_reference_answer(question, judged.reference_answers, turn),
            reply=judgment["reply"],
            value=judgment["value"],
            status=_status(judgment, answer, turn) if judgment["value"] is None else "ok",
        )


def _status(judgment: Mapping[str, Any], answer: Answer, turn: int) -> str:
    """Why there is no verdict, with the words of the server where it refused."""
    status: str = judgment.get("status", "unparsed")
    words = judgment.get("told") or next(iter(answer.told[turn : turn + 1]), "")
    return f"{status} ({words})" if words else status


def _reference_answer(question: Question, reference_answers: Mapping[str, Answer], turn: int) -> str:
    """The reference run's answer to a turn, or the authors' own where there is one."""
    # Authors may have written answers for some categories alone; "" says that there are none.
    turns = reference_answers[question.id].turns if question.id in reference_answers else question.reference
    return turns[turn] if turn < len(turns) else ""


def steps(plan: Plan, store: Store) -> list[StepRecord]:
    """Every step of the plan with what its record says; settings are told of training and judging."""
    results: dict[str, list[tuple[str, str, str, int]]] = {}
    worlds: dict[str, int] = {}
    for cell in plan.cells:
        if cell.lineage is not None and cell.method not in (TEACHER, STUDENT):
            row = cell.pair, cell.dataset, cell.method, cell.seed
            results.setdefault(trained_of(cell.model).id, []).append(row)
            worlds[trained_of(cell.model).id] = cell.world_seed
    records = []
    for step in plan.steps:
        record = store.record(folder_of(store, step))
        records.append(
            StepRecord(
                id=step.id,
                kind=step.kind.name,
                label=step.label,
                seconds=record["seconds"],
                inputs=tuple((name, step.sources[name].id) for name in step.named_inputs),
                # The page tells how models were trained, and runs are held against each other by who judged
                # them; all other settings would only make it larger.
                settings=_settings(step) if step.kind.name in ("train", "judgments") else (),
                results=tuple(results.get(step.id, ())),
                world_seed=worlds.get(step.id, 0),
            )
        )
    return records


def _settings(step: Step) -> tuple[tuple[str, str], ...]:
    """Settings with nested names joined by dots; values as JSON, but text without quotes."""
    dotted = dotted_settings(step.settings_record)
    return tuple((name, x if isinstance(x, str) else json.dumps(x)) for name, x in dotted.items())
