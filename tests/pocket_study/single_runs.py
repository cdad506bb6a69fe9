"""What a single run would have said, beside what all of them say together."""

from collections.abc import Mapping, Sequence
from math import nan, sqrt
from statistics import fmean, stdev
from typing import NamedTuple

from scipy import stats

from reports import published
from reports.records.groups import Group
from reports.statistics import paired_test
from reports.statistics.bootstrap import Replicate
from reports.statistics.planning import ALPHA
from reports.tables.columns import MeasuredColumn
from reports.tables.pairwise_tests import tested
from reports.tables.table import TEACHER


class Leaders(NamedTuple):
    """Of the single runs of a column: how many have which leader, and what all runs say of these.

    `same`: the leader is that of all runs; `not_worse`: no test tells it from that; `order`: share of the
    pairs that all runs tell apart whose order is that of all runs.
    """

    best: str
    runs: int
    same: int
    not_worse: int
    order: float
    pairs: int


class Agreement(NamedTuple):
    """Kendall's tau-b against the paper's table: the mean over base models with its 95 % t interval, and the
    least and the highest of single runs.
    """

    tau: float
    low: float
    high: float
    least: float
    most: float
    methods: int


def means(column: MeasuredColumn, dataset: str, methods: Sequence[str]) -> dict[Replicate, dict[str, float]]:
    """Replicate -> the mean of each method over its items, of those replicates that every method has."""
    groups = {m: column.groups[dataset, m] for m in methods if (dataset, m) in column.groups}
    shared = set.intersection(*({*g.measured.runs} for g in groups.values()))
    return {r: {m: _mean(column, g, r) for m, g in groups.items()} for r in sorted(shared)}


def _mean(column: MeasuredColumn, group: Group, replicate: Replicate) -> float:
    """The mean over tasks, where there are any, of those over items."""
    by_stratum: dict[str, list[float]] = {}
    for item, value in group.measured.runs[replicate].items():
        by_stratum.setdefault(item.stratum, []).append(value)
    return fmean(fmean(values) for values in by_stratum.values())


def leaders(column: MeasuredColumn, dataset: str, methods: Sequence[str]) -> Leaders:
    """How often a single run's leader is that of all runs; the Teacher is no contestant."""
    own = [m for m in methods if m != TEACHER]
    tests = tested(column, dataset, own)
    assert tests is not None
    sample = tests.scores.chance.sample
    ranked = dict(zip(sample.methods, paired_test.places(sample), strict=True))
    best = min(ranked, key=lambda m: (ranked[m], m))
    apart = [pair for pair, p in tests.adjusted.items() if p < ALPHA]
    runs = means(column, dataset, own)
    first = [max(values, key=values.__getitem__) for values in runs.values()]
    worse = {m for pair in apart if best in pair for m in pair}
    kept = [
        (values[a] - values[b]) * (ranked[b] - ranked[a]) > 0 for values in runs.values() for a, b in apart
    ]
    return Leaders(
        best,
        len(runs),
        sum(m == best for m in first),
        sum(m == best or m not in worse for m in first),
        fmean(kept) if kept else nan,
        len(apart),
    )


def agreement(column: MeasuredColumn, dataset: str, methods: Sequence[str]) -> Agreement | None:
    """The order of our methods and that of ADPA's Table 1; None where the paper has no such column."""
    number = column.source.publishes("adpa")
    if not number:
        return None
    theirs = {
        m: published.DPO_MIX_7K[m][number] for m in methods if m in published.DPO_MIX_7K and m != TEACHER
    }
    runs = means(column, dataset, list(theirs))
    worlds: dict[int, list[Mapping[str, float]]] = {}
    for replicate, values in runs.items():
        worlds.setdefault(replicate.world, []).append(values)
    of_worlds = [_tau(theirs, {m: fmean(v[m] for v in own) for m in theirs}) for own in worlds.values()]
    of_runs = [_tau(theirs, values) for values in runs.values()]
    half = nan
    if len(of_worlds) > 1:
        half = float(stats.t.ppf(0.975, len(of_worlds) - 1)) * stdev(of_worlds) / sqrt(len(of_worlds))
    tau = fmean(of_worlds)
    return Agreement(tau, tau - half, tau + half, min(of_runs), max(of_runs), len(theirs))


def _tau(theirs: Mapping[str, float], ours: Mapping[str, float]) -> float:
    return float(stats.kendalltau([theirs[m] for m in theirs], [ours[m] for m in theirs]).statistic)
