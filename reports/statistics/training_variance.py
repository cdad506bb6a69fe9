"""How far two trainings of one method lie apart, learned from all methods together.

    v_i       variance over S replicates of method i's mean, its floor r_i known       variance.py
    v_i       ~ (tau_i^2 + r_i) chi2_df / df                                two-way random effects
    log tau_i ~ N(log tau_0, eta^2)                  moderation in the manner of Smyth (2004), on the
                                                     trainings' own part of the variance
    tau_0     with density 1 / (u + tau_0)           u: the questions' standard error of a mean
    eta       ~ half-normal(1)

Three replicates say little of one method's variance, and nearly as much of each other method's: the posterior
of tau_i is a compromise of both, as strong as the methods are alike. Smyth's moderated t takes the prior as
known once it is estimated, and errs too often where methods differ; here it is integrated over, on a grid.
The prior of tau_0 is flat below u, where it hardly matters, and flat in its logarithm above, where
replicates speak for themselves; Gelman's (2006) half-Cauchy pulls few methods of unlike trainings down, and
their intervals are then too short (90 % at 20 u, two methods). What moves all methods together has the like.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from reports.statistics.bootstrap import Floats
from reports.statistics.variance import Variation

LEAST, MOST = 0.02, 60.0  # the grid of tau, in u and in the largest of u and sqrt(v)
TAUS, CENTRES, SPREADS = 64, 32, 9  # points of tau, tau_0, eta
WIDEST = 2.5  # of eta


@dataclass(frozen=True)
class TrainingVariance:
    """The joint posterior of all methods' tau: independent given each of H pairs of (tau_0, eta)."""

    taus: Floats  # [G]
    centres: Floats  # [H], tau_0
    spreads: Floats  # [H], eta
    weights: Floats  # [H], sum to 1
    of_methods: Floats  # [M, H, G], sum to 1 over G

    def of(self, a: int) -> Floats:
        """The posterior of a method's tau [G]."""
        return np.asarray(np.einsum("h,hg->g", self.weights, self.of_methods[a]))

    def of_two(self, a: int, b: int) -> Floats:
        """The joint posterior of two methods' tau [G, G]."""
        return np.asarray(
            np.einsum("hg,hk->gk", self.weights[:, None] * self.of_methods[a], self.of_methods[b])
        )

    def draw(self, count: int, rng: np.random.Generator) -> Floats:
        """Draws of every method's tau [count, M]."""
        which = rng.choice(len(self.weights), count, p=self.weights)
        at = rng.random((len(self.of_methods), count))
        found = [
            (own.cumsum(-1)[which] < u[:, None]).sum(-1) for own, u in zip(self.of_methods, at, strict=True)
        ]
        return np.asarray(self.taus[np.minimum(found, len(self.taus) - 1)].T)


def fit(own: Sequence[Variation], others: Sequence[Variation], scale: float) -> TrainingVariance:
    """The posterior of methods `own`; `others` inform it alone. `scale` is u, in the unit of the values."""
    every = [*own, *others]
    v, df, floor = np.array(every, float).T
    taus = np.geomspace(LEAST * scale, MOST * max(scale, float(np.sqrt(v.max()))), TAUS)
    centres = np.geomspace(taus[0], taus[-1], CENTRES)
    spreads = (np.arange(SPREADS) + 0.5) / SPREADS * WIDEST
    log_prior = np.add.outer(_log_prior(centres, scale), -(spreads**2) / 2).ravel()
    prior = _log_normal(taus, centres, spreads)  # [H, G]
    variance = taus**2 + floor[:, None]  # [M, G]
    log_likelihood = -0.5 * df[:, None] * (np.log(variance) + v[:, None] / variance)
    likelihood = np.exp(log_likelihood - log_likelihood.max(1, keepdims=True))
    joint = likelihood[:, None, :] * prior  # [M, H, G]
    # Where a pair of tau_0 and eta cannot be, its evidence is 0 in floats, and so is its weight.
    evidence = np.maximum(joint.sum(-1), np.finfo(float).tiny)
    log_weights = log_prior + np.log(evidence).sum(0)
    weights = np.exp(log_weights - log_weights.max())
    return TrainingVariance(
        taus,
        np.repeat(centres, SPREADS),
        np.tile(spreads, CENTRES),
        weights / weights.sum(),
        joint[: len(own)] / evidence[: len(own), :, None],
    )


def fit_common(common: Variation, taus: Floats) -> Floats:
    """The posterior [G] of the standard deviation, on the grid `taus`, of what moves all methods together."""
    variance = taus**2 + common.floor
    log = -0.5 * common.df * (np.log(variance) + common.variance / variance)
    log += _log_prior(taus, np.sqrt(common.floor))
    posterior = np.exp(log - log.max())
    return np.asarray(posterior / posterior.sum())


def _log_prior(taus: Floats, scale: float) -> Floats:
    """Of points that are even in log tau: the density times tau."""
    return np.asarray(-np.log1p(scale / taus))


def _log_normal(taus: Floats, centres: Floats, spreads: Floats) -> Floats:
    """The prior of tau [H, G]: each point has the mass that is nearer to it than to others."""
    log = np.log(taus)
    edges = np.concatenate([[-np.inf], (log[1:] + log[:-1]) / 2, [np.inf]])
    z = (edges - np.log(centres)[:, None, None]) / spreads[:, None]
    return np.asarray(np.diff(scipy.special.ndtr(z)).reshape(-1, len(taus)))
