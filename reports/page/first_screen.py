"""The first table of the page: the best row first, with what tests tell apart, and what each row took.

| Method | My bench            | ... | Runs | FLOPs  |
| ADPA+  | 3.83 a [3.54, 4.12] | ... | 3    | 6.3e11 |
"""

from collections.abc import Mapping, Sequence
from math import fsum
from typing import NamedTuple

from reports.build import Pair
from reports.page import table_views
from reports.page.figures.figure import Figure
from reports.page.figures.forest import STEP, WIDTH, forests
from reports.page.table_views import CellView, JudgmentSet, RowView, TableView
from reports.records.rows import Cost
from reports.render import MISSING, CellText, number
from reports.tables.table import Cell, Column, Table
from reports.terminal import best_first

RUNS = Column("runs", "Runs", "count")
FLOPS = Column("flops", "FLOPs", "flops")
MANY, CLOSE = 24, 16  # rows, and px of a line of the forest of so many
GROUP = ".group"  # the end of a comparison's column of letters
MOST_LETTERS = 9
Letters = Mapping[tuple[str, str, str], str]  # dataset, method, column


class Sign(NamedTuple):
    """A sign of the table, as it looks there, and what it says."""

    sign: str
    look: str
    says: str


def view(main: Table, pair: Pair, compared: Sequence[Table], sets: Sequence[JudgmentSet]) -> TableView:
    """The main table of a pair as the first screen has it."""
    ordered = best_first(main)
    # Of one run a method nothing is marked here either: what its tests tell apart are checkpoints.
    letters = _letters(compared) if any(g.is_replicated for g in pair.groups) else {}
    places = {(row.dataset, row.method): at for at, row in enumerate(main.rows)}
    shown = table_views.view("main", ordered, pair.name, sets)
    rows = []
    for row in shown.rows:
        cells = [
            cell._replace(letters=letters.get((row.dataset, row.method, column.name), ""))
            for cell, column in zip(row.cells, shown.columns, strict=True)
        ]
        took = [_runs(pair, row), _flops(pair.rows.costs, row)]
        rows.append(row._replace(cells=cells + took, place=places[row.dataset, row.method]))
    return shown._replace(
        columns=(*shown.columns, RUNS, FLOPS),
        heads=[*shown.heads, RUNS.title, FLOPS.title],
        rows=rows,
        sorted_by=shown.columns[0].name if ordered is not main else "",
    )


def beside(shown: TableView) -> list[Figure]:
    """The forests that stand beside a table, one a column: the page shows that of the sorted column."""
    measured = shown._replace(columns=[c for c in shown.columns if c not in (RUNS, FLOPS)])
    return forests(measured, WIDTH, STEP if len(shown.rows) < MANY else CLOSE)


def legend(shown: TableView) -> list[Sign]:
    """How to read the table: the signs that it has."""
    cells = [cell for row in shown.rows for cell in row.cells]
    stands, grouped = {cell.text.stands for cell in cells}, any(cell.letters for cell in cells)
    signs = [
        (Sign("bold", "best", "the best, told from the second"), "best" in stands),
        (Sign("underlined", "second", "the second, told from the third"), "second" in stands),
        (Sign("a, b", "letters", "rows that share a letter are not told apart"), grouped),
        (Sign("blue", "link", "leads to the answers behind a number"), any(c.href for c in cells)),
        (Sign("Runs", "", "trainings of a row"), True),
        (Sign("FLOPs", "", "of a run's training, with the teacher's work for it"), True),
    ]
    return [sign for sign, there in signs if there]


def _letters(compared: Sequence[Table]) -> Letters:
    """The letters of each row in each column, those of a column of one width, so that its numbers stand below
    each other. Where a row has so many that nobody would read them the column has none.
    """
    found: dict[tuple[str, str, str], str] = {}
    for table in compared:
        for at, column in enumerate(table.columns):
            if column.name.endswith(GROUP):
                of = column.name.removesuffix(GROUP)
                own = {(r.dataset, r.method, of): str(r.cells[at].value or "") for r in table.rows}
                if (wide := max(map(len, own.values()))) <= MOST_LETTERS:
                    found |= {key: letters.ljust(wide) for key, letters in own.items()}
    return found


def _runs(pair: Pair, row: RowView) -> CellView:
    """How many trainings the row's numbers are over; one where all of its replicates are one model."""
    own = [g for g in pair.groups if (g.dataset, g.method) == (row.dataset, row.method) and g.records]
    return _cell(max((1 if g.is_one_model else len(g.replicates) for g in own), default=None), RUNS)


def _flops(costs: Sequence[Cost], row: RowView) -> CellView:
    """FLOPs of the row's own training and of the teacher's work for it, a mean over its runs."""
    own = [c for c in costs if (c.dataset, c.method) == (row.dataset, row.method)]
    flops = [c.train_flops + c.teacher_flops for c in own]
    return _cell(fsum(flops) / len(flops) if flops else None, FLOPS)


def _cell(value: float | None, column: Column) -> CellView:
    text = MISSING if value is None else number(value, column.unit)
    return CellView(CellText(text), Cell(value), "" if value is None else str(value), "", "")
