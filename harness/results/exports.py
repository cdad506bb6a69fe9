"""A run's answers and judgments in the files of the benchmarks' own tools, for those tools to read.

exports/mt-bench/...    exports/alpaca-eval-2/...    as each benchmark's `export` writes them
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.declaration import JudgedAnswers
from harness.plan.measurements import Cell
from harness.plan.plan import Plan
from harness.results.judging import JudgedRow, file_name, judged_rows
from harness.store.store import Store


class RowKey(NamedTuple):
    """What tells a row of the table from the others."""

    pair: str
    dataset: str
    method: str
    seed: int


def write(plan: Plan, store: Store, out: Path) -> None:
    """Write every export that the plan's benchmarks have into `out`."""
    names = _row_names(plan)
    for name, chosen in plan.suite.benchmarks.chosen.items():
        if export := chosen.declaration.export:
            rows = [row for row in judged_rows(plan) if row.chosen.name == name]
            if rows:
                export(out / name, [_read(row, store, names) for row in rows])


def _read(row: JudgedRow, store: Store, names: Mapping[RowKey, str]) -> JudgedAnswers:
    """A row's judgments under the export's names, of itself and of the row that it is compared with."""
    judged = row.read(store, names[_key(row.cell)])
    reference = names.get(_key(row.cell)._replace(method=row.reference), row.reference)
    return judged._replace(reference=reference)


def _row_names(plan: Plan) -> dict[RowKey, str]:
    """Each row's name as that of a file: what tells it from the others."""
    # What is the same for all is left out: a run of one pair and one seed has plain methods' names.
    varied = [k for k in ("pair", "dataset", "seed") if len({getattr(c, k) for c in plan.cells}) > 1]
    parts = {_key(c): [*(str(getattr(c, k)) for k in varied), c.method] for c in plan.cells}
    return {key: file_name("-".join(words)) for key, words in parts.items()}


def _key(cell: Cell) -> RowKey:
    return RowKey(cell.pair, cell.dataset, cell.method, cell.seed)
