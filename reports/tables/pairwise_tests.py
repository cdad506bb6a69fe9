"""Every pair of methods in one column, tested and adjusted for their number; and which cells stand out.

The best of a column is marked where its test against the second stands at 5 %, adjusted over all pairs of the
column; the second where its test against the third does. Who is above whom is the sign of the two's
difference on what both have: their means may be over different questions. The teacher is no contestant. Of
one training a method nothing is marked: what its test tells apart are checkpoints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from typing import NamedTuple

from reports.statistics import paired_test
from reports.statistics.paired_test import Pair
from reports.statistics.planning import ALPHA
from reports.tables.columns import SINGLE, UNKNOWN_CHANCE, MeasuredColumn, heading
from reports.tables.scores import Scores
from reports.tables.table import Cell, Mark, is_teacher

NOTE = (
    "bold: the best, if a test over trainings and questions tells it from the second at p < 0.05, adjusted "
    "(step-down minP) over all pairs of its column; underlined: the second, if one tells it from the third; "
    "the Teacher takes no part"
)
UNEVEN = "some rows lack verdicts; marks, ranks and differences are over what two rows share"


class Tested(NamedTuple):
    """The rows of one dataset and column that have scores, and what their tests say."""

    scores: Scores
    ps: dict[Pair, float]  # of every pair that could be tested
    adjusted: dict[Pair, float]  # over those pairs


def tested(column: MeasuredColumn, dataset: str, methods: Sequence[str]) -> Tested | None:
    """The tests of all pairs of methods; None if no method has a value in every stratum."""
    scores = column.scores(dataset, methods)
    if not scores.values:
        return None
    # By name, as p-values of (a, b) and (b, a) may differ in their last digit.
    pairs = {p: paired_test.p_value(scores.chance, *p) for p in combinations(sorted(scores.values), 2)}
    ps = {p: value for p, value in pairs.items() if value is not None}
    return Tested(scores, ps, paired_test.adjusted(scores.chance, ps))


def mark(column: MeasuredColumn, dataset: str, cells: Mapping[str, Cell]) -> dict[str, Cell]:
    """The cells of a column, method by method, with those marked that stand out."""
    marks = _marks(column, dataset, list(cells)) if column.source.column.best else {}
    return {m: replace(cell, mark=marks.get(m, "")) for m, cell in cells.items()}


def notes(columns: Sequence[MeasuredColumn]) -> tuple[str, ...]:
    """What marks say, under columns that may have them, and which have no values of questions to test."""
    explained: tuple[str, ...] = ()
    if markable := [c for c in columns if c.source.column.best and not c.is_summary and c.of_datasets]:
        known = [c for c in markable if c.is_known]
        single, unknown = (
            [heading(c, columns).title for c in markable if c not in known and c.is_replicated == kind]
            for kind in (False, True)
        )
        explained = (NOTE,) if known else (SINGLE,) if not unknown else ()
        if single and (known or unknown):
            explained += (f"{', '.join(single)}: {SINGLE}",)
        if unknown:
            explained += (f"{', '.join(unknown)}: {UNKNOWN_CHANCE}",)
    if uneven := [heading(c, columns).title for c in columns if c.is_uneven]:
        explained += (f"{', '.join(uneven)}: {UNEVEN}",)
    if untested := [heading(c, columns).title for c in columns if c.is_summary]:
        return (*explained, f"never marked, as no paired test is made: {', '.join(untested)}")
    return explained


def _marks(column: MeasuredColumn, dataset: str, methods: Sequence[str]) -> dict[str, Mark]:
    tests = tested(column, dataset, [m for m in methods if not is_teacher(m)])
    if tests is None or not tests.scores.chance.is_known:
        return {}
    sample = tests.scores.chance.sample
    ranked = dict(zip(sample.methods, paired_test.places(sample), strict=True))
    order = sorted(ranked, key=lambda m: (ranked[m], m))
    marks: dict[str, Mark] = {}
    first_two: tuple[Mark, Mark] = ("best", "second")
    for place, (name, (a, b)) in enumerate(zip(first_two, pairwise(order), strict=False), 1):
        # A place of its own: it is above all that follow, on the items that it has in common with each.
        if ranked[a] != place:
            break
        if tests.adjusted.get((min(a, b), max(a, b)), 1.0) < ALPHA:
            marks[a] = name
    return marks
