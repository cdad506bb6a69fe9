"""Two sources of chance: the questions that were asked, and the trainings.

With q questions and s replicates crossed, one value each (two-way random effects without replication):

    variance of a mean over questions   MS_question / n, which holds the residual, once
    variance over replicates of a mean  v = sum over s of (mean_s - mean)^2 / (S - 1)
    its floor                           r = MS_residual / n, the v of trainings that are all alike

so that E[v] = tau^2 + r, with tau the standard deviation between trainings (Searle, Casella & McCulloch,
1992). Where replicates move all methods together, the deviations of the replicates are taken from those of
their mean over methods: with M methods v is then divided by (1 - 1/M), as are its degrees of freedom times
it.
"""

from collections.abc import Mapping, Sequence
from math import frexp, inf, ldexp
from statistics import fmean, variance
from typing import NamedTuple

import numpy as np

from reports.statistics.bootstrap import Floats
from reports.statistics.sample import EXACT, Mask, Sample, covers, mean_of, residuals, strata_of_questions


class VariancePart(NamedTuple):
    """A variance of a mean or a difference, and the degrees of freedom that it is known with."""

    variance: float
    df: float


class Variation(NamedTuple):
    """How a method's mean varies over its replicates; of df 0 where it has one, and nothing is known."""

    variance: float
    df: float
    floor: float


UNKNOWN = Variation(0.0, 0.0, 0.0)


class Variations(NamedTuple):
    """Those of each method [M], and of what is common to all of them (UNKNOWN where nothing is)."""

    own: tuple[Variation, ...]
    common: Variation


def questions_part(sample: Sample, x: Floats, present: Mask) -> VariancePart:
    """The variance of the weighted mean over questions; Welch-Satterthwaite over strata."""
    strata, rest = strata_of_questions(sample, present), residuals(sample, x, present)
    sizes, spread = np.bincount(strata), np.bincount(strata, rest**2)
    scale = float(np.abs(x[present]).max()) * EXACT
    variances = np.where(spread <= scale**2 * sizes, 0.0, sample.weights**2 * spread / (sizes - 1) / sizes)
    return added([VariancePart(float(v), float(n - 1)) for v, n in zip(variances, sizes, strict=True)])


def variance_of_mean(sample: Sample, method: str) -> float:
    """The variance over questions of a method's mean; nan where a stratum has a single one."""
    x = sample.values[sample.methods.index(method)]
    present = ~np.isnan(x)
    return questions_part(sample, x, present).variance if covers(sample, present, 2) else np.nan


class _Deviations(NamedTuple):
    """A method's mean in each replicate less that over all, and its floor."""

    values: dict[int, float]
    floor: float


def variations(sample: Sample) -> Variations:
    """How each method varies over replicates, and what all vary by together."""
    own = [_deviations(sample, m) for m in range(len(sample.methods))]
    rows = {n: d for d, n in zip(own, sample.methods, strict=True) if d and n != sample.reference}
    moved = list(rows.values())
    if not sample.is_shared or len(moved) < 2:
        # A single model against trainings of a reference: if none of it is its own, all is the reference's.
        alone = sample.has_trained_reference and rows.keys() <= sample.fixed
        of_reference = _variation(moved[0]) if moved and alone else UNKNOWN
        return Variations(tuple(_variation(d) for d in own), of_reference)
    kept = 1 - 1 / len(moved)
    replicates = sorted(set().union(*(d.values for d in moved)))
    common = {r: fmean(d.values[r] for d in moved if r in d.values) for r in replicates}
    of_methods = tuple(_variation(d, common, kept) if d in moved else _variation(d) for d in own)
    floor = fmean(_variation(d, common, kept).variance for d in moved) / len(moved)
    return Variations(of_methods, Variation(variance(common.values()), len(common) - 1.0, floor))


def _variation(
    own: _Deviations | None, common: Mapping[int, float] | None = None, kept: float = 1
) -> Variation:
    if own is None:
        return UNKNOWN
    deviations = [value - common[r] if common else value for r, value in own.values.items()]
    return Variation(variance(deviations) / kept, (len(deviations) - 1) * kept, own.floor)


def _deviations(sample: Sample, method: int) -> _Deviations | None:
    """None with a single replicate, or where its replicates share too few items."""
    runs = sample.runs[method]  # [replicates, N]
    present: Mask = np.logical_not(np.isnan(runs).any(axis=0, keepdims=True))[0]
    if len(runs) < 2 or not covers(sample, present, 2):
        return None
    strata = strata_of_questions(sample, present)
    sizes = np.bincount(strata)
    centred = np.array([residuals(sample, run, present) for run in runs])  # [replicates, questions]
    squares = np.bincount(strata, ((centred - centred.mean(0)) ** 2).sum(0)) / (len(runs) - 1) / (sizes - 1)
    means = np.array([mean_of(sample, run, present) for run in runs])
    values = dict(zip(sample.replicates[method], (means - means.mean()).tolist(), strict=True))
    return _Deviations(values, float((sample.weights**2 * squares / sizes).sum()))


def added(parts: Sequence[VariancePart]) -> VariancePart:
    """Satterthwaite's (1946): the sum of the variances, and its degrees of freedom."""
    total = sum(part.variance for part in parts)
    if not total:
        return VariancePart(0.0, sum(part.df for part in parts))
    # By a power of 2, which is exact: the squares of what is very large or small are no floats.
    scaled = [ldexp(part.variance, -frexp(total)[1]) for part in parts]
    spread = sum(v**2 / part.df for v, part in zip(scaled, parts, strict=True))
    return VariancePart(total, sum(scaled) ** 2 / spread if spread else inf)
