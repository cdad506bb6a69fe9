"""What a terminal shows of a run first: its verdict, the main table, and one line on where the rest is.

It is kept beside a run's rows as texts (`dumped`), so that a terminal of any width can have it again at once.
"""

import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from reports.render import WIDTH, CellText, TableTexts, shown, to_terminal
from reports.tables.table import Row, Table
from reports.verdict import words

MAIN, ALL = "main", "all"
NARROWEST = 40  # columns: less than a method and one number take


class FirstScreen(NamedTuple):
    """The verdict's paragraphs, the main tables with the best row first and as the registry has them, and the
    names of all other tables.
    """

    told: list[str]
    best_first: list[TableTexts]
    as_registered: list[TableTexts]
    others: list[str]


def first_screen(told: Sequence[str], tables: Mapping[str, Sequence[Table]]) -> FirstScreen:
    """What is shown of all tables by name."""
    main = tables.get(MAIN, ())
    others = [name for name in tables if name != MAIN]
    return FirstScreen(list(told), [shown(best_first(t)) for t in main], [shown(t) for t in main], others)


def best_first(table: Table) -> Table:
    """The rows of each dataset by their first column, the highest first, those without a number last; as
    they are where its highest is no merit.
    """
    if not table.columns or not table.columns[0].best:
        return table
    order = list(dict.fromkeys(row.dataset for row in table.rows))
    return replace(
        table, rows=tuple(sorted(table.rows, key=lambda row: (order.index(row.dataset), *_place(row))))
    )


def _place(row: Row) -> tuple[bool, float]:
    value = row.cells[0].value
    number = value if isinstance(value, int | float) else None
    return number is None, -(number or 0.0)


def text(
    screen: FirstScreen,
    folders: Sequence[Path],
    width: int = WIDTH,
    *,
    styled: bool = False,
    registry: bool = False,
) -> str:
    """The screen as text; `folders` are the runs', of which the last line says what they hold."""
    tables = screen.as_registered if registry else screen.best_first
    parts = [f"{to_terminal(table, width, styled)}\n" for table in tables]
    files = "".join(f"{folder}/report.html, results.jsonl, tables/; " for folder in folders)
    names = ", ".join([*screen.others, ALL])
    rest = f"More: {files}bench report {' '.join(map(str, folders))} --table NAME: {names}"
    return words.to_terminal(screen.told, width) + "".join(parts) + f"{rest}\n"


def terminal_width() -> int:
    """The columns of the terminal that is written to; those of any where it is none."""
    return max(NARROWEST, shutil.get_terminal_size().columns) if sys.stdout.isatty() else WIDTH


def dumped(screen: FirstScreen) -> str:
    """The screen as JSON."""
    return json.dumps(screen._asdict())


def loaded(written: str) -> FirstScreen:
    """The screen of `dumped`."""
    told, best, registered, others = json.loads(written).values()
    return FirstScreen(told, _texts(best), _texts(registered), others)


def _texts(tables: Iterable[Any]) -> list[TableTexts]:
    found = []
    for title, labels, heads, rows, notes, footnotes in tables:
        cells = [(row, [CellText(*cell) for cell in own]) for row, own in rows]
        found.append(TableTexts(title, labels, heads, cells, notes, footnotes))
    return found
