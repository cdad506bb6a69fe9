"""What a finished plan's models and judges wrote, and its steps, as rows for the report page."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.api import Answer, Question
from harness.common.files import read_json_lines
from harness.evaluate import questions
from harness.evaluate.questions import JUDGMENTS
from harness.plan.lineage import STUDENT, TEACHER
from harness.plan.measurements import Cell
from harness.plan.plan import Plan
from harness.plan.row_steps import trained_of
from harness.results.records import folder_of
from harness.store.step import Step
from harness.store.store import Store
from harness.suite.measurement import Chosen
from reports.records import jsonl
from reports.records.texts import StepRecord, Text


def write(plan: Plan, store: Store, out: Path) -> None:
    """Write `texts.jsonl` of a finished plan into `out`."""
    jsonl.write(texts(plan, store), out / "texts.jsonl")


def write_steps(plan: Plan, store: Store, out: Path) -> bool:
    """Write `steps.jsonl` of a finished plan into `out`; returns whether it is another now."""
    return jsonl.write(steps(plan, store), out / "steps.jsonl")


def texts(plan: Plan, store: Store) -> list[Text]:
    """Every judgment of every row, with what was asked, answered and replied; those settled by a rule too."""
    benchmarks = plan.suite.benchmarks.chosen
    return [
        text
        for cell in plan.cells
        for benchmark, found in cell.measures.items()
        for name, step in found.items()
        if name.startswith(JUDGMENTS)
        for text in _texts(cell, benchmarks[benchmark], name.partition(".")[2], step, store)
    ]


def _texts(cell: Cell, chosen: Chosen, reference: str, step: Step, store: Store) -> Iterator[Text]:
    folders = {name: folder_of(store, source) for name, source in step.named_inputs.items()}
    asked, _ = questions.load(chosen.declaration, folders["data"], step.settings.asked)
    by_id = {q.id: q for q in asked}
    ours = questions.read_answers(folders["answers"])
    theirs = questions.read_answers(folders["reference"]) if "reference" in folders else {}
    for told in read_json_lines(folder_of(store, step) / "judgments.jsonl"):
        question, at = by_id[told["question"]], told["turn"] - 1
        answer = ours[question.id]
        yield Text(
            pair=cell.pair,
            dataset=cell.dataset,
            method=cell.method,
            seed=cell.seed,
            benchmark=chosen.name,
            metric=chosen.declaration.metric,
            judge=chosen.settings.judged_by(),
            reference=reference,
            question=question.id,
            category=question.category,
            turn=told["turn"],
            order=told["order"],
            asked=question.turns[at],
            answer=answer.turns[at],
            tokens=answer.tokens[at],
            truncated=answer.truncated[at],
            reference_answer=_reference_answer(question, theirs, at),
            reply=told["reply"],
            value=told["value"],
            status="unparsed" if told["value"] is None else "ok",
        )


def _reference_answer(question: Question, theirs: Mapping[str, Answer], at: int) -> str:
    """The reference run's answer to a turn, or the authors' own where there is one."""
    turns = theirs[question.id].turns if question.id in theirs else question.reference
    return turns[at] if at < len(turns) else ""


def steps(plan: Plan, store: Store) -> list[StepRecord]:
    """Every step of the plan with what its record says; settings are told of training alone."""
    results: dict[str, list[tuple[str, str, str, int]]] = {}
    for cell in plan.cells:
        if cell.lineage is not None and cell.method not in (TEACHER, STUDENT):
            of = results.setdefault(trained_of(cell.model).id, [])
            of.append((cell.pair, cell.dataset, cell.method, cell.seed))
    made = []
    for step in plan.steps:
        record = store.record(folder_of(store, step))
        made.append(
            StepRecord(
                id=step.id,
                kind=step.kind.name,
                label=step.label,
                seconds=record["seconds"],
                inputs=tuple((name, step.sources[name].id) for name in step.named_inputs),
                settings=tuple(_flat(step.settings_record)) if step.kind.name == "train" else (),
                results=tuple(results.get(step.id, ())),
            )
        )
    return made


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value)
