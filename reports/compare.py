"""Which of two methods is better, by how much, and whether the difference is real.

    difference(a, b) = sum over strata s, by their weights w_s, of the mean over questions q that both have
                       in s of d_q = value(a, q) - value(b, q)
    SE^2             = sum over s of w_s^2 var(d_q in s) / n_s

One seed: paired t (0/1 values: McNemar exact, 1947) with the interval of stats.py, conditional on the
checkpoint. From two seeds on, the training is a second source of chance: with MS_seed the variance of the
S differences of seed means, over S, and residual the seed-by-question part of both,

    SE^2   = MS_seed + max(0, SE_questions^2 - residual),    half-width^2 = sum over parts of t_df^2 * part

Banerjee's (1960) half-width covers at least as often as it says; Satterthwaite's, one df for the sum, covers
91-94 % at 3 seeds where these matter most. Without a seed part it is the t interval.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import hypot, nan, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit
from scipy.stats import binomtest, rankdata

from reports.slots import DRAW, Draw
from reports.stats import LEVEL, Bootstrap, Floats, Item, bootstrap, interval

POWER = 0.8
TWO_LEVEL, NO_TEST = "two-level t", "no test: a single question"
EXACT = 1e-12  # of the largest value: what is closer is equal, but for the order of summation

Mask = npt.NDArray[np.bool_]
Values = Mapping[str, Mapping[Item, float]]
Runs = Mapping[str, Mapping[int, Mapping[Item, float]]]


@dataclass(frozen=True)
class Sample:
    """What is compared: each method's value of each question, and those of each of its seeds."""

    methods: tuple[str, ...]
    items: tuple[Item, ...]
    values: Floats  # [M, N], nan where there is none
    runs: tuple[Floats, ...]  # per method [seeds, N]
    seeds: tuple[tuple[int, ...], ...]
    strata: npt.NDArray[np.int64]  # [N], index of the stratum
    weights: Floats  # [strata], sum to 1
    given: Mapping[str, float] | None  # the weights as stats.py takes them


class Part(NamedTuple):
    """A variance of a difference, and the degrees of freedom that it is known with."""

    variance: float
    df: float


@dataclass(frozen=True)
class Comparison:
    """`method` minus `baseline` in the unit of the values, over the n questions that both have.

    `p` is two-sided; `se` is paired; `mde` is the difference that such a comparison finds at 5 % with 80 %
    power (2.8 SE where questions are many). None where a stratum has a single question: no spread.
    """

    method: str
    baseline: str
    value: float
    low: float | None
    high: float | None
    p: float | None
    n: int
    se: float | None
    mde: float | None
    test: str


def sample(values: Values, runs: Runs | None = None, weights: Mapping[str, float] | None = None) -> Sample:
    """`values`: method -> question -> mean over seeds; `runs`: method -> seed -> question -> value.

    `weights` are those of the strata, equal ones if not given; a method may lack questions.
    """
    items = tuple(sorted(set().union(*values.values())))
    if not items:
        raise ValueError("nothing to compare: no method has a value")
    names = sorted({item.stratum for item in items})
    share = np.array([1.0 if weights is None else weights[name] for name in names])

    def table(rows: Iterable[Mapping[Item, float]]) -> Floats:
        return np.array([[row.get(i, nan) for i in items] for row in rows]).reshape(-1, len(items))

    by_seed = [dict(sorted((runs or {}).get(m, {}).items())) for m in values]
    return Sample(
        methods=tuple(values),
        items=items,
        values=table(values.values()),
        runs=tuple(table(of.values()) for of in by_seed),
        seeds=tuple(tuple(of) for of in by_seed),
        strata=np.array([names.index(item.stratum) for item in items]),
        weights=share / share.sum(),
        given=weights,
    )


def paired(of: Sample, method: str, baseline: str, draw: Draw = DRAW, noise_sd: float = 0.0) -> Comparison:
    """Compare two methods; a ValueError if they have no question of some stratum in common."""
    found = versus(of, baseline, [method], draw, noise_sd)
    if method not in found:
        raise ValueError(f"{method} and {baseline} do not have a question of every stratum in common")
    return found[method]


def versus(
    of: Sample, baseline: str, methods: Iterable[str], draw: Draw = DRAW, noise_sd: float = 0.0
) -> dict[str, Comparison]:
    """method -> its comparison with `baseline`, over resamples of questions that all of them share.

    A method that lacks a question of some stratum in common with the baseline is left out. `noise_sd` is the
    standard deviation, in the unit of the values, of a question's difference that its value does not show
    (noise of each question alone is in the spread of questions already): adds sd^2 / n to SE^2.
    """
    b = of.methods.index(baseline)
    differences = {m: _difference(of, of.methods.index(m), b) for m in methods}
    whole = {m: d for m, d in differences.items() if _covers(of, ~np.isnan(d))}
    if not whole:
        return {}
    given = {m: {i: float(d[k]) for k, i in enumerate(of.items) if d[k] == d[k]} for m, d in whole.items()}
    boot = bootstrap(given, draw.seed, draw.resamples, of.given)
    return {m: _comparison(of, m, baseline, boot, noise_sd) for m in whole}


def p_value(of: Sample, method: str, baseline: str, noise_sd: float = 0.0) -> float | None:
    """The two-sided p of the paired test; None if the two share too little for one."""
    return _test(of, method, baseline, noise_sd)[0]


def holm(ps: Iterable[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in the order given: the k-th smallest of m, times m - k + 1."""
    given = np.array(list(ps), float)
    order = np.argsort(given, kind="stable")
    raised = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    out = np.empty_like(given)
    out[order] = np.minimum(raised, 1.0)
    return [float(p) for p in out]


def ranks(of: Sample, boot: Bootstrap, seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """method -> its rank (1: the highest mean; ties share their average) and that rank's 95 % interval.

    The ranks of each shared resample; to a method with several seeds each adds t-distributed noise of the
    size of MS_seed less its residual. The bounds are ranks that were drawn, no averages of two.
    """
    draws = boot.draws[~np.isnan(boot.draws).any(1)]  # [B, M]
    rng = np.random.default_rng([seed, len(boot.methods)])
    noise = np.zeros_like(draws)
    for m in np.argsort(boot.methods):  # by name, so that the order of rows does not matter
        index = of.methods.index(boot.methods[m])
        if (part := _seeds(of, [(index, 1.0)])) is not None:
            extra = max(0.0, part[0].variance - part[1])
            noise[:, m] = sqrt(extra) * rng.standard_t(part[0].df, len(draws))
    drawn = rankdata(-_rounded(draws + noise), axis=1)
    low = np.quantile(drawn, (1 - LEVEL) / 2, axis=0, method="inverted_cdf")
    high = np.quantile(drawn, (1 + LEVEL) / 2, axis=0, method="inverted_cdf")
    own = rankdata(-_rounded(boot.means))
    return {m: (float(own[i]), float(low[i]), float(high[i])) for i, m in enumerate(boot.methods)}


def _comparison(of: Sample, method: str, baseline: str, boot: Bootstrap, noise_sd: float) -> Comparison:
    p, parts, test = _test(of, method, baseline, noise_sd)
    value, low, high, n = interval(boot, method)
    if not parts:
        return Comparison(method, baseline, value, None, None, p, n, None, None, test)
    half, se = _reach(parts, (1 + LEVEL) / 2), sqrt(sum(part.variance for part in parts))
    if noise_sd or test.startswith(TWO_LEVEL):  # the resamples hold neither
        low, high = value - half, value + half
    return Comparison(method, baseline, value, low, high, p, n, se, half + _reach(parts, POWER), test)


class _Test(NamedTuple):
    p: float | None
    parts: list[Part]
    name: str


def _test(of: Sample, method: str, baseline: str, noise_sd: float) -> _Test:
    """p, the parts of the variance, and what the test is."""
    a, b = of.methods.index(method), of.methods.index(baseline)
    d = _difference(of, a, b)
    there = ~np.isnan(d)
    if not _covers(of, there, 2):
        return _Test(None, [], NO_TEST)
    value, questions, n = _mean(of, d, there), _questions(of, d, there), int(there.sum())
    noise = noise_sd**2 * float((of.weights**2 / np.bincount(of.strata[there])).sum())

    name, seeds = _seeds_of_two(of, a, b)
    if seeds is not None:
        of_seeds, residual = seeds
        parts = [Part(max(0.0, questions.variance - residual) + noise, questions.df), of_seeds]
        return _Test(_p(value, parts, n), parts, name)
    parts = [Part(questions.variance + noise, questions.df)]
    binary = np.isin(of.values[[a, b]][:, there], (0.0, 1.0)).all()
    if binary and len(of.weights) == 1 and not noise:
        won, lost = int((d[there] > 0).sum()), int((d[there] < 0).sum())
        exact = float(binomtest(won, won + lost).pvalue) if won + lost else 1.0
        return _Test(exact, parts, "McNemar exact")
    return _Test(_p(value, parts, n), parts, "paired t")


def _difference(of: Sample, a: int, b: int) -> Floats:
    """Of each question [N], nan where one has no value; 0 where the two are equal but for rounding."""
    x, y = of.values[a], of.values[b]
    return np.where(np.abs(x - y) <= EXACT * np.maximum(np.abs(x), np.abs(y)), 0.0, x - y)


def _seeds_of_two(of: Sample, a: int, b: int) -> tuple[str, tuple[Part, float] | None]:
    """MS_seed of the difference and its residual: by seed where both have the same seeds, else Welch's."""
    if min(len(of.seeds[a]), len(of.seeds[b])) < 2:
        return "", None
    if of.seeds[a] == of.seeds[b]:
        return f"{TWO_LEVEL}, paired by seed", _seeds(of, [(a, 1.0), (b, -1.0)])
    one, two = _seeds(of, [(a, 1.0)]), _seeds(of, [(b, 1.0)])
    both = (_sum([one[0], two[0]]), one[1] + two[1]) if one and two else None
    return f"{TWO_LEVEL}, Welch over seeds", both


def _seeds(of: Sample, terms: list[tuple[int, float]]) -> tuple[Part, float] | None:
    """MS_seed and its residual of a sum of methods, over questions that every seed has; None without."""
    runs: Floats = np.sum([sign * of.runs[m] for m, sign in terms], 0)  # [seeds, N]
    there: Mask = np.logical_not(np.isnan(runs).any(axis=0, keepdims=True))[0]
    if len(runs) < 2 or not _covers(of, there, 2):
        return None
    strata, count = of.strata[there], len(runs)
    sizes = np.bincount(strata, minlength=len(of.weights))
    means = np.array([np.bincount(strata, run[there]) for run in runs]) / sizes  # [seeds, strata]
    centred = runs[:, there] - means[:, strata]
    squares = np.bincount(strata, ((centred - centred.mean(0)) ** 2).sum(0)) / (count - 1) / (sizes - 1)
    residual = float((of.weights**2 * squares / sizes).sum()) / count
    of_seeds = (means * of.weights).sum(1)
    return Part(float(of_seeds.var(ddof=1)) / count, count - 1), residual


def _questions(of: Sample, x: Floats, there: Mask) -> Part:
    """The variance of the weighted mean over questions; Welch-Satterthwaite over strata."""
    strata, sizes = of.strata[there], np.bincount(of.strata[there])
    means = np.bincount(strata, x[there]) / sizes
    spread = np.bincount(strata, (x[there] - means[strata]) ** 2)
    scale = float(np.abs(x[there]).max()) * EXACT
    variances = np.where(spread <= scale**2 * sizes, 0.0, of.weights**2 * spread / (sizes - 1) / sizes)
    return _sum([Part(float(v), float(n - 1)) for v, n in zip(variances, sizes, strict=True)])


def _mean(of: Sample, x: Floats, there: Mask) -> float:
    strata = of.strata[there]
    return float((of.weights * np.bincount(strata, x[there]) / np.bincount(strata)).sum())


def _covers(of: Sample, there: Mask, least: int = 1) -> bool:
    """Whether every stratum has that many questions."""
    return bool((np.bincount(of.strata[there], minlength=len(of.weights)) >= least).all())


def _sum(parts: list[Part]) -> Part:
    """Satterthwaite's (1946): the sum of the variances, and its degrees of freedom."""
    total = sum(part.variance for part in parts)
    if not total:
        return Part(0.0, sum(part.df for part in parts))
    return Part(total, total**2 / sum(part.variance**2 / part.df for part in parts))


def _reach(parts: list[Part], quantile: float) -> float:
    """sqrt(sum of t_df^2 * variance), t at this quantile: half the width of an interval."""
    return hypot(*(float(stdtrit(part.df, quantile)) * sqrt(part.variance) for part in parts))


def _p(value: float, parts: list[Part], n: int = 2) -> float:
    """The p at which the half-width equals |value|; without any spread, that of n signs that all agree."""
    there = [part for part in parts if part.variance > 0]
    if not value:
        return 1.0
    if not there:
        return 2.0 ** (1 - n)
    if len(there) == 1:
        return float(2 * stdtr(there[0].df, -abs(value) / sqrt(there[0].variance)))

    def excess(log_p: float) -> float:
        return _reach(there, float(np.exp(log_p)) / 2) - abs(value)

    least, most = -690.0, -1e-9  # exp(-690) is near the smallest float
    if excess(least) < 0 or excess(most) > 0:
        return float(np.exp(least)) if excess(least) < 0 else 1.0
    return float(np.exp(brentq(excess, least, most, xtol=1e-10)))


def _rounded(x: Floats) -> Floats:
    """To what is equal but for the order of summation."""
    scale = float(np.abs(x).max(initial=0.0))
    return np.round(x / scale, 12) if scale else x
