"""Which of two methods is better, by how much, and whether the difference is real.

    difference(a, b) = sum over strata s, by their weights w_s, of the mean over items i that both have in s
                       of d_i = value(a, i) - value(b, i)
    SE^2             = sum over s of w_s^2 var(d_q in s) / n_s, d_q being question q's turns together

Two means over different questions do not compare: every difference, rank and mark is made of these. Of one
training each: paired t (0/1 values: McNemar exact, 1947) with the interval of bootstrap.py, conditional on
these checkpoints. Where trainings were replicated they are a second source of chance: chance.py.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

import numpy as np
import scipy

from reports.statistics import planning
from reports.statistics.bootstrap import DRAW, LEVEL, Bootstrap, Draw, Floats, bootstrap, interval
from reports.statistics.chance import Chance, Mixture
from reports.statistics.family import holm, min_p
from reports.statistics.sample import Sample, are_right_or_wrong, covers, difference_of, mean_of
from reports.statistics.variance import VariancePart, questions_part

FAMILY = 2_000  # draws of what chance makes of all tests together
REPLICATED, NO_TEST = "posterior-predictive, over trainings and questions", "no test: a single question"
Pair = tuple[str, str]


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


def versus(chance: Chance, baseline: str, methods: Iterable[str], draw: Draw = DRAW) -> dict[str, Comparison]:
    """method -> its comparison with `baseline`, on the items that the two have in common.

    A method that lacks a question of some stratum in common with the baseline is left out.
    """
    sample = chance.sample
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
        found.update({m: _comparison(chance, m, baseline, boot) for m in own})
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
    return [float(rank) for rank in _ranks(gaps(sample), sample.equal)]


def p_value(chance: Chance, method: str, baseline: str) -> float | None:
    """The two-sided p of a pair's test; None if the two share too little for one."""
    return _test(chance, method, baseline).p


def adjusted(chance: Chance, ps: Mapping[Pair, float], seed: int = 0) -> dict[Pair, float]:
    """The p of each pair, adjusted over all of these: step-down minP, Holm's where nothing was replicated."""
    if not chance.is_known or not ps:
        return dict(zip(ps, holm(ps.values()), strict=True))
    at = {m: k for k, m in enumerate(chance.sample.methods)}
    pairs = [(at[a], at[b]) for a, b in ps]
    drawn = chance.draw_differences(pairs, FAMILY, np.random.default_rng([seed, len(pairs)]))
    of_pairs = [chance.p_of_drawn(*pair, drawn[:, k]) for k, pair in enumerate(pairs)]
    return dict(zip(ps, min_p(list(ps.values()), np.array(of_pairs).T), strict=True))


def ranks(chance: Chance, boot: Bootstrap, seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """method -> its rank (`places`) and that rank's 95 % interval.

    The ranks of each shared resample, which moves every mean around its value, and to which another training
    of each method is drawn where they were replicated. The bounds are ranks that were drawn, no averages of
    two.
    """
    sample = chance.sample
    draws = boot.draws[~np.isnan(boot.draws).any(1)] - boot.means  # [B, M]
    order = [sample.methods.index(m) for m in boot.methods]
    if chance.is_known:
        rng = np.random.default_rng([seed, len(order)])
        draws = draws + chance.draw(len(draws), rng)[:, order]
    of_pairs = gaps(sample)[np.ix_(order, order)]
    drawn = np.array([_ranks(of_pairs + (row[:, None] - row), sample.equal) for row in draws])
    low = np.quantile(drawn, (1 - LEVEL) / 2, axis=0, method="inverted_cdf")
    high = np.quantile(drawn, (1 + LEVEL) / 2, axis=0, method="inverted_cdf")
    own = _ranks(of_pairs, sample.equal)
    return {m: (float(own[i]), float(low[i]), float(high[i])) for i, m in enumerate(boot.methods)}


def _comparison(chance: Chance, method: str, baseline: str, boot: Bootstrap) -> Comparison:
    test = _test(chance, method, baseline)
    value, low, high, n, _ = interval(boot, method)
    if test.p is None:
        return Comparison(value, None, None, test.p, n, None, None, test.name)
    if test.mixture:
        half = test.mixture.half_width()  # the resamples hold no chance of trainings
        low, high = value - half, value + half
    names = chance.sample.methods
    design = chance.design(names.index(method), names.index(baseline))
    return Comparison(
        value, low, high, test.p, n, sqrt(design.variance), planning.detectable(design), test.name
    )


@dataclass(frozen=True)
class _Test:
    p: float | None
    name: str
    mixture: Mixture | None = None  # None: conditional on the checkpoints


def _test(chance: Chance, method: str, baseline: str) -> _Test:
    sample = chance.sample
    a, b = sample.methods.index(method), sample.methods.index(baseline)
    d = difference_of(sample, a, b)
    both = ~np.isnan(d)
    if not covers(sample, both, 2):
        return _Test(None, NO_TEST)
    value, questions = mean_of(sample, d, both), questions_part(sample, d, both)
    if mixture := chance.of_difference(a, b):
        return _Test(float(mixture.p(np.array(value))), REPLICATED, mixture)
    # Strata would have to be weighed and turns go together, neither of which the exact test knows.
    if are_right_or_wrong(sample, sample.values[[a, b]]):
        won, lost = int((d[both] > 0).sum()), int((d[both] < 0).sum())
        exact = min(1.0, 2 * float(scipy.special.bdtr(min(won, lost), won + lost, 0.5)))
        return _Test(exact, "McNemar exact")
    return _Test(_paired_t(value, questions, len(np.unique(sample.questions[both]))), "paired t")


def _paired_t(value: float, part: VariancePart, n: int) -> float:
    """The two-sided p; without any spread, that of n signs that all agree."""
    if not value:
        return 1.0
    if not part.variance:
        return 2.0 ** (1 - n)
    return float(2 * scipy.special.stdtr(part.df, -abs(value) / sqrt(part.variance)))


def _ranks(of_pairs: Floats, equal: float) -> Floats:
    """Ranks [M] by the difference of each from each other one [M, M]; ties share the average of theirs."""
    above, apart = of_pairs < -equal, np.abs(of_pairs) > equal
    return np.asarray(1 + above.sum(-1) + (len(of_pairs) - 1 - apart.sum(-1)) / 2, float)
