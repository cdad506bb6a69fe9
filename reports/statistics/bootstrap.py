"""Paired bootstrap over questions.

    mean(m)  = mean over seeds of the mean over strata s, by their weights, of the mean over items i in s
               of value(m, i)
    interval = the 2.5th and 97.5th percentile of mean(m) over B resamples of the questions of each stratum

An item is a turn of a question, and every turn that has a value weighs alike, as in FastChat's average. What
is resampled are questions, since their turns, orders and seeds are correlated. All methods share each
resample. A benchmark that averages over tasks has a stratum for each (subtasks share one task's weight), else
one. Percentile interval: Efron & Tibshirani (1993).
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
    """What has a value: a turn of one question of one stratum (a task, or "")."""

    stratum: str
    question: str
    turn: int = 1


class Replicate(NamedTuple):
    """One run of a method: the seed of its base models and all that they say, and that of its last stage."""

    world: int
    seed: int


Values = Mapping[str, Mapping[Item, float]]  # method -> item -> value, the mean over replicates
Runs = Mapping[str, Mapping[Replicate, Mapping[Item, float]]]  # method -> replicate -> item -> value


class Estimate(NamedTuple):
    """A mean with its interval, in the unit of the values, over n questions; one question has no interval.

    `exact`: the interval is that of shares.py.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    exact: bool = False


@dataclass(frozen=True)
class Bootstrap:
    """Means of several methods, and the same means over each resample."""

    methods: tuple[str, ...]
    present: npt.NDArray[np.bool_]  # [questions, M], whether the method has a value
    means: Floats  # [M]
    draws: Floats  # [B, M], nan where a resample held no value of the method


def bootstrap(
    values: Values,
    seed: int = 0,
    resamples: int = RESAMPLES,
    weights: Mapping[str, float] | None = None,
    runs: Runs | None = None,
) -> Bootstrap:
    """Resample the questions that any method has; a method's mean is over the items that it has.

    Every method needs a value in every stratum: means over different tasks do not compare. `weights` are
    those of the strata, equal ones if not given. With `runs` a mean is over seeds that may lack different
    items.
    """
    methods = tuple(values)
    items = sorted(set().union(*values.values()))
    if not items:
        raise ValueError("nothing to resample: no method has a value")
    columns = [_columns(values[m], (runs or {}).get(m, {})) for m in methods]
    table = np.array([[own.get(item, np.nan) for of in columns for own in of] for item in items])
    # Sorted, the turns of a question follow each other.
    starts = [k for k, item in enumerate(items) if k == 0 or items[k - 1][:2] != item[:2]]
    counts = np.add.reduceat((~np.isnan(table)).astype(float), starts)  # [questions, columns]
    sums = np.add.reduceat(np.nan_to_num(table), starts)

    strata: dict[str, list[int]] = defaultdict(list)
    for index, start in enumerate(starts):
        strata[items[start].stratum].append(index)

    # One generator for all strata and methods: a resample is the same questions for every row.
    rng = np.random.default_rng(seed)
    shares = [1.0 if weights is None else weights[name] for name in strata]
    means = np.average([_ratio(sums[s].sum(0), counts[s].sum(0)) for s in strata.values()], 0, shares)
    if np.isnan(means).any():
        raise ValueError(f"a method has no value in one of the strata {list(strata)}")
    resampled = [_resample(sums[s], counts[s], resamples, rng) for s in strata.values()]
    draws = np.average(resampled, 0, shares)
    of_method = np.split(np.arange(len(means)), np.cumsum([len(of) for of in columns])[:-1])
    return Bootstrap(
        methods,
        np.array([(counts[:, own] > 0).any(1) for own in of_method]).T,
        np.array([means[own].mean() for own in of_method]),
        np.array([draws[:, own].mean(1) for own in of_method]).T,
    )


def _columns(
    values: Mapping[Item, float], runs: Mapping[Replicate, Mapping[Item, float]]
) -> list[Mapping[Item, float]]:
    """The seeds of a method where they lack different items; else one column, the mean over seeds."""
    return list(runs.values()) if any(own.keys() != values.keys() for own in runs.values()) else [values]


def interval(boot: Bootstrap, method: str) -> Estimate:
    """The mean of one method."""
    m = boot.methods.index(method)
    return _estimate(float(boot.means[m]), boot.draws[:, m], boot.present[:, m])


def _resample(sums: Floats, counts: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Means [B, M] over questions drawn with replacement, from the sums and counts [n, M] of their items."""
    n = len(sums)
    alike = bool((counts == counts[0]).all())
    means = []
    for start in range(0, resamples, max(1, CHUNK // n)):
        rows = min(max(1, CHUNK // n), resamples - start)
        drawn = rng.integers(0, n, (rows, n)) + np.arange(rows)[:, None] * n
        times = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(float)
        # einsum, not BLAS: the order of summation must not depend on the number of threads.
        total = np.einsum("bn,nm->bm", times, sums)
        means.append(_ratio(total, n * counts[:1] if alike else np.einsum("bn,nm->bm", times, counts)))
    return np.concatenate(means)


def _ratio(total: Floats, count: npt.NDArray[np.number]) -> Floats:
    """total / count, nan where nothing was counted."""
    out: Floats = np.full(total.shape, np.nan)
    np.divide(total, count, out=out, where=np.broadcast_to(count, total.shape) > 0)
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
