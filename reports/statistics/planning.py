"""What a comparison can see, and what more replicates or questions would add.

V     = q + s        q: of the questions, df n - 1; s: of the trainings, 2 E[tau^2] / S
q     = 2 (sigma_mq^2 + sigma_e^2 / S) / n    method x question, and an answer's own, of S trainings each
df    = V^2 / (s^2 / (2 (d0 + S - 1)) + q^2 / (n - 1))           Satterthwaite (1946), both methods' tau
d0      the prior's degrees of freedom: trigamma(d0 / 2) = 4 eta^2                     Smyth (2004)
power = P(|T| > t), T noncentral t of df and difference / sqrt V, t its critical value at alpha
"""

from bisect import bisect_left
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
import scipy

from reports.statistics.variance import VariancePart, added

POWER, ALPHA = 0.8, 0.05
MOST = 1_000  # replicates that are thought of


@dataclass(frozen=True)
class Design:
    """A difference's variance as it is planned: parts and degrees of freedom."""

    questions: float
    questions_df: float
    trainings: float = 0.0
    trainings_df: float = inf

    @property
    def variance(self) -> float:
        """The variance of the difference."""
        return self.questions + self.trainings

    @property
    def df(self) -> float:
        """Its degrees of freedom."""
        parts = (self.questions, self.questions_df), (self.trainings, self.trainings_df)
        return added([VariancePart(*part) for part in parts]).df


@dataclass(frozen=True)
class Noise:
    """What two methods' means vary by, as variances for one question and one training.

    `question` is of a method's value of a question, alike in all of its trainings; `answer` is new in each;
    `training` is of a training's mean over all questions: E[tau^2]. `spread` is eta.
    """

    question: float
    answer: float
    training: float
    spread: float


def of_two(noise: Noise, questions: int, questions_df: float, replicates: float) -> Design:
    """A difference of two methods of that many replicates each."""
    per_question = 2 * (noise.question + noise.answer / replicates)
    return Design(
        per_question / questions,
        questions_df,
        2 * noise.training / replicates,
        2 * (prior_df(noise.spread) + replicates - 1),
    )


def replicates_needed(
    difference: float, noise: Noise, questions: int, questions_df: float, alpha: float = ALPHA
) -> int | None:
    """The least number of replicates, 2 or more, that finds it with 80 % power; None over MOST of them."""

    def suffices(replicates: int) -> bool:
        return power(difference, of_two(noise, questions, questions_df, replicates), alpha) >= POWER

    found = bisect_left(range(2, MOST + 1), True, key=suffices) + 2
    return found if found <= MOST else None


def power(difference: float, design: Design, alpha: float = ALPHA) -> float:
    """How often the test finds this difference."""
    if not design.variance:
        return float(difference != 0)
    limit = -float(scipy.special.stdtrit(design.df, alpha / 2))
    shift = abs(difference) / sqrt(design.variance)
    below, above = scipy.special.nctdtr(design.df, shift, [-limit, limit])
    # Far from 0 the other tail, which is nothing, is no number in scipy.
    return float(np.nan_to_num(below) + 1 - above)


def half_width(design: Design) -> float:
    """That of the 95 % interval of the difference."""
    return -float(scipy.special.stdtrit(design.df, ALPHA / 2)) * sqrt(design.variance)


def detectable(design: Design, alpha: float = ALPHA) -> float:
    """The difference that the test finds with 80 % power."""
    if not design.variance:
        return 0.0
    unit = sqrt(design.variance)
    far = 2.0
    while power(far * unit, design, alpha) < POWER:
        far *= 2
    return unit * float(scipy.optimize.brentq(lambda d: power(d * unit, design, alpha) - POWER, 0.0, far))


def prior_df(eta: float) -> float:
    """d0 of log-normal standard deviations with this standard deviation of their logarithm."""
    if eta <= 0:
        return inf
    wanted = 4 * eta**2

    def excess(half: float) -> float:
        return float(scipy.special.polygamma(1, half)) - wanted

    low, high = 1e-3, 1e6
    if excess(high) > 0 or excess(low) < 0:
        return inf if excess(high) > 0 else 2 * low
    return 2 * float(scipy.optimize.brentq(excess, low, high))
