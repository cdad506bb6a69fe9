"""The rows of a plan that failed or were stopped for their health: what is made, and why there is no more."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from harness.plan.measurements import Cell
from harness.plan.plan import Plan, ordered
from harness.results.health import collapse
from harness.results.records import folder_of
from harness.store.step import Step
from harness.store.store import Store
from harness.train.costs import TRAIN

TOLD = 3  # rows that a line names


def without_failed(plan: Plan, lost: Mapping[str, str], is_done: Callable[[Step], bool]) -> Plan | None:
    """The plan as far as it is made: a row whose model failed has none of its numbers, one of which an answer
    or a judgment failed lacks that benchmark's. None where no row has a model. `lost`: why, by a step's id.
    """
    cells = tuple(as_made(cell, lost) for cell in plan.cells)
    if all("" in cell.failed for cell in cells):
        return None
    return Plan(plan.suite, tuple(step for step in plan.steps if is_done(step)), cells)


def without_stopped(plan: Plan, store: Store) -> tuple[Plan | None, str]:
    """A plan that is made, where the suite's `health` stops rows without these (None where no row is left),
    and one line on them. What was made before it said so is found here, and so are answers.
    """
    cells, told = [], dict[str, None]()
    for cell in plan.cells:
        if why := "" if "" in cell.failed else stopped(cell, store):
            told[f"{cell.method} ({why})"] = None
            cell = replace(cell, failed={"": why}, lineage=None)
        cells.append(cell)
    if not told:
        return plan, ""
    more = f", and {len(told) - TOLD} more" if len(told) > TOLD else ""
    line = f"health: stopped: {', '.join([*told][:TOLD])}{more}"
    return None if all("" in c.failed for c in cells) else replace(plan, cells=tuple(cells)), line


def stopped(cell: Cell, store: Store) -> str:
    """Why the suite's `health` stops a row, "" where it does not."""
    limits = cell.setting.suite.health
    if limits.exploding == "stop" and isinstance(cell.source, Step):
        for step in ordered([cell.source]):
            measured = store.record(folder_of(store, step))["measured"] if step.kind is TRAIN else {}
            if why := collapse.exploded(measured, limits):
                return f"{step.label} exploded: {why}"
    if limits.collapse == "stop":
        for name, steps in cell.measures.items():
            for step in collapse.answered(steps):
                if why := collapse.read(folder_of(store, step)).collapse(limits):
                    return f"collapsed: of its answers to {name} {why}"
    return ""


def as_made(cell: Cell, lost: Mapping[str, str]) -> Cell:
    """A row as far as it is made."""
    if isinstance(cell.source, Step) and (why := _why([cell.source], lost)):
        return replace(cell, failed={"": why}, lineage=None)
    found = ((name, _why(list(steps.values()), lost)) for name, steps in cell.measures.items())
    failed = {name: why for name, why in found if why}
    return replace(cell, failed=failed) if failed else cell


def _why(steps: list[Step], lost: Mapping[str, str]) -> str:
    """Why one of these steps, or of those that they stand on, is not there; "" where all are."""
    return next((lost[step.id] for step in ordered(steps) if step.id in lost), "")
