"""PAD's table: every method on the benchmarks of PAD's paper, and what its authors published of them.

    | Method | AlpacaEval 2 LC (%) | AlpacaEval 2 WR (%) | Arena-Hard (%) | MT-Bench | GSM8K | paper LC (%) |
    | PAD    | 24.1 [21.0, 27.3]   | 22.8 [20.1, 25.6]   | 18.0           | 6.71     | 41.2  | 45.7         |

The columns are those of the main table, in PAD's order; the paper's stand beside them and are never mixed in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reports import published
from reports.tables.table import Cell, Column, Row, Table

COLUMNS = (
    "alpaca-eval-2.lc_win_rate",
    "alpaca-eval-2.win_rate",
    "arena-hard.win_rate",
    "mt-bench.score",
    "gsm8k-cot.accuracy",
)
OF_PAD = ("alpaca-eval-2.", "arena-hard.", "gsm8k-cot.")  # no other paper of these has them
PAPER = Column("published.lc_win_rate", "paper LC (%)", "share")
SOURCE = "paper LC: Gemma-2-9B-It > Gemma-2-2B-It, README of PAD's authors; models are not those of this run"


def pad_tables(main: Sequence[Table]) -> list[Table]:
    """The main tables with PAD's columns alone, of pairs that were measured on a benchmark of PAD's own."""
    return [_table(t) for t in main if any(c.name.startswith(OF_PAD) for c in t.columns)]


def _table(main: Table) -> Table:
    order = [_name(c) for c in main.columns]
    kept = [i for name in COLUMNS for i, told in enumerate(order) if told == name]
    left_out = [c.title for i, c in enumerate(main.columns) if i not in kept]
    rows = tuple(Row(r.dataset, r.method, (*(r.cells[i] for i in kept), _paper(r.method))) for r in main.rows)
    notes = tuple(n for n in main.notes if not n.startswith(tuple(f"{title}: " for title in left_out)))
    title = main.title.replace("Results", "PAD's benchmarks", 1)
    return replace(
        main,
        title=title,
        columns=(*(main.columns[i] for i in kept), PAPER),
        rows=rows,
        notes=(*notes, SOURCE),
    )


def _name(column: Column) -> str:
    """Without what tells judges and references apart."""
    return column.name.partition(" ")[0]


def _paper(method: str, of: Mapping[str, float] = published.PAD_LC) -> Cell:
    return Cell(of[method] / 100 if method in of else None)
