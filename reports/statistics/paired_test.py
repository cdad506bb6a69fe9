"""Which of two methods is better, by how much, and whether the difference is real.

    difference(a, b) = sum over strata s, by their weights w_s, of the mean over questions q that both have
                       in s of d_q = value(a, q) - value(b, q)
    SE^2             = sum over s of w_s^2 var(d_q in s) / n_s

One seed: paired t (0/1 values: McNemar exact, 1947) with the interval of bootstrap.py, conditional on
the checkpoint. From two seeds on, the training is a second source of chance: variance.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass
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
TWO_LEVEL, NO_TEST = "two-level t", "no test: a single question"


@dataclass(frozen=True)
class Comparison:
    """A method minus the baseline in the unit of the values, over the n questions that both have.

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
    """method -> its comparison with `baseline`, over resamples of questions that all of them share.

    A method that lacks a question of some stratum in common with the baseline is left out.
    """
    b = sample.methods.index(baseline)
    differences = {m: difference_of(sample, sample.methods.index(m), b) for m in methods}
    whole = {m: d for m, d in differences.items() if covers(sample, ~np.isnan(d))}
    if not whole:
        return {}
    shared = {
        m: {i: float(d[k]) for k, i in enumerate(sample.items) if d[k] == d[k]} for m, d in whole.items()
    }
    # The differences themselves are resampled, so a question that one of the two lacks is in neither mean.
    boot = bootstrap(shared, draw.seed, draw.resamples, sample.by_stratum)
    return {m: _comparison(sample, m, baseline, boot) for m in whole}


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
    """method -> its rank (1: the highest mean; ties share their average) and that rank's 95 % interval.

    The ranks of each shared resample; to a method with several seeds each adds t-distributed noise of the
    size of MS_seed less its residual. The bounds are ranks that were drawn, no averages of two.
    """
    draws = boot.draws[~np.isnan(boot.draws).any(1)]  # [B, M]
    rng = np.random.default_rng([seed, len(boot.methods)])
    noise = np.zeros_like(draws)
    for m in np.argsort(boot.methods):  # by name, so that the order of rows does not matter
        index = sample.methods.index(boot.methods[m])
        if (part := seeds_part(sample, [(index, 1.0)])) is not None:
            # The resamples hold the residual already; the rest is the training's own.
            extra = max(0.0, part[0].variance - part[1])
            noise[:, m] = sqrt(extra) * rng.standard_t(part[0].df, len(draws))
    # Equal means differ in their last digit by the order of summation, and would not tie.
    drawn = _ranks(_rounded(draws + noise))
    low = np.quantile(drawn, (1 - LEVEL) / 2, axis=0, method="inverted_cdf")
    high = np.quantile(drawn, (1 + LEVEL) / 2, axis=0, method="inverted_cdf")
    own = _ranks(_rounded(boot.means))
    return {m: (float(own[i]), float(low[i]), float(high[i])) for i, m in enumerate(boot.methods)}


def _comparison(sample: Sample, method: str, baseline: str, boot: Bootstrap) -> Comparison:
    p, parts, test = _test(sample, method, baseline)
    value, low, high, n = interval(boot, method)
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
    value, questions, n = mean_of(sample, d, both), questions_part(sample, d, both), int(both.sum())
    name, seeds = seeds_of_two(sample, a, b)
    if seeds is not None:
        parts = both_levels(questions, *seeds)
        return _Test(p_of(value, parts, n), parts, f"{TWO_LEVEL}, {name}")
    binary = np.isin(sample.values[[a, b]][:, both], (0.0, 1.0)).all()
    # With several strata the counts would have to be weighed, which the exact test can't.
    if binary and len(sample.weights) == 1:
        won, lost = int((d[both] > 0).sum()), int((d[both] < 0).sum())
        exact = min(1.0, 2 * float(scipy.special.bdtr(min(won, lost), won + lost, 0.5)))
        return _Test(exact, [questions], "McNemar exact")
    return _Test(p_of(value, [questions], n), [questions], "paired t")


def _ranks(x: Floats) -> Floats:
    """1 for the highest along the last axis; ties share the average of theirs. [..., M]"""
    above = (x[..., None, :] > x[..., :, None]).sum(-1)
    level = (x[..., None, :] == x[..., :, None]).sum(-1)
    return np.asarray(above + (level + 1) / 2, float)


def _rounded(x: Floats) -> Floats:
    """To what is equal but for the order of summation."""
    scale = float(np.abs(x).max(initial=0.0))
    return np.round(x / scale, 12) if scale else x
