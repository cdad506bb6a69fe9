"""Every pair of methods in one column, tested and Holm-adjusted; and which cells that lets stand out.

The best of a column is marked where its test against the second stands at 5 %, Holm-adjusted over all pairs
of the column; the second where its test against the third does. The teacher is no contestant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np

from reports.statistics import paired_test, variance
from reports.statistics.bootstrap import Item
from reports.statistics.paired_test import holm
from reports.statistics.variance import Sample
from reports.tables.columns import MeasuredColumn, heading, weights_of
from reports.tables.table import TEACHER, Cell, Mark

ALPHA = 0.05
NOTE = (
    "bold: the best, if a paired test tells it from the second at p < 0.05, Holm over all pairs of its "
    "column; underlined: the second, if one tells it from the third; the Teacher takes no part"
)
Pair = tuple[str, str]


class Tested(NamedTuple):
    """The methods of one dataset and column that have a value in every stratum, and what their tests say."""

    sample: Sample
    values: Mapping[str, Mapping[Item, float]]  # method -> question -> mean over seeds
    lacks: dict[str, list[str]]  # method -> strata without a value, of the methods left out
    ps: dict[Pair, float]  # of every pair that could be tested
    adjusted: dict[Pair, float]  # Holm over those pairs


def tested(column: MeasuredColumn, dataset: str, methods: Sequence[str]) -> Tested | None:
    """The tests of all pairs of methods; None if no method has a value in every stratum."""
    measured = {m: g.measured for m in methods if (g := column.groups.get((dataset, m)))}
    values = {m: own.values for m, own in measured.items() if own.values}
    strata = {item.stratum for own in values.values() for item in own}
    lacks = {m: sorted(strata - {item.stratum for item in values[m]}) for m in values}
    whole = {m: values[m] for m, missing in lacks.items() if not missing}
    if not whole:
        return None
    sample = variance.make_sample(whole, {m: measured[m].runs for m in whole}, weights_of(column, strata))
    # By name, as p-values of (a, b) and (b, a) may differ in their last digit.
    pairs = {p: paired_test.p_value(sample, *p) for p in combinations(sorted(whole), 2)}
    ps = {p: value for p, value in pairs.items() if value is not None}
    adjusted = dict(zip(ps, holm(ps.values()), strict=True))
    return Tested(sample, whole, {m: s for m, s in lacks.items() if s}, ps, adjusted)


def mark(column: MeasuredColumn, dataset: str, cells: Mapping[str, Cell]) -> dict[str, Cell]:
    """The cells of a column, method by method, with those marked that stand out."""
    marks = _marks(column, dataset, list(cells)) if column.source.column.best else {}
    return {m: replace(cell, mark=marks.get(m, "")) for m, cell in cells.items()}


def notes(columns: Sequence[MeasuredColumn]) -> tuple[str, ...]:
    """What marks say, under columns that may have them, and which have no values of questions to test."""
    explained = (NOTE,) if any(c.source.column.best and not c.is_summary for c in columns) else ()
    if untested := [heading(c, columns).title for c in columns if c.is_summary]:
        return (*explained, f"never marked, as no paired test is made: {', '.join(untested)}")
    return explained


def _marks(column: MeasuredColumn, dataset: str, methods: Sequence[str]) -> dict[str, Mark]:
    tests = tested(column, dataset, [m for m in methods if m != TEACHER])
    if tests is None:
        return {}
    sample = tests.sample
    means = {
        m: variance.mean_of(sample, x, ~np.isnan(x))
        for m, x in zip(sample.methods, sample.values, strict=True)
    }
    order = sorted(means, key=lambda m: (-means[m], m))
    marks: dict[str, Mark] = {}
    first_two: tuple[Mark, Mark] = ("best", "second")
    for name, (a, b) in zip(first_two, pairwise(order), strict=False):
        if tests.adjusted.get((min(a, b), max(a, b)), 1.0) < ALPHA:
            marks[a] = name
    return marks
