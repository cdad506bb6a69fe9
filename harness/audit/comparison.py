"""Our numbers beside an official tool's: equal, different by design, or different."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import fsum, isclose
from typing import NamedTuple

from benchmarks.referee import OfficialNumber, Referee, Ruling
from harness.audit.our_numbers import CellKey, OurNumbers
from harness.common.text import slug
from harness.results.manifest import ExportedRow

# Sums of the same numbers in another order, and numbers that went through JSON.
TOLERANCE = 1e-9
TABLE = "main table"


class Line(NamedTuple):
    """One number of one row. `reasons`: () where the two are equal, None where nothing explains them."""

    row: ExportedRow
    metric: str
    way: str
    ours: float
    theirs: float | None
    reasons: tuple[str, ...] | None

    @property
    def difference(self) -> float | None:
        return None if self.theirs is None else self.ours - self.theirs


def compared(referee: Referee, ruling: Ruling, rows: Sequence[ExportedRow], ours: OurNumbers) -> list[Line]:
    """A line for every number that both have, row by row: those of the rows, then the table's cells."""
    by_row: dict[tuple[str, str, str], list[OfficialNumber]] = defaultdict(list)
    for number in ruling.numbers:
        by_row[number.row, slug(number.judge), slug(number.reference)].append(number)
    lines = []
    for row in rows:
        official = by_row[row.row, row.judge_folder, row.reference_folder]
        known = ours.of_rows[row]
        lines += [_line(referee, row, n, known[n.metric]) for n in official if n.metric in known]
    return [*lines, *_table_lines(rows, lines, by_row, ours.cells)]


def _line(referee: Referee, row: ExportedRow, number: OfficialNumber, ours: float) -> Line:
    reasons: tuple[str, ...] | None = None
    if number.value is not None and _equal(ours, number.value):
        reasons = ()
    else:
        # The fewest that explain it; what is not on the list explains nothing.
        for way in sorted(number.by_design, key=lambda way: len(way.reasons)):
            if set(way.reasons) <= referee.reasons.keys() and _equal(ours, way.value):
                reasons = way.reasons
                break
    return Line(row, number.metric, number.way, ours, number.value, reasons)


def _table_lines(
    rows: Sequence[ExportedRow],
    lines: Sequence[Line],
    official: Mapping[tuple[str, str, str], Sequence[OfficialNumber]],
    cells: Mapping[CellKey, float],
) -> Iterator[Line]:
    """A cell is the mean over seeds of what each is by itself, with the departures that were found there."""
    explained = {(line.row, line.metric): line for line in lines if not line.way}
    for key, value in cells.items():
        own = [row for row in rows if _is_of(key, row)]
        numbers = [n for row in own for n in official[_names(row)] if n.metric == key.metric]
        theirs = [n.value for n in numbers if not n.way]
        if not own or not theirs or None in theirs:
            continue
        expected = _mean([v for v in theirs if v is not None])
        found = [explained[row, key.metric] for row in own if (row, key.metric) in explained]
        departures = tuple(dict.fromkeys(r for line in found for r in line.reasons or ()))
        reasons: tuple[str, ...] | None = () if _equal(value, expected) else None
        if reasons is None and departures and _equal(value, _mean([line.ours for line in found])):
            reasons = departures
        yield Line(own[0], key.metric, TABLE, value, expected, reasons)


def _is_of(key: CellKey, row: ExportedRow) -> bool:
    """Whether a row is behind a cell; what is not compared has a column by other reference answers."""
    same = (row.pair, row.dataset, row.method, row.benchmark, row.judge) == (
        *(key.pair, key.dataset, key.method, key.benchmark, key.judge),
    )
    return same and row.reference in ("", key.reference)


def _names(row: ExportedRow) -> tuple[str, str, str]:
    return row.row, row.judge_folder, row.reference_folder


def _equal(one: float, other: float) -> bool:
    return isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)
