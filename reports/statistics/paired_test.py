"""Which of two methods is better, by how much, and whether the difference is real.

    difference(a, b) = sum over strata s, by their weights w_s, of the mean over items i that both have in s
                       of d_i = value(a, i) - value(b, i)
    SE^2             = sum over s of w_s^2 var(d_q in s) / n_s, d_q being question q's turns together

Two means over different questions do not compare: every difference, rank and mark is made of these. One seed:
paired t (0/1 values: McNemar exact, 1947) with the interval of bootstrap.py, conditional on the checkpoint.
From two seeds on, the training is a second source of chance: variance.py.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from typing import NamedTuple

import numpy as np
import scipy

from reports.statistics.bootstrap import DRAW, LEVEL, Bootstrap, Draw, Floats, bootstrap, interval
from reports.statistics.variance import (
    Sample,
    VariancePart,
    both_levels,
    covers,
    difference_of,
    half_width,
    mean_of,
    p_of,
    questions_part,
    reach,
    seeds_of_two,
    seeds_part,
)

POWER = 0.8
TIE = 1e-12  # of the largest value: means that are closer are equal
TWO_LEVEL, NO_TEST = "two-level t", "no test: a single question"


@dataclass(frozen=True)
class Comparison:
    """A method minus the baseline in the unit of the values, over what the two have of n questions.

    `p` is two-sided; `se` is paired; `mde` is the difference that such a comparison finds at 5 % with 80 %
    power (2.8 SE where questions are many). None where a stratum has a single question: no spread.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None
    n: int
    se: float | None
    mde: float | None
    test: str


def versus(sample: Sample, baseline: str, methods: Iterable[str], draw: Draw = DRAW) -> dict[str, Comparison]:
    """method -> its comparison with `baseline`, on the items that the two have in common.

    A method that lacks a question of some stratum in common with the baseline is left out.
    """
    b = sample.methods.index(baseline)
    differences = {m: difference_of(sample, sample.methods.index(m), b) for m in methods}
    alike: dict[bytes, list[str]] = defaultdict(list)
    for m, d in differences.items():
        if covers(sample, ~np.isnan(d)):
            alike[np.isnan(d).tobytes()].append(m)
    found = {}
    # The differences themselves are resampled, so an item that one of the two lacks is in neither mean; each
    # over its own items, so that a pair's interval is the same whichever other methods a table shows.
    for own in alike.values():
        shared = {
            m: {i: float(d) for i, d in zip(sample.items, differences[m], strict=True) if d == d} for m in own
        }
        boot = bootstrap(shared, draw.seed, draw.resamples, sample.by_stratum)
        found.update({m: _comparison(sample, m, baseline, boot) for m in own})
    return {m: found[m] for m in differences if m in found}


def gaps(sample: Sample) -> Floats:
    """The difference of each method from each other one [M, M], nan where they share too little for one."""
    count = len(sample.methods)
    out: Floats = np.full((count, count), np.nan)
    for a, b in combinations(range(count), 2):
        d = difference_of(sample, a, b)
        if covers(sample, both := ~np.isnan(d)):
            out[a, b] = mean_of(sample, d, both)
            out[b, a] = -out[a, b]
    return out


def places(sample: Sample) -> list[float]:
    """The rank of each method: 1 plus the number of those that are above it on the items that both have.

    A tie is half of one, as is a method that it shares too little with.
    """
    return [float(rank) for rank in _ranks(gaps(sample), _equal(sample))]


def p_value(sample: Sample, method: str, baseline: str) -> float | None:
    """The two-sided p of the paired test; None if the two share too little for one."""
    return _test(sample, method, baseline).p


def holm(ps: Iterable[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in the order given: the k-th smallest of m, times m - k + 1."""
    raw = np.array(list(ps), float)
    order = np.argsort(raw, kind="stable")
    raised = np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1))
    out = np.empty_like(raw)
    out[order] = np.minimum(raised, 1.0)
    return [float(p) for p in out]


def ranks(sample: Sample, boot: Bootstrap, seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """method -> its rank (`places`) and that rank's 95 % interval.

    The ranks of each shared resample, which moves every mean around its value; to a method with several seeds
    each adds t-distributed noise of the size of MS_seed less its residual. The bounds are ranks that were
    drawn, no averages of two.
    """
    draws = boot.draws[~np.isnan(boot.draws).any(1)] - boot.means  # [B, M]
    rng = np.random.default_rng([seed, len(boot.methods)])
    for m in np.argsort(boot.methods):  # by name, so that the order of rows does not matter
        index = sample.methods.index(boot.methods[m])
        if (part := seeds_part(sample, [(index, 1.0)])) is not None:
            # The resamples hold the residual already; the rest is the training's own.
            extra = max(0.0, part[0].variance - part[1])
            draws[:, m] += sqrt(extra) * rng.standard_t(part[0].df, len(draws))
    order = [sample.methods.index(m) for m in boot.methods]
    of_pairs, equal = gaps(sample)[np.ix_(order, order)], _equal(sample)
    drawn = np.array([_ranks(of_pairs + (row[:, None] - row), equal) for row in draws])
    low = np.quantile(drawn, (1 - LEVEL) / 2, axis=0, method="inverted_cdf")
    high = np.quantile(drawn, (1 + LEVEL) / 2, axis=0, method="inverted_cdf")
    own = _ranks(of_pairs, equal)
    return {m: (float(own[i]), float(low[i]), float(high[i])) for i, m in enumerate(boot.methods)}


def _comparison(sample: Sample, method: str, baseline: str, boot: Bootstrap) -> Comparison:
    p, parts, test = _test(sample, method, baseline)
    value, low, high, n, _ = interval(boot, method)
    if not parts:
        return Comparison(value, None, None, p, n, None, None, test)
    se, detectable = sqrt(sum(part.variance for part in parts)), reach(parts, (1 + LEVEL) / 2)
    if test.startswith(TWO_LEVEL):  # the resamples hold no chance of seeds
        half = half_width(parts)
        low, high = value - half, value + half
    return Comparison(value, low, high, p, n, se, detectable + reach(parts, POWER), test)


class _Test(NamedTuple):
    p: float | None
    parts: list[VariancePart]
    name: str


def _test(sample: Sample, method: str, baseline: str) -> _Test:
    """p, the parts of the variance, and what the test is."""
    a, b = sample.methods.index(method), sample.methods.index(baseline)
    d = difference_of(sample, a, b)
    both = ~np.isnan(d)
    if not covers(sample, both, 2):
        return _Test(None, [], NO_TEST)
    value, questions = mean_of(sample, d, both), questions_part(sample, d, both)
    n = len(np.unique(sample.questions[both]))
    name, seeds = seeds_of_two(sample, a, b)
    if seeds is not None:
        parts = both_levels(questions, *seeds)
        return _Test(p_of(value, parts, n), parts, f"{TWO_LEVEL}, {name}")
    binary = np.isin(sample.values[[a, b]][:, both], (0.0, 1.0)).all()
    # Strata would have to be weighed and turns go together, neither of which the exact test knows.
    if binary and len(sample.weights) == 1 and n == both.sum():
        won, lost = int((d[both] > 0).sum()), int((d[both] < 0).sum())
        exact = min(1.0, 2 * float(scipy.special.bdtr(min(won, lost), won + lost, 0.5)))
        return _Test(exact, [questions], "McNemar exact")
    return _Test(p_of(value, [questions], n), [questions], "paired t")


def _ranks(of_pairs: Floats, equal: float) -> Floats:
    """Ranks [M] by the difference of each from each other one [M, M]; ties share the average of theirs."""
    above, apart = of_pairs < -equal, np.abs(of_pairs) > equal
    return np.asarray(1 + above.sum(-1) + (len(of_pairs) - 1 - apart.sum(-1)) / 2, float)


def _equal(sample: Sample) -> float:
    """What is closer than that is equal but for the order of summation."""
    return TIE * float(np.nanmax(np.abs(sample.values)))
