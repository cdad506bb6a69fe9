"""Paired bootstrap over questions.

    mean(m)  = mean over strata s, by their weights, of the mean over questions q in s of value(m, q)
    interval = the 2.5th and 97.5th percentile of mean(m) over B resamples of the questions of each stratum

The unit is the question: its turns, orders and seeds are one value before anything is resampled, since they
are correlated. All methods share each resample, so that the interval of a difference keeps the pairing.
A benchmark that averages over tasks has a stratum for each (subtasks share one task's weight), else one.
Percentile interval: Efron & Tibshirani (1993).
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

RESAMPLES = 5_000
LEVEL = 0.95
CHUNK = 2**21  # resampled questions held at a time: 16 MiB of indices

Floats = npt.NDArray[np.float64]


class Item(NamedTuple):
    """What is resampled: one question of one stratum (a task, or "")."""

    stratum: str
    question: str


class Estimate(NamedTuple):
    """A mean with its interval, in the unit of the values, over n questions; one question has no interval."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Bootstrap:
    """Means of several methods, and the same means over each resample."""

    methods: tuple[str, ...]
    present: npt.NDArray[np.bool_]  # [items, M], whether the method has a value
    means: Floats  # [M]
    draws: Floats  # [B, M], nan where a resample held no value of the method


def bootstrap(
    values: Mapping[str, Mapping[Item, float]],
    seed: int = 0,
    resamples: int = RESAMPLES,
    weights: Mapping[str, float] | None = None,
) -> Bootstrap:
    """Resample the questions that any method has; a method's mean is over those that it has.

    Every method needs a value in every stratum: means over different tasks do not compare. `weights` are
    those of the strata, equal ones if not given.
    """
    methods = tuple(values)
    items = sorted(set().union(*values.values()))
    if not items:
        raise ValueError("nothing to resample: no method has a value")
    table = np.array([[values[m].get(item, np.nan) for m in methods] for item in items])  # [items, M]
    present = ~np.isnan(table)

    strata: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        strata[item.stratum].append(index)

    # One generator for all strata and methods: a resample is the same questions for every row.
    rng = np.random.default_rng(seed)
    shares = [1.0 if weights is None else weights[name] for name in strata]
    stratum_means = [_ratio(np.nansum(table[s], 0), present[s].sum(0)) for s in strata.values()]
    means = np.average(stratum_means, 0, shares)
    if np.isnan(means).any():
        raise ValueError(f"a method has no value in one of the strata {list(strata)}")
    draws = np.average([_resample(table[s], resamples, rng) for s in strata.values()], 0, shares)
    return Bootstrap(methods, present, means, draws)


def interval(boot: Bootstrap, method: str) -> Estimate:
    """The mean of one method."""
    m = boot.methods.index(method)
    return _estimate(float(boot.means[m]), boot.draws[:, m], boot.present[:, m])


def difference(boot: Bootstrap, method: str, baseline: str) -> Estimate:
    """The mean of `method` minus that of `baseline`, paired by question; n counts those that both have."""
    m, b = boot.methods.index(method), boot.methods.index(baseline)
    both = boot.present[:, m] & boot.present[:, b]
    return _estimate(float(boot.means[m] - boot.means[b]), boot.draws[:, m] - boot.draws[:, b], both)


def _resample(table: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Means [B, M] of the rows of a table [n, M] drawn with replacement; a nan is a value not there."""
    n = len(table)
    present = ~np.isnan(table)
    filled, weight = np.where(present, table, 0.0), present.astype(float)
    whole = bool(present.all())
    means = []
    for start in range(0, resamples, max(1, CHUNK // n)):
        rows = min(max(1, CHUNK // n), resamples - start)
        drawn = rng.integers(0, n, (rows, n)) + np.arange(rows)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(float)
        # einsum, not BLAS: the order of summation must not depend on the number of threads.
        total = np.einsum("bn,nm->bm", counts, filled)
        means.append(total / n if whole else _ratio(total, np.einsum("bn,nm->bm", counts, weight)))
    return np.concatenate(means)


def _ratio(total: Floats, count: npt.NDArray[np.number]) -> Floats:
    """total / count, nan where nothing was counted."""
    out: Floats = np.full(total.shape, np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out


def _estimate(value: float, draws: Floats, present: npt.NDArray[np.bool_]) -> Estimate:
    n, draws = int(present.sum()), draws[~np.isnan(draws)]
    if n < 2:
        return Estimate(value, None, None, n)
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high), n)


class Draw(NamedTuple):
    """How intervals are drawn: number of resamples and seed of the generator."""

    resamples: int = RESAMPLES
    seed: int = 0


DRAW = Draw()
