"""The steps behind a row of the table: what trained its model, and the teacher passes that this took."""

from collections.abc import Iterable
from typing import NamedTuple

from harness.plan.measurements import Cell
from harness.plan.shared_passes import Pass, pass_of
from harness.signals.kinds import SIGNALS
from harness.store.step import Step
from harness.suite.schema import STUDENT, TEACHER
from harness.train.select_checkpoint import SELECT


def trained_of(model: Step) -> Step:
    """The training step of a row's model, which a selection may stand behind."""
    return model.sources["trained"] if model.kind == SELECT else model


def stages(model: Step) -> dict[str, Step]:
    """What a model was trained from and on, by id, without what chose among its checkpoints."""
    trained = trained_of(model)
    earlier = {i: s for source in trained.sources.values() for i, s in stages(source).items()}
    return earlier | {trained.id: trained}


def own_stages(cell: Cell) -> list[Step]:
    """What a row's model was made by; the stages of Student and Teacher are in their own rows."""
    lineage, stands_on = cell.trained, stages(cell.model)
    if cell.method in (TEACHER, STUDENT):
        return list(stands_on.values())
    # A row's cost is that of its own stages; those of Student and Teacher stand in their own rows.
    shared_by_all = stages(lineage.student) | stages(lineage.teacher)
    return [step for i, step in stands_on.items() if i not in shared_by_all]


def teacher_passes(cell: Cell) -> dict[Pass, Step]:
    """The passes of teacher-size models that a row's own stages need, each as one of its forms."""
    # Passes of the student's size cost little beside its training and are no teacher passes.
    signals = [s for s in own_stages(cell) if s.kind == SIGNALS]
    return {pass_of(s): s for s in signals if s.sources["model"].id in cell.trained.teachers}


class Passes(NamedTuple):
    """Passes of teacher-size models over training sets: the sum over the rows, each run alone, and those of
    all rows together.
    """

    needed: int
    run: int


def passes(cells: Iterable[Cell]) -> Passes:
    """How many passes the rows need, one by one and together; every seed is a row."""
    by_row = [teacher_passes(cell) for cell in cells if cell.lineage]
    return Passes(sum(map(len, by_row)), len(set().union(*by_row)))


def passes_line(cells: Iterable[Cell]) -> str:
    """One line on how often teachers run over the training sets; "" where none does."""
    counts = passes(cells)
    return f"teacher passes: {counts.needed} needed by the rows alone, {counts.run} run" if counts.run else ""


def format_lines(cells: Iterable[Cell]) -> list[str]:
    """A line for each pair whose teacher is spoken to as its student is."""
    lines = (cell.lineage.format_line for cell in cells if cell.lineage)
    return list(dict.fromkeys(filter(None, lines)))
