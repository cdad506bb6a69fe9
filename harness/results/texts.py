"""What a finished plan's models and judges wrote, and its steps, as rows for the report page."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.api import Answer, Question
from harness.common.files import read_json_lines
from harness.evaluate import answers, questions
from harness.plan.lineage import STUDENT, TEACHER
from harness.plan.measurements import Cell
from harness.plan.plan import Plan
from harness.plan.row_steps import trained_of
from harness.results.records import METRIC, folder_of
from harness.store.step import Part, Step
from harness.store.store import Store
from harness.suite.benchmarks import Judged
from reports.records import jsonl
from reports.records.texts import Made, Text


def write(plan: Plan, store: Store, out: Path) -> None:
    """Write `texts.jsonl` of a finished plan into `out`."""
    jsonl.write(texts(plan, store), out / "texts.jsonl")


def write_steps(plan: Plan, store: Store, out: Path) -> bool:
    """Write `steps.jsonl` of a finished plan into `out`; returns whether it is another now."""
    return jsonl.write(steps(plan, store), out / "steps.jsonl")


def texts(plan: Plan, store: Store) -> list[Text]:
    """Every judgment of every row, with what was asked, answered and replied; those settled by a rule too."""
    named = plan.suite.benchmarks.named()
    return [
        text
        for cell in plan.cells
        for benchmark, found in cell.measures.items()
        for name, step in found.items()
        if name.startswith("judgments")
        for text in _texts(cell, benchmark, named[benchmark], name.partition(".")[2], step, store)
    ]


def _texts(cell: Cell, benchmark: str, spec: Any, reference: str, step: Step, store: Store) -> Iterator[Text]:
    folders = {name: _input(store, source) for name, source in step.inputs.items()}
    asked, judged = questions.load(benchmark, folders["data"], step.settings)
    by_id = {q.id: q for q in asked}
    ours = answers.read(folders["answers"])
    theirs = answers.read(folders["reference"]) if "reference" in folders else {}
    for told in read_json_lines(folder_of(store, step) / "judgments.jsonl"):
        question, at = by_id[told["question"]], told["turn"] - 1
        answer = ours[question.id]
        yield Text(
            pair=cell.pair,
            dataset=cell.dataset,
            method=cell.method,
            seed=cell.seed,
            benchmark=benchmark,
            metric=METRIC.get(benchmark, judged.metric),
            judge=spec.judge if isinstance(spec, Judged) else "",
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


def _input(store: Store, source: Step | Part) -> Path:
    if isinstance(source, Part):
        return folder_of(store, source.step) / source.folder
    return folder_of(store, source)


def steps(plan: Plan, store: Store) -> list[Made]:
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
            Made(
                id=step.id,
                kind=step.kind,
                label=step.label,
                seconds=record["seconds"],
                inputs=tuple((name, step.sources[name].id) for name in step.inputs),
                settings=tuple(_flat(step.settings)) if step.kind == "train" else (),
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
