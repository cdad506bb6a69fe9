"""The paper's main table beside ours: published, ours with its interval, and what may be said of the two.

MT-Bench 3.88 published | 3.71 [3.50, 3.92] ours | agrees
A verdict is only given where the two could be equal: the same models, data, tasks and reference, and a judge
that the paper names (it names none). Else the reason stands in its place.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from reports import published
from reports.published import Scores
from reports.records.groups import Records, grouped
from reports.statistics.bootstrap import DRAW, Draw
from reports.tables import columns as slots
from reports.tables.columns import TASKS, Slot
from reports.tables.table import Cell, Column, Row, Table, Unit, by_pair, title

# Suite and data set of the paper's own models -> its table. Other suites stand beside the first of them.
OF_THE_PAPER = {
    ("adpa-llama", "dpo-mix-7k"): published.DPO_MIX_7K,
    ("adpa-llama", "helpsteer2"): published.HELPSTEER2,
}
SOURCE = "published: ADPA's main table (Gao et al., ICLR 2025), {data}; its judge is not named"
VERDICTS = "agrees: our interval holds the published number; differs: it does not"


class Spec(NamedTuple):
    """A column of the paper: the benchmark it is of, how it is shown, and its value in our unit."""

    benchmark: str
    title: str
    unit: Unit
    judged: bool


SPECS = (
    Spec("mt-bench", "MT-Bench", "score", True),
    Spec("alpaca-eval", "AlpacaEval WR (%)", "share", True),
    Spec("openllm", "OpenLLM", "share", False),
)


def beside_tables(records: Records, methods: Sequence[str], draw: Draw = DRAW) -> list[Table]:
    """One table per pair and data set that has any of the paper's benchmarks."""
    tables = []
    for (suite, pair), groups in by_pair(grouped(records)).items():
        for dataset in sorted({g.dataset for g in groups}):
            paper = OF_THE_PAPER.get((suite, dataset), published.DPO_MIX_7K)
            same = (suite, dataset) in OF_THE_PAPER
            of_set = [g for g in groups if g.dataset == dataset and g.method in methods]
            shown = [s for s in slots.find(of_set) if s.spec.benchmark in {spec.benchmark for spec in SPECS}]
            if shown:
                what = f"{title('Beside the paper', suite, pair)}, {dataset}"
                tables.append(_table(what, dataset, methods, shown, paper, same, draw))
    return tables


def _table(
    what: str,
    dataset: str,
    methods: Sequence[str],
    shown: list[Slot],
    paper: Mapping[str, Scores],
    same: bool,
    draw: Draw,
) -> Table:
    columns: list[Column] = []
    cells: dict[str, list[Cell]] = {m: [] for m in methods}
    for slot in shown:
        spec = next(s for s in SPECS if s.benchmark == slot.spec.benchmark)
        own = slots.column(slot, shown)
        columns += [
            Column(f"{own.name}.published", f"{own.title}, published", spec.unit),
            Column(f"{own.name}.ours", "ours", spec.unit),
            Column(f"{own.name}.verdict", "verdict", "text"),
        ]
        ours = slots.cells(slot, dataset, methods, slots.mean, draw)
        reason = _reason(spec, slot, same)
        for m in methods:
            told = _published(spec, paper.get(m))
            cells[m] += [Cell(told), ours[m], Cell(_verdict(told, ours[m], reason))]
    data = "HelpSteer2" if paper is published.HELPSTEER2 else "DPO-MIX-7K"
    notes = (SOURCE.format(data=data), VERDICTS, *slots.notes(shown, methods, draw))
    return Table(
        what, tuple(columns), tuple(Row(dataset, m, tuple(found)) for m, found in cells.items()), notes
    )


def _published(spec: Spec, row: Scores | None) -> float | None:
    if row is None:
        return None
    return {"mt-bench": row.mt_bench, "alpaca-eval": row.win_rate / 100, "openllm": row.openllm / 100}[
        spec.benchmark
    ]


def _reason(spec: Spec, slot: Slot, same: bool) -> str:
    """Why two numbers of a column cannot be compared; "" where they can."""
    if not same:
        return "other models"
    if spec.judged:
        compared = spec.benchmark == "alpaca-eval"  # MT-Bench's reference is what the judge is shown as right
        return "other reference" if compared and slot.reference != "ADPA" else "other judge"
    tasks = set(slots.tasks_of(slot))
    return "" if tasks == set(TASKS) else "other tasks"


def _verdict(told: float | None, ours: Cell, reason: str) -> str | None:
    if told is None or not isinstance(ours.value, float):
        return None
    if reason:
        return f"not comparable: {reason}"
    if ours.low is None or ours.high is None:
        return "cannot be told"
    return "agrees" if ours.low <= told <= ours.high else "differs"
