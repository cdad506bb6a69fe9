"""A run's results as pandas has them: what `reports.results("runs/pocket")` gives.

run.records                 a row for each measured item, as in results.jsonl
run.tables()["main"]        a row for each cell: dataset, method, column, value, low, high, n, note
run.verdict()               what the tests say in words, a paragraph for each pair and data set
run.compare("DPO")          a row for each method and benchmark: mean, less, p, p_adjusted, rank, group, mde
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from reports import build
from reports.build import Paired
from reports.records import run_folder
from reports.tables.table import Table


@dataclass(frozen=True)
class Results:
    """A run's folder, and its rows as they were read; shares are 0-1."""

    folder: Path
    paired: Paired

    @cached_property
    def records(self) -> pd.DataFrame:
        """Every measured item; `value` is missing where `status` is not "ok"."""
        return pd.DataFrame(map(asdict, self.paired.rows.records))

    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table that the run has something for, cell by cell."""
        return {name: _frame(parts) for name, parts in build.build(self.paired).items()}

    def verdict(self) -> list[str]:
        """What the tests say in words."""
        return build.verdict(self.paired)

    def compare(self, baseline: str) -> pd.DataFrame:
        """Every method less `baseline`, a row for each benchmark's column; ValueError where no row is called
        so.
        """
        compared = build.compared(self.paired.rows, baseline)
        return pd.DataFrame(row for table in compared for row in _wide(table))


def read(folder: Path) -> Results:
    """The results in a folder; ValueError where it is no run's."""
    return Results(folder, build.paired(run_folder.read(folder)))


def _frame(tables: Sequence[Table]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            **{"table": table.title, "dataset": row.dataset, "method": row.method, "column": column.name},
            **{"value": cell.value, "low": cell.low, "high": cell.high},
            **{"n": cell.n or None, "note": "; ".join(cell.notes)},
        }
        for table in tables
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
    )


def _wide(table: Table) -> Iterator[dict[str, Any]]:
    """A comparison's rows: its columns by their last names, with the ends of their intervals."""
    names = [column.name.rpartition(".")[::2] for column in table.columns]
    for row in table.rows:
        found: dict[str, Any] = {"dataset": row.dataset, "method": row.method, "column": names[0][0]}
        for (_, name), cell in zip(names, row.cells, strict=True):
            found[name] = cell.value
            if name == "less":
                found |= {"less_low": cell.low, "less_high": cell.high, "n": cell.n or None}
        yield found
