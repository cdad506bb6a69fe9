"""PAD's table: every method on the benchmarks of PAD's paper, and what its authors published of them.

    | Method | LC (%)            | WR (%)            | paper LC (%) |
    | PAD    | 24.1 [21.0, 27.3] | 22.8 [20.1, 25.6] | 45.7         |

The columns are those of the main table, in PAD's order; the paper's stand beside them and are never mixed in.
"""

from collections.abc import Sequence
from dataclasses import replace

from reports import published
from reports.tables.table import Cell, Column, Row, Table

PAPER = Column("published.lc_win_rate", "paper LC (%)", "share")
SOURCE = "paper LC: Gemma-2-9B-It > Gemma-2-2B-It, README of PAD's authors; models are not those of this run"


def pad_tables(main: Sequence[Table]) -> list[Table]:
    """The main tables with PAD's columns alone, of pairs that were measured on what no other paper has."""
    return [
        _table(t)
        for t in main
        if any(_number(c) and c.source and not c.source.publishes("adpa") for c in t.columns)
    ]


def _table(main: Table) -> Table:
    numbers = [_number(c) for c in main.columns]
    # Two judges or references make two columns of one number; both are kept.
    kept = [i for name in published.PAD_NUMBERS for i, number in enumerate(numbers) if number == name]
    left_out = tuple(f"{c.title}: " for i, c in enumerate(main.columns) if i not in kept)
    return replace(
        main,
        title=main.title.replace("Results", "PAD's benchmarks", 1),
        columns=(*(main.columns[i] for i in kept), PAPER),
        rows=tuple(
            Row(r.dataset, r.method, (*(r.cells[i] for i in kept), _paper(r.method))) for r in main.rows
        ),
        notes=(*(n for n in main.notes if not n.startswith(left_out)), SOURCE),
    )


def _number(column: Column) -> str:
    """The number of PAD's paper that stands beside a column."""
    return column.source.publishes("pad") if column.source else ""


def _paper(method: str) -> Cell:
    return Cell(published.PAD_LC[method] / 100 if method in published.PAD_LC else None)
