"""Tables as a page shows them: the texts of `render.py`, with values to sort by and links to questions."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from reports.records.texts import Text
from reports.render import Text as Shown
from reports.render import shown
from reports.tables.table import Cell, Column, Table

LINKED = ("main", "pad", "comparison", "ablation")
LESS = "less "


class Of(NamedTuple):
    """What a set of judgments is told apart by."""

    pair: str
    dataset: str
    benchmark: str
    metric: str
    judge: str
    reference: str


class CellView(NamedTuple):
    """A cell: its texts, a value to sort by ("" for none), footnotes in words, the address of its answers."""

    text: Shown
    cell: Cell
    key: str
    notes: str
    href: str


class RowView(NamedTuple):
    """A row; `labels` are its dataset, where there are several, and its method."""

    dataset: str
    method: str
    labels: list[str]
    cells: list[CellView]


class TableView(NamedTuple):
    """A table under its `name` in the files of `tables/`."""

    name: str
    title: str
    labels: list[str]
    columns: Sequence[Column]
    heads: list[str]
    rows: list[RowView]
    notes: list[str]
    footnotes: list[str]


def groups(texts: Iterable[Text]) -> list[Of]:
    """The sets of judgments that there are texts of, sorted."""
    return sorted({Of(t.pair, t.dataset, t.benchmark, t.metric, t.judge, t.reference) for t in texts})


def view(name: str, table: Table, pair: str, sets: Sequence[Of]) -> TableView:
    """A table of one pair; means and differences link to the answers that they are a mean over.

    A difference's answers stand beside those of the method that it is taken from.
    """
    page, linked, baseline = shown(table), name in LINKED, ""
    if name == "comparison":
        baseline = next(c.title.removeprefix(LESS) for c in table.columns if c.name.endswith(".less"))
    rows = []
    for row, (labels, texts) in zip(table.rows, page.rows, strict=True):
        cells = []
        for column, cell, text in zip(table.columns, row.cells, texts, strict=True):
            href = link(pair, row.dataset, row.method, column, sets, baseline) if linked and cell.n else ""
            key = "" if cell.value is None else str(cell.value)
            cells.append(CellView(text, cell, key, "; ".join(cell.notes), href))
        rows.append(RowView(row.dataset, row.method, labels, cells))
    return TableView(
        name, table.title, page.labels, table.columns, page.heads, rows, page.notes, page.footnotes
    )


def link(pair: str, dataset: str, method: str, column: Column, sets: Sequence[Of], baseline: str = "") -> str:
    """The address of a cell's questions in the page, "" where there are no texts of it."""
    # A column of a comparison is named by what it compares, and then by its part.
    name = column.name.rpartition(".")[0] if baseline else column.name
    spec, _, told = name.partition(" ")
    benchmark, _, metric = spec.partition(".")
    there = [s for s in sets if (s.pair, s.dataset, s.benchmark) == (pair, dataset, benchmark)]
    # A column is told by reference and judge only where its benchmark has several of them.
    named = [s for s in there if told in ("", *_names(s))]
    own = [s for s in named if metric in (s.metric, f"lc_{s.metric}")]
    if not own:
        return ""
    s = own[0]
    beside = {"a": method} | ({"b": baseline} if baseline not in ("", method) else {})
    asked = {"bench": benchmark, "judge": s.judge, "ref": s.reference, "data": dataset, "pair": pair}
    return "#" + urlencode({k: v for k, v in asked.items() if v} | beside)


def _names(of: Of) -> tuple[str, str, str]:
    """The ways in which a column's name may go on after its metric."""
    against, by = f"vs {of.reference or 'none'}", f"by {of.judge or 'none'}"
    return against, by, f"{against} {by}"
