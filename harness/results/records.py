"""Finished artifacts into records: one row per measured item."""

from pathlib import Path
from typing import Any, NamedTuple

from harness.evaluate.judge_noise.repeats import REPEATS
from harness.evaluate.questions import read_repeats
from harness.plan.measurements import Cell
from harness.plan.plan import Plan
from harness.store.step import Part, Step
from harness.store.store import Store
from harness.suite.measurement import Chosen, Folders, Value
from reports.records.rows import MethodRow, Record, Repeat

OF_REPEAT = ("metric", "group", "question", "turn", "order", "value")


class RowKey(NamedTuple):
    """What tells a row of a run, which is of one checkpoint, from the others."""

    pair: str
    dataset: str
    method: str
    world_seed: int
    seed: int

    @classmethod
    def of(cls, row: Cell | MethodRow) -> "RowKey":
        return cls(row.pair, row.dataset, row.method, row.world_seed, row.seed)


def records(plan: Plan, store: Store) -> list[Record]:
    """Every measured item of every row, and one record with the reason for each benchmark that a row
    lacks.
    """
    rows, benchmarks = [], plan.suite.benchmarks.chosen
    references = {name: chosen.settings.reference_answers() for name, chosen in benchmarks.items()}
    for cell in plan.cells:
        for name, steps in cell.measures.items():
            chosen = benchmarks[name]
            # What is judged again is behind none of these values.
            behind = [step for step in steps.values() if step.kind is not REPEATS]
            measured = [s for s in (cell.source, *behind) if isinstance(s, Step)]
            ids = tuple(f"{step.kind.name}-{step.id}" for step in measured)
            for value in chosen.benchmark.read(chosen, folders_of(cell, name, store)):
                rows.append(_record(cell, chosen, value, references[name], _status(value), ids))
        # One record without a value, so that a table can say why instead of leaving the method out.
        for (name, reference), reason in cell.missing.items():
            nothing = Value(benchmarks[name].declaration.metric, "", None, reference=reference)
            status = reason if reason.startswith("failed: ") else f"not run: {reason}"
            rows.append(_record(cell, benchmarks[name], nothing, references[name], status, ()))
    return rows


def repeats(plan: Plan, store: Store) -> list[Repeat]:
    """Every verdict that was asked for again, under the key of the record that has the first one."""
    rows = []
    for cell in plan.cells:
        for name, steps in cell.measures.items():
            chosen = plan.suite.benchmarks.chosen[name]
            if not any(step.kind is REPEATS for step in steps.values()):
                continue
            for repeat, request, value in read_repeats(chosen, folders_of(cell, name, store)):
                key = benchmark_key(cell, chosen, value.reference or chosen.settings.reference_answers())
                fields = {name: getattr(value, name) for name in OF_REPEAT}
                rows.append(Repeat(**key, **fields, repeat=repeat, request=request, status=_status(value)))
    return rows


def _status(value: Value) -> str:
    """Whether a value could be had, or why not."""
    return "ok" if value.value is not None else value.status or "unparsed"


def _record(
    cell: Cell, chosen: Chosen, value: Value, reference: str, status: str, artifacts: tuple[str, ...]
) -> Record:
    """`reference` is the benchmark's own, for a value without one."""
    fields = value._asdict() | {"status": status}
    key = benchmark_key(cell, chosen, fields.pop("reference") or reference)
    return Record(**key, **fields, artifacts=artifacts)


def row_key(cell: Cell) -> dict[str, Any]:
    """The fields that say which row of the table a record belongs to (rows.RUN)."""
    return {"suite": cell.setting.suite.name, **RowKey.of(cell)._asdict()}


def benchmark_key(cell: Cell, chosen: Chosen, reference: str) -> dict[str, Any]:
    """Those fields, and the ones that say by what the row was measured (rows.JUDGED)."""
    judge = chosen.settings.judged_by()
    return row_key(cell) | {"benchmark": chosen.name, "judge": judge, "reference": reference}


def folders_of(cell: Cell, name: str, store: Store) -> Folders:
    """The artifacts that measure a row by a benchmark; none where it is not measured by it."""
    return {key: folder_of(store, step) for key, step in cell.measures.get(name, {}).items()}


def folder_of(store: Store, source: Step | Part) -> Path:
    """The folder of a step that is done, or one inside it."""
    step = source.step if isinstance(source, Part) else source
    folder = store.find(step)
    # Results are collected when every step is done.
    if folder is None:
        raise OSError(f"{step.label}: damaged since the run began; the same command makes it again")
    return folder / source.folder if isinstance(source, Part) else folder
