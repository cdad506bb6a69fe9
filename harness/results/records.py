"""Finished artifacts into records: one row per measured item."""

from pathlib import Path

from harness.plan.measurements import Cell
from harness.plan.plan import Plan
from harness.store.step import Part, Step
from harness.store.store import Store
from harness.suite.measurement import Chosen, Folders, Value
from reports.records.rows import Record


def records(plan: Plan, store: Store) -> list[Record]:
    """Every measured item of every row, and one record with the reason for each benchmark that a row
    lacks.
    """
    rows, benchmarks = [], plan.suite.benchmarks.chosen
    for cell in plan.cells:
        for name, steps in cell.measures.items():
            chosen = benchmarks[name]
            made = [s for s in (cell.source, *steps.values()) if isinstance(s, Step)]
            ids = tuple(f"{step.kind.name}-{step.id}" for step in made)
            for value in chosen.benchmark.read(chosen, folders_of(cell, name, store)):
                status = "ok" if value.value is not None else "unparsed"
                rows.append(_record(plan, cell, chosen, value, status, ids))
        for (name, reference), reason in cell.missing.items():
            chosen = benchmarks[name]
            nothing = Value(chosen.declaration.metric, "", None, reference=reference)
            rows.append(_record(plan, cell, chosen, nothing, f"not run: {reason}", ()))
    return rows


def _record(
    plan: Plan, cell: Cell, chosen: Chosen, value: Value, status: str, artifacts: tuple[str, ...]
) -> Record:
    return Record(
        suite=plan.suite.name,
        pair=cell.pair,
        dataset=cell.dataset,
        method=cell.method,
        seed=cell.seed,
        benchmark=chosen.name,
        metric=value.metric,
        group=value.group,
        question=value.question,
        turn=value.turn,
        order=value.order,
        judge=chosen.settings.judged_by(),
        reference=value.reference or chosen.settings.reference_answers(),
        value=value.value,
        status=status,
        tokens=value.tokens,
        truncated=value.truncated,
        artifacts=artifacts,
        version=value.version,
    )


def folders_of(cell: Cell, name: str, store: Store) -> Folders:
    """The artifacts that measure a row by a benchmark; none where it is not measured by it."""
    return {key: folder_of(store, step) for key, step in cell.measures.get(name, {}).items()}


def folder_of(store: Store, source: Step | Part) -> Path:
    """The folder of a step that is done, or one inside it."""
    step = source.step if isinstance(source, Part) else source
    folder = store.find(step)
    assert folder, f"{step.label} is not done"
    return folder / source.folder if isinstance(source, Part) else folder
