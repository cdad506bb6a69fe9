"""The rows of a plan of which some steps failed: what is made, and reasons in the place of the rest."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from harness.plan.measurements import Cell
from harness.plan.plan import Plan, ordered
from harness.store.step import Step


def without_failed(plan: Plan, lost: Mapping[str, str], is_done: Callable[[Step], bool]) -> Plan | None:
    """The plan as far as it is made: a row whose model failed has none of its numbers, one of which an answer
    or a judgment failed lacks that benchmark's. None where no row has a model. `lost`: why, by a step's id.
    """
    cells = tuple(_as_made(cell, lost) for cell in plan.cells)
    if all("" in cell.failed for cell in cells):
        return None
    return Plan(plan.suite, tuple(step for step in plan.steps if is_done(step)), cells)


def _as_made(cell: Cell, lost: Mapping[str, str]) -> Cell:
    if isinstance(cell.source, Step) and (why := _why([cell.source], lost)):
        return replace(cell, failed={"": why}, lineage=None)
    found = ((name, _why(list(steps.values()), lost)) for name, steps in cell.measures.items())
    failed = {name: why for name, why in found if why}
    return replace(cell, failed=failed) if failed else cell


def _why(steps: list[Step], lost: Mapping[str, str]) -> str:
    """Why one of these steps, or of those that they stand on, is not there; "" where all are."""
    return next((lost[step.id] for step in ordered(steps) if step.id in lost), "")
