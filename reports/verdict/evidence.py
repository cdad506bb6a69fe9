"""The facts of a verdict, from a run's statistics.

The tests are those of the tables' marks: all pairs of a column's rows but the Teacher. Those of the Teacher
with each of these rows are a family of their own, since the row that is compared with it was chosen for being
the highest.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import fsum

import numpy as np

from reports.records.groups import Groups
from reports.records.replicates import replicated
from reports.records.rows import Cost
from reports.records.run_folder import Rows
from reports.statistics import paired_test
from reports.statistics.bootstrap import DRAW, Draw, Replicate
from reports.statistics.planning import ALPHA
from reports.statistics.sample import Sample, covers, mean_of
from reports.tables import columns
from reports.tables.columns import MeasuredColumn, cell_notes, heading
from reports.tables.pairwise_tests import Tested, tested
from reports.tables.table import STUDENT, TEACHER, by_pair, is_teacher, is_untrained
from reports.verdict.facts import Claim, Gain, Gap, Spent, Standing, Top, Unjudged, Verdict


def verdicts(rows: Rows, groups: Groups, methods: Sequence[str], draw: Draw = DRAW) -> list[Verdict]:
    """One for each pair and dataset, of the rows of `methods`."""
    found = []
    for pair, own in by_pair(groups).items():
        shown_groups = [g for g in own if g.method in methods]
        numbers = [s for s in rows.summaries if (s.suite, s.pair) == pair and s.method in methods]
        known = columns.find(shown_groups, groups.benchmarks, numbers, groups.lender)
        shown = [c for c in known if c.source.column.best]
        costs = [c for c in rows.costs if (c.suite, c.pair) == pair]
        for dataset in sorted({g.dataset for g in own}):
            of_dataset = [c for c in costs if c.dataset == dataset]
            found.append(_verdict((*pair, dataset), shown, methods, of_dataset, draw))
    return found


def _verdict(
    of: tuple[str, str, str],
    shown: Sequence[MeasuredColumn],
    methods: Sequence[str],
    costs: Sequence[Cost],
    draw: Draw,
) -> Verdict:
    dataset, means = of[2], [c for c in shown if not c.is_summary]
    contestants = [m for m in methods if not is_teacher(m)]
    standings, single = list[Standing](), dict[str, str]()
    for column in means:
        tests = tested(column, dataset, contestants)
        # The Student alone is nobody's rival.
        if tests and not all(map(is_untrained, tests.scores.values)):
            standings.append(_standing(column, heading(column, shown).title, dataset, tests, draw))
            if not standings[-1].is_lent:
                found = tests.scores.unreplicated
                single |= {m: found[m] for m in contestants if m in found}
    trained = [
        g
        for c in means
        for (d, m), g in c.groups.items()
        if d == dataset and m in contestants and not g.is_one_model
    ]
    of_rows: dict[str, set[Replicate]] = defaultdict(set)
    for g in trained:
        of_rows[g.method] |= g.replicates
    return Verdict(
        *of,
        methods=tuple(m for m in contestants if not is_untrained(m)),
        standings=tuple(standings),
        replicates=replicated(of_rows.values()) if any(len(own) > 1 for own in of_rows.values()) else "",
        single=single,
        spent=tuple(_spent(standings, costs)),
        unjudged=tuple(_unjudged(means, shown, dataset, contestants)),
        untested=() if means else tuple(heading(c, shown).title for c in shown),
        is_trained=any(c.method in contestants and not is_untrained(c.method) for c in costs),
    )


def _standing(column: MeasuredColumn, title: str, dataset: str, tests: Tested, draw: Draw) -> Standing:
    scores, sample = tests.scores, tests.scores.chance.sample
    is_known, gaps = scores.chance.is_known, _gaps(sample)
    differ = any(p < ALPHA for p in tests.adjusted.values())
    places = dict(zip(sample.methods, paired_test.places(sample), strict=True))
    rows = sorted(scores.values, key=lambda m: (places[m], m))
    names = [m for m in rows if not any(gaps.get((other, m), 0.0) > sample.equal for other in rows)]
    below = {m: [_claim(gaps, tests.adjusted, top, m) for top in names] for m in rows if m not in names}
    told = {m: [c for c in claims if c] for m, claims in below.items() if is_known and all(claims) and claims}
    means = scores.resampled(Draw(1))  # the means alone, which no draw changes
    value = dict(zip(means.methods, means.means.tolist(), strict=True))
    rivals = [m for m in names if m != STUDENT] if is_known and STUDENT in rows else []
    # Its own reference: the same of every question, by definition.
    given = {m for m in names if m == column.source.reference and len({*scores.values[m].values()}) == 1}
    return Standing(
        title=title,
        unit=column.source.column.unit,
        rows=tuple(rows),
        tops=tuple(Top(m, value[m], m in given) for m in names),
        above=tuple(c for claims in told.values() for c in claims),
        untold=tuple(m for m in below if m not in told),
        apart=is_known and differ,
        is_single=not is_known and not column.is_replicated,
        is_lent=is_known and bool(scores.lent.words),
        of_checkpoints=differ and not is_known and column.is_replicated,
        gains=tuple(_gains(column, dataset, tests, rivals, draw)),
    )


def _gaps(sample: Sample) -> dict[tuple[str, str], float]:
    """(a, b) -> a less b on what both have, where that is enough."""
    gaps = paired_test.gaps(sample)
    names = list(enumerate(sample.methods))
    return {(a, b): float(gaps[i, k]) for i, a in names for k, b in names if not np.isnan(gaps[i, k])}


def _claim(
    gaps: Mapping[tuple[str, str], float], adjusted: Mapping[tuple[str, str], float], row: str, other: str
) -> Claim | None:
    """The claim that a row is above another, where their test tells so."""
    p = adjusted.get((min(row, other), max(row, other)), 1.0)
    return Claim(row, other, p) if p < ALPHA and gaps.get((row, other), 0.0) > 0 else None


def _gains(
    column: MeasuredColumn, dataset: str, tests: Tested, tops: Sequence[str], draw: Draw
) -> Iterator[Gain]:
    chance = tests.scores.chance
    compared = paired_test.versus(chance, STUDENT, tops, draw) if tops else {}
    gaps = _gaps(chance.sample)
    for m, c in compared.items():
        claim = _claim(gaps, tests.adjusted, m, STUDENT)
        gap = _gap(column, dataset, tests, m) if claim else None
        yield Gain(m, c.value, c.low, c.high, claim, gap)


def _gap(column: MeasuredColumn, dataset: str, tests: Tested, row: str) -> Gap | None:
    """None where the Teacher is not above the Student."""
    scores = column.scores(dataset, [*tests.scores.values, TEACHER])
    if TEACHER not in scores.values or not scores.chance.is_known:
        return None
    pairs = [(min(m, TEACHER), max(m, TEACHER)) for m in tests.scores.values]
    ps = {p: value for p in pairs if (value := paired_test.p_value(scores.chance, *p)) is not None}
    adjusted, gaps = paired_test.adjusted(scores.chance, ps), _gaps(scores.chance.sample)
    claim = _claim(gaps, adjusted, TEACHER, STUDENT)
    closed = _closed(scores.chance.sample, row)
    if not claim or closed is None:
        return None
    return Gap(claim, closed, _claim(gaps, adjusted, row, TEACHER))


def _closed(sample: Sample, row: str) -> float | None:
    """(row - Student) / (Teacher - Student), on what the three have in common."""
    own, student, teacher = (sample.values[sample.methods.index(m)] for m in (row, STUDENT, TEACHER))
    all_three = ~np.isnan(own + student + teacher)
    if not covers(sample, all_three):
        return None
    gap = mean_of(sample, teacher - student, all_three)
    return mean_of(sample, own - student, all_three) / gap if gap > sample.equal else None


def _spent(standings: Iterable[Standing], costs: Sequence[Cost]) -> Iterator[Spent]:
    """What each row that is above any other took, beside the method that took the fewest FLOPs."""
    seeds: dict[str, list[float]] = {}
    for c in costs:
        if not is_untrained(c.method):
            seeds.setdefault(c.method, []).append(c.train_flops + c.teacher_flops)
    flops = {m: fsum(own) / len(own) for m, own in seeds.items()}
    flops = {m: own for m, own in flops.items() if own}
    least = min(flops, key=lambda m: (flops[m], m), default="")
    told = dict.fromkeys(c.row for s in standings for c in s.above)
    return (Spent(m, flops[m], least, flops[least]) for m in told if m in flops)


def _unjudged(
    means: Sequence[MeasuredColumn], shown: Sequence[MeasuredColumn], dataset: str, methods: Sequence[str]
) -> Iterator[Unjudged]:
    for column in means:
        notes = cell_notes(column, dataset, methods)
        scores = column.scores(dataset, methods)
        for m in methods:
            if m not in scores.values:
                why = next(iter(notes[m]), "")
                yield Unjudged(m, heading(column, shown).title, why.removeprefix("not run: "))
