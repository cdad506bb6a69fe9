"""Tables as a page shows them: the texts of `render.py`, with values to sort by and links to questions."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from reports.records.texts import Text
from reports.render import CellText, shown
from reports.tables.table import Cell, Column, Source, Table

LINKED = ("main", "pad", "comparison", "ablation")
LESS = "less "


class JudgmentSet(NamedTuple):
    """The judgments of one benchmark by one judge, against one reference: what the page shows together."""

    pair: str
    dataset: str
    benchmark: str
    metric: str
    judge: str
    reference: str


class CellView(NamedTuple):
    """A cell: its texts, a value to sort by ("" for none), footnotes in words, the address of its answers,
    and the letters that it shares with whom no test tells it from.
    """

    text: CellText
    cell: Cell
    key: str
    notes: str
    href: str
    letters: str = ""


class RowView(NamedTuple):
    """A row; `labels` are its dataset, where there are several, and its method; `place` is its own where the
    table's rows stand in another order than the registry's.
    """

    dataset: str
    method: str
    labels: list[str]
    cells: list[CellView]
    place: int | None = None


class TableView(NamedTuple):
    """A table under its `name` in the files of `tables/`; `sorted_by` names the column whose highest value
    stands first.
    """

    name: str
    title: str
    labels: list[str]
    columns: Sequence[Column]
    heads: list[str]
    rows: list[RowView]
    notes: list[str]
    footnotes: list[str]
    sorted_by: str = ""


def groups(texts: Iterable[Text]) -> list[JudgmentSet]:
    """The sets of judgments that there are texts of, sorted."""
    return sorted(
        {JudgmentSet(t.pair, t.dataset, t.benchmark, t.metric, t.judge, t.reference) for t in texts}
    )


def view(name: str, table: Table, pair: str, sets: Sequence[JudgmentSet]) -> TableView:
    """A table of one pair; means and differences link to the answers that they are a mean over.

    A difference's answers stand beside those of the method that it is taken from.
    """
    page, linked, baseline = shown(table), name in LINKED, ""
    # Its columns are titled by the row that they compare with.
    if name == "comparison":
        baseline = next(c.title.removeprefix(LESS) for c in table.columns if c.name.endswith(".less"))
    rows = []
    for row, (labels, texts) in zip(table.rows, page.rows, strict=True):
        cells = []
        for column, cell, text in zip(table.columns, row.cells, texts, strict=True):
            href = ""
            if linked and cell.n and column.source:
                href = link(pair, row.dataset, row.method, column.source, sets, baseline)
            key = "" if cell.value is None else str(cell.value)
            cells.append(CellView(text, cell, key, "; ".join(cell.notes), href))
        rows.append(RowView(row.dataset, row.method, labels, cells))
    return TableView(
        name, table.title, page.labels, table.columns, page.heads, rows, page.notes, page.footnotes
    )


def link(
    pair: str, dataset: str, method: str, source: Source, sets: Sequence[JudgmentSet], baseline: str = ""
) -> str:
    """The address of a cell's questions in the page, "" where there are no texts of it."""
    metric = source.column.judged or source.column.metric
    own = [s for s in sets if s[:4] == (pair, dataset, source.benchmark.name, metric)]
    if not own:
        return ""
    # A column that is the only one of its benchmark, or joins several references, is told by neither of them.
    s = max(own, key=lambda s: (s.judge == source.judge, s.reference == source.reference))
    beside = {"a": method} | ({"b": baseline} if baseline not in ("", method) else {})
    asked = {"bench": s.benchmark, "judge": s.judge, "ref": s.reference, "data": dataset, "pair": pair}
    return "#" + urlencode({k: v for k, v in asked.items() if v} | beside, errors="replace")
