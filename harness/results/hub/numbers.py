"""The main tables of a row, and of one of its checkpoints alone."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.results.records import RowKey
from reports import build
from reports.records.run_folder import Rows
from reports.render import FORMATS
from reports.tables.main import main_tables
from reports.tables.table import Column, Table


class Number(NamedTuple):
    """A checkpoint's value in one column; shares are 0-1."""

    column: Column
    value: float
    low: float | None
    high: float | None
    n: int

    @property
    def interval(self) -> str:
        """[5.90, 6.60], or nothing."""
        if self.low is None or self.high is None:
            return ""
        return f"[{self.text(self.low)}, {self.text(self.high)}]"

    def text(self, value: float | None = None) -> str:
        """A value of the column as tables print it."""
        return FORMATS[self.column.unit](self.value if value is None else value)

    def scaled(self, value: float) -> float:
        """A value of the column in the unit that tables print."""
        return 100 * value if self.column.unit == "share" else value


def of_checkpoint(rows: Rows, key: RowKey) -> tuple[list[Number], Sequence[str]]:
    """What was measured of one checkpoint, and the notes on it: those of a table of this row alone."""
    own = rows._replace(records=[r for r in rows.records if RowKey.of(r) == key], lender=None)
    summaries = [s for s in rows.summaries if RowKey.of(s) == key]
    (pair,) = build.paired(own).pairs
    tables = main_tables(pair.groups, [key.method], summaries=summaries, checks=own.checks)
    return [number for table in tables for number in _numbers(table)], tables[0].notes if tables else ()


def _numbers(table: Table) -> Iterator[Number]:
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if isinstance(cell.value, float | int):
                yield Number(column, float(cell.value), cell.low, cell.high, cell.n)


def of_run(rows: Rows, pair: str) -> tuple[list[Table], list[str]]:
    """The main tables of a pair, and the verdict of the run."""
    own = build.paired(rows.of_pair(pair))
    return build.build(own).get("main", []), build.verdict(own)
