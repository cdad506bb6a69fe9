"""Our numbers as a run's folder has them: of each row its summaries and tasks, and the cells of its table."""

from collections import defaultdict
from math import fsum
from typing import NamedTuple

from harness.results.manifest import ExportedRow
from reports.records.groups import grouped
from reports.records.rows import Record, Summary
from reports.records.run_folder import Rows
from reports.statistics.bootstrap import Draw, Replicate
from reports.tables.main import main_tables

VALUES_ALONE = Draw(resamples=2)  # intervals are no part of an audit


class CellKey(NamedTuple):
    """A cell of the main table: whose, and the column's benchmark, metric, judge and reference."""

    pair: str
    dataset: str
    method: str
    benchmark: str
    metric: str
    judge: str
    reference: str


class RunKey(NamedTuple):
    """One run of a row on one benchmark, by one judge and against one reference."""

    pair: str
    dataset: str
    method: str
    world_seed: int
    seed: int
    benchmark: str
    judge: str
    reference: str


class OurNumbers(NamedTuple):
    """Metric -> value of each row that was exported, and the cells of the main table. `over_seeds` are cells
    that are no mean of their seeds' numbers: a question without a verdict in one seed counts with the others.
    """

    of_rows: dict[ExportedRow, dict[str, float]]
    cells: dict[CellKey, float]
    over_seeds: frozenset[CellKey] = frozenset()
    not_exported: tuple[tuple[str, str], ...] = ()  # benchmark and method of numbers that no exported row has


def our_numbers(rows: Rows, exported: tuple[ExportedRow, ...]) -> OurNumbers:
    """What the run's rows say of what was exported: "win_rate", or "primary/arc_challenge" of a task."""
    by_key: dict[RunKey, dict[str, float]] = defaultdict(dict)
    for s in rows.summaries:
        by_key[_key(s)][s.metric] = s.value
    tasks: dict[tuple[RunKey, str], list[float]] = defaultdict(list)
    for r in rows.records:
        if r.value is not None and rows.benchmarks.get(r.benchmark).tasks:
            tasks[_key(r), f"{r.metric}/{r.group}"].append(r.value)
    for (key, metric), values in tasks.items():
        by_key[key][metric] = fsum(values) / len(values)
    cells = _cells(rows)
    over_seeds = frozenset(cells.keys() & _uneven(rows))
    even = {key: value for key, value in cells.items() if key not in over_seeds}
    own = {_key(row) for row in exported}
    others = dict.fromkeys((key.benchmark, key.method) for key in by_key if key not in own)
    of_rows = {row: dict(by_key.get(_key(row), {})) for row in exported}
    return OurNumbers(of_rows, even, over_seeds, tuple(others))


def _uneven(rows: Rows) -> set[CellKey]:
    """The means over several seeds that have not the same values each."""
    runs: dict[CellKey, dict[Replicate, set[tuple[object, ...]]]] = defaultdict(lambda: defaultdict(set))
    for r in rows.records:
        if r.question:
            key = CellKey(r.pair, r.dataset, r.method, r.benchmark, r.metric, r.judge, r.reference)
            known = {(r.group, r.question, r.turn, r.order)} if r.value is not None else set()
            runs[key][r.replicate] |= known
    return {key for key, own in runs.items() if len(set(map(frozenset, own.values()))) > 1}


def _key(row: ExportedRow | Summary | Record) -> RunKey:
    run = row.pair, row.dataset, row.method, row.world_seed, row.seed
    return RunKey(*run, row.benchmark, row.judge, row.reference)


def _cells(rows: Rows) -> dict[CellKey, float]:
    found: dict[CellKey, float] = {}
    for pair, names in rows.methods().items():
        own = rows.of_pair(pair)
        groups = grouped(own.records, rows.benchmarks)
        for table in main_tables(groups, names, VALUES_ALONE, own.summaries):
            for row in table.rows:
                for column, cell in zip(table.columns, row.cells, strict=True):
                    if isinstance(cell.value, float) and (source := column.source):
                        about = (source.benchmark.name, source.column.metric, source.judge, source.reference)
                        found[CellKey(pair, row.dataset, row.method, *about)] = cell.value
    return found
