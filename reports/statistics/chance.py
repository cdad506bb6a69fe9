"""One model of the chance in a comparison that was replicated: its p-values and its intervals.

    V_ij[g, g'] = q_ij + tau_g^2 / S_i + tau_g'^2 / S_j    q_ij: variance over questions of the difference
    W_ij[g, g']   the joint posterior of both methods' tau: training_variance.py
    p_ij        = sum of W_ij 2 T_df(-|D_ij| / sqrt V_ij)  posterior-predictive p (Rubin, 1984; Meng, 1994)
    interval      the differences from D_ij whose p is more than 0.05

A mean has its own tau alone, and that of what moves all methods together, which a difference of two has only
where it moves one of them alone: the other is the reference that all are compared with, or a row of one base
model among others of several. df are the questions'. A method with one replicate among others with several
has the tau that the others let expect.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from statistics import median

import numpy as np
import scipy

from reports.statistics import planning, training_variance
from reports.statistics.bootstrap import LEVEL, Floats
from reports.statistics.sample import Sample, covers, difference_of, residuals, strata_of_questions
from reports.statistics.training_variance import TrainingVariance
from reports.statistics.variance import (
    UNKNOWN,
    VariancePart,
    Variation,
    Variations,
    questions_part,
    variance_of_mean,
    variations,
)

CELLS = 50  # of the logarithm of V, each of which has its mean
GRID = np.concatenate([[0.0], np.geomspace(0.3, 20, 31)])  # differences in standard deviations

Weighted = tuple[Floats, Floats]  # variances and how likely they are
NOTHING: Weighted = (np.zeros(1), np.ones(1))


@dataclass(frozen=True)
class Mixture:
    """Variances [K] of a difference or a mean, as likely as their weights; t of `df` given each."""

    variances: Floats
    weights: Floats
    df: float

    @property
    def variance(self) -> float:
        """The mean of the variances."""
        return float(self.variances @ self.weights)

    def p(self, differences: Floats) -> Floats:
        """The two-sided p of each difference."""
        z = np.abs(differences)[..., None] / np.sqrt(self.variances)
        # Weights may sum to a last digit more than 1.
        return np.asarray(np.minimum(2 * scipy.special.stdtr(self.df, -z) @ self.weights, 1.0))

    def quick_p(self, differences: Floats) -> Floats:
        """The same for many, between points of a grid."""
        if not self.variance:
            return np.ones_like(differences)
        grid = GRID * np.sqrt(self.variance)
        log = np.log(np.maximum(self.p(grid), np.finfo(float).tiny))
        # The logarithm of a tail is nearly linear in the square.
        return np.asarray(np.exp(np.interp(differences**2, grid**2, log)))

    def half_width(self) -> float:
        """The difference whose p is 5 %."""
        sd = float(np.sqrt(self.variances.max()))
        far = -float(scipy.special.stdtrit(self.df, (1 - LEVEL) / 4)) * sd

        def excess(difference: float) -> float:
            return float(self.p(np.array(difference))) - (1 - LEVEL)

        return float(scipy.optimize.brentq(excess, 0.0, far, xtol=1e-12 * far))


@dataclass(frozen=True)
class Chance:
    """The model of a sample; `borrowed` are variations of rows that are not in it, `borrowed_common` is of
    what moves all rows together.
    """

    sample: Sample
    borrowed: Sequence[Variation] = field(default=())
    borrowed_common: Variation = UNKNOWN

    @cached_property
    def variations(self) -> Variations:
        """How each method varies over its replicates; UNKNOWN where training has no part in it."""
        own, common = variations(self.sample)
        known = common if common.df else self.borrowed_common
        return Variations(tuple(v if self._varies(m) else UNKNOWN for m, v in enumerate(own)), known)

    @cached_property
    def is_known(self) -> bool:
        """Whether anything says how far two trainings lie apart: of the reference, where it alone has any."""
        replicated = any(v.df > 0 for v in (*self.variations.own, *self.borrowed))
        moved = not self._trained and self.variations.common.df > 0
        return (replicated or moved) and self._scale > 0

    def is_unreplicated(self, method: str) -> bool:
        """Whether a trained method has a single replicate, among others with several."""
        m = self.sample.methods.index(method)
        return self._varies(m) and len(self.sample.replicates[m]) < 2

    @cached_property
    def trainings(self) -> TrainingVariance:
        """The posterior of each method's tau."""
        # Where only a reference is trained the grid has to reach as far as what is known of that.
        others = self.borrowed if self._trained else (self.variations.common,)
        return training_variance.fit(self.variations.own, others, self._scale)

    def of_difference(self, a: int, b: int) -> Mixture | None:
        """The chance in the difference of two methods' means, on the items that both have.

        None where training has no part in it, or it has no spread at all.
        """
        # A pair is asked for its p, its interval, its place in a family and what it can find.
        if (a, b) not in self._differences:
            self._differences[a, b] = self._difference(a, b)
        return self._differences[a, b]

    @cached_property
    def _differences(self) -> dict[tuple[int, int], Mixture | None]:
        return {}

    def _difference(self, a: int, b: int) -> Mixture | None:
        # One model in all replicates has other win rates against each training of the reference.
        apart = self._is_moved(a) != self._is_moved(b)
        if not self.is_known or not (self._varies(a) or self._varies(b) or apart):
            return None
        own = self._trainings_of_two(a, b)
        return _mixture(self._questions(a, b), _sum(own, self._common) if apart else own)

    def of_mean(self, a: int) -> Mixture | None:
        """The chance in a method's mean, likewise; None too where a stratum has a single question."""
        x = self.sample.values[a]
        moved = self._is_moved(a)
        if not self.is_known or not (self._varies(a) or moved) or not covers(self.sample, ~np.isnan(x), 2):
            return None
        own = self._trainings_of(a)
        questions = questions_part(self.sample, x, ~np.isnan(x))
        return _mixture(questions, _sum(own, self._common) if moved else own)

    def design(self, a: int, b: int) -> planning.Design:
        """What a comparison can find: the trainings' df are those of both methods and of the prior."""
        questions, mixture = self._questions(a, b), self.of_difference(a, b)
        if mixture is None:
            return planning.Design(*questions)
        least = min((v.df for v in self.variations.own if v.df > 0), default=1.0)
        prior = planning.prior_df(float(self.trainings.weights @ self.trainings.spreads))
        trainings = max(0.0, mixture.variance - questions.variance)
        return planning.Design(questions.variance, questions.df, trainings, 2 * (prior + least))

    def draw(self, count: int, rng: np.random.Generator) -> Floats:
        """What training adds to each method's mean [count, M], drawn."""
        size = (count, len(self.sample.methods))
        of_methods = self.trainings.draw(count, rng) * rng.standard_normal(size)
        of_methods *= [self._varies(m) / np.sqrt(self._replicates(m)) for m in range(size[1])]
        variances, weights = self._common
        together = np.sqrt(rng.choice(variances, count, p=weights)) * rng.standard_normal(count)
        moved = np.array([self._is_moved(m) for m in range(size[1])])
        return np.asarray(of_methods + together[:, None] * moved)

    def draw_differences(
        self, pairs: Sequence[tuple[int, int]], count: int, rng: np.random.Generator
    ) -> Floats:
        """What chance alone makes of the differences of these pairs [count, pairs], and of one another."""
        covariance = self._covariance
        values, vectors = np.linalg.eigh(covariance)
        normal = rng.standard_normal((count, len(covariance))) @ (vectors * np.sqrt(np.maximum(values, 0))).T
        df = min(self._questions(a, b).df for a, b in pairs)
        effects = normal / np.sqrt(rng.chisquare(df, count) / df)[:, None] + self.draw(count, rng)
        return np.asarray(np.array([effects[:, a] - effects[:, b] for a, b in pairs]).T)

    def p_of_drawn(self, a: int, b: int, differences: Floats) -> Floats:
        """The p of each of a pair's differences, where training has no part in it that of a t test."""
        return (self.of_difference(a, b) or _mixture(self._questions(a, b), NOTHING)).quick_p(differences)

    @property
    def trained(self) -> list[str]:
        """The methods that training gives a chance of their own."""
        return [self.sample.methods[m] for m in self._trained]

    @property
    def _trained(self) -> list[int]:
        return [m for m in range(len(self.sample.methods)) if self._varies(m)]

    def _varies(self, m: int) -> bool:
        name = self.sample.methods[m]
        return name not in self.sample.fixed and name != self.sample.reference

    def _is_moved(self, m: int) -> bool:
        """Whether what moves all methods together moves this one: a model that no world seed had a part in
        stays as it is, but for its win rates against a trained reference.
        """
        if self.sample.methods[m] == self.sample.reference or not self.variations.common.df:
            return False
        if self.sample.of_base_models and not self.sample.has_trained_reference:
            return len(self.sample.replicates[m]) > 1
        return self.sample.has_trained_reference or self._varies(m)

    def _replicates(self, m: int) -> int:
        return max(1, len(self.sample.replicates[m]))

    def _questions(self, a: int, b: int) -> VariancePart:
        d = difference_of(self.sample, a, b)
        return questions_part(self.sample, d, ~np.isnan(d))

    @cached_property
    def _scale(self) -> float:
        """The questions' standard error of a mean that is compared: the half of a difference's variance."""
        rows = self._trained or [m for m in range(len(self.sample.methods)) if self._is_moved(m)]
        pairs = [p for p in combinations(rows, 2) if is_tested(self.sample, *p)]
        means = [variance_of_mean(self.sample, self.sample.methods[m]) for m in rows]
        of_seeds = [v.variance for v in self.variations.own]
        for variances in ([self._questions(*p).variance / 2 for p in pairs], means, of_seeds):
            if known := [v for v in variances if v > 0]:
                return float(np.sqrt(median(known)))
        return 0.0

    def _trainings_of(self, m: int) -> Weighted:
        if not self._varies(m):
            return NOTHING
        return self.trainings.taus**2 / self._replicates(m), self.trainings.of(m)

    def _trainings_of_two(self, a: int, b: int) -> Weighted:
        if not (self._varies(a) and self._varies(b)):
            return _sum(self._trainings_of(a), self._trainings_of(b))
        squares = self.trainings.taus**2
        both = np.add.outer(squares / self._replicates(a), squares / self._replicates(b))
        return both.ravel(), self.trainings.of_two(a, b).ravel()

    @cached_property
    def _common(self) -> Weighted:
        common = self.variations.common
        if not common.df:
            return NOTHING
        posterior = training_variance.fit_common(common, self.trainings.taus)
        replicates = len(set().union(*self.sample.replicates))
        return self.trainings.taus**2 / replicates, posterior

    @cached_property
    def _covariance(self) -> Floats:
        """Of the methods' means over questions [M, M]."""
        sample = self.sample
        table = np.zeros((len(sample.methods), sample.questions.max() + 1))
        for m, x in enumerate(sample.values):
            present = ~np.isnan(x)
            strata = strata_of_questions(sample, present)
            sizes = np.bincount(strata)[strata]
            share = sample.weights[strata] / np.sqrt(np.maximum(sizes - 1, 1) * sizes)
            table[m, np.unique(sample.questions[present])] = residuals(sample, x, present) * share
        return np.asarray(np.einsum("iq,jq->ij", table, table))


def is_tested(sample: Sample, a: int, b: int) -> bool:
    """Whether two methods share two questions of every stratum."""
    return covers(sample, ~np.isnan(difference_of(sample, a, b)), 2)


def _mixture(questions: VariancePart, trainings: Weighted) -> Mixture:
    variances, weights = _few(questions.variance + trainings[0], trainings[1])
    return Mixture(variances, weights, questions.df)


def _sum(one: Weighted, other: Weighted) -> Weighted:
    """The sum of two independent variances."""
    return np.add.outer(one[0], other[0]).ravel(), np.outer(one[1], other[1]).ravel()


def _few(variances: Floats, weights: Floats) -> Weighted:
    """The same mixture on at most CELLS points: the means of cells that are even in the logarithm."""
    likely = weights > 1e-12
    variances, weights = variances[likely], weights[likely] / weights[likely].sum()
    if len(variances) <= CELLS:
        return variances, weights
    log = np.log(variances)
    cell = np.minimum(((log - log.min()) / np.ptp(log) * CELLS).astype(int), CELLS - 1)
    mass = np.asarray(np.bincount(cell, weights, CELLS), float)
    filled = mass > 0
    return (np.bincount(cell, weights * variances, CELLS) / np.where(filled, mass, 1))[filled], mass[filled]
