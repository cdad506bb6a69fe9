"""Sums of variances: degrees of freedom by hand, and values of any size."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from reports import build
from reports.records.run_folder import Rows
from reports.statistics.planning import Design
from reports.statistics.variance import VariancePart, added
from reports.tables.table import Cell
from tests.reports.verdict.made_up import scores

IN_UNITS = ("MT-Bench", "less DPO", "MDE", "SD of a value", "Half-width", "MDE, one pair", "Difference")


@pytest.mark.parametrize("size", [1.0, 1e300, 1e-300])
def test_degrees_of_freedom_of_a_sum_by_hand(size: float):
    """(1 + 3)^2 / (1^2 / 2 + 3^2 / 6) = 8, in whatever unit."""
    parts = [VariancePart(size, 2.0), VariancePart(3 * size, 6.0)]
    assert added(parts) == pytest.approx((4 * size, 8.0))
    assert Design(size, 2.0, 3 * size, 6.0).df == pytest.approx(8.0)


@pytest.mark.parametrize("scale", [2.0**496, 2.0**-496])
@pytest.mark.parametrize(("seeds", "worlds"), [(1, 1), (3, 1), (1, 3)])
def test_values_of_any_size_have_the_tests_of_ordinary_ones(scale: float, seeds: int, worlds: int):
    """Ratings of 6e149 or 1e-149: each difference is by so much another, and no p, rank or letter is."""
    records = scores({"Student": 3.0, "SFT": 3.3, "DPO": 3.8, "ADPA": 4.5}, seeds, worlds, n=20)
    plain, scaled = (Rows(records=[replace(r, value=r.value * by) for r in records]) for by in (1.0, scale))
    for (head, one), (_, other) in zip(cells(plain), cells(scaled), strict=True):
        times = scale if head in IN_UNITS or head.startswith("MDE") else 1.0
        assert numbers(other) == pytest.approx([x * times for x in numbers(one)], rel=1e-9), head
        assert not isinstance(one.value, str) or one == other
    (words,), (same,) = build.verdict(plain), build.verdict(scaled)
    assert words.partition(" (")[0] == same.partition(" (")[0]


def cells(rows: Rows) -> Iterator[tuple[str, Cell]]:
    for table in [*build.compared(rows, "DPO"), *build.noise(rows)]:
        for row in table.rows:
            yield from ((c.title, cell) for c, cell in zip(table.columns, row.cells, strict=True))


def numbers(cell: Cell) -> list[float]:
    return [x for x in (cell.value, cell.low, cell.high) if isinstance(x, float)]
