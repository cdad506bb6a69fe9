"""The paper's main table beside ours: published, ours with its interval, and what may be said of the two.

    | Method | My bench, published | ours              | verdict |
    | ADPA   | 3.88                | 3.71 [3.50, 3.92] | agrees  |

A verdict is only given where the two could be equal: the same models, data, tasks and reference, and a judge
that the paper names (it names none). Else the reason stands in its place.
"""

from collections.abc import Sequence
from itertools import chain

from reports import published
from reports.records.groups import Records, grouped
from reports.statistics.bootstrap import DRAW, Draw
from reports.tables import column_notes, columns
from reports.tables.columns import MeasuredColumn
from reports.tables.scores import mean
from reports.tables.table import Cell, Column, Row, Table, by_pair, title

# Suite and data set of the paper's own models -> its table. Other suites stand beside the first of them.
SAME_MODELS = {
    ("adpa-llama", "dpo-mix-7k"): published.DPO_MIX_7K,
    ("adpa-llama", "helpsteer2"): published.HELPSTEER2,
}
SOURCE = "published: ADPA's main table (Gao et al., ICLR 2025), {data}; its judge is not named"
VERDICTS = "agrees: our interval holds the published number; differs: it does not"


def beside_tables(records: Records, methods: Sequence[str], draw: Draw = DRAW) -> list[Table]:
    """One table per pair and data set that has any of the paper's benchmarks."""
    tables, groups = [], grouped(records)
    for (suite, pair), own in by_pair(groups).items():
        for dataset in sorted({g.dataset for g in own}):
            measured = [g for g in own if g.dataset == dataset and g.method in methods]
            shown = [
                c
                for c in columns.find(measured, groups.benchmarks, lender=groups.lender)
                if c.source.publishes("adpa")
            ]
            if shown:
                what = f"{title('Beside the paper', suite, pair)}, {dataset}"
                tables.append(_table(what, (suite, dataset), methods, shown, draw))
    return tables


def _table(
    what: str,
    key: tuple[str, str],
    methods: Sequence[str],
    shown: list[MeasuredColumn],
    draw: Draw,
) -> Table:
    """`key`: suite and data set."""
    paper, dataset = SAME_MODELS.get(key, published.DPO_MIX_7K), key[1]
    heads: list[Column] = []
    cells: dict[str, list[Cell]] = {m: [] for m in methods}
    for column in shown:
        own, number = columns.heading(column, shown), column.source.publishes("adpa")
        heads += [
            Column(f"{own.name}.published", f"{own.title}, published", own.unit),
            Column(f"{own.name}.ours", "ours", own.unit),
            Column(f"{own.name}.verdict", "verdict", "text"),
        ]
        ours = columns.cells(column, dataset, methods, mean, draw)
        reason = _reason(column) if key in SAME_MODELS else "other models"
        for m in methods:
            theirs = paper[m][number] / (100 if own.unit == "share" else 1) if m in paper else None
            cells[m] += [Cell(theirs), ours[m], Cell(_verdict(theirs, ours[m], reason))]
    data = "HelpSteer2" if paper is published.HELPSTEER2 else "DPO-MIX-7K"
    rows = tuple(Row(dataset, m, tuple(own)) for m, own in cells.items())
    told = column_notes.notes(shown, methods, draw), column_notes.exact_notes(heads, rows)
    return Table(what, tuple(heads), rows, (SOURCE.format(data=data), VERDICTS, *chain(*told)))


def _reason(column: MeasuredColumn) -> str:
    """Why two numbers of a column cannot be compared though the models are the same; "" where they can."""
    tasks = column.source.benchmark.tasks
    if tasks is None:
        # Only a win rate is against a reference; one of ratings is what the judge is shown as right.
        compared = column.source.publishes("adpa") == "win_rate"
        return "other reference" if compared and column.source.reference != "ADPA" else "other judge"
    return "" if set(columns.tasks_of(column)) == set(tasks.titles) else "other tasks"


def _verdict(theirs: float | None, ours: Cell, reason: str) -> str | None:
    if theirs is None or not isinstance(ours.value, float):
        return None
    if reason:
        return f"not comparable: {reason}"
    if ours.low is None or ours.high is None:
        return "cannot be told"
    return "agrees" if ours.low <= theirs <= ours.high else "differs"
