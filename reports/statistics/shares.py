"""Intervals of shares: what was never seen cannot be drawn again.

    x    = n' min(p, 1 - p), the successes or failures, whichever are fewer
    n'   = min(n, 1 + p (1 - p) / var(p))   the effective number of questions (Korn & Graubard, 1998)
    low  = B(0.025; n' p, n' (1 - p) + 1)   high = B(0.975; n' p + 1, n' (1 - p))

B are quantiles of the beta distribution: the exact interval of Clopper & Pearson (1934), which errs in at
most 5 of 100 at every p. The percentile interval of resamples is [0, 0] where all failed, and holds the truth
in 55 of 100 tables at n = 80, p = 0.01; Wilson's and Jeffreys' have holes near the ends as well (Brown, Cai &
DasGupta, 2001). So the exact one stands wherever answers are right or wrong; of fractions where x < 70, of an
average over tasks, whose sums are smoother, where x < 30: from there on resamples hold the truth in 94 of
100.

The unit is the question, whose turns and orders go together; a fraction (a tie, a judge's probability) counts
as one. Of all values in 0-1 with one mean 0 and 1 vary most, so n' is never more than the number of questions
(n = 1 / sum_s w_s^2 / n_s over tasks s), however little the fractions vary that were seen; tasks, turns and
seeds can make it less. Only where all values are one, and neither 0 nor 1, is it so by definition: a row
against its own answers.
"""

from math import inf

import scipy

from reports.statistics.bootstrap import LEVEL, Estimate

RIGHT_OR_WRONG, FRACTIONS, TASKS = inf, 70, 30  # x from which resamples stay


def share_interval(estimate: Estimate, variance: float, questions: float, resampled_from: float) -> Estimate:
    """The estimate of a share with its exact interval, unless resamples tell enough.

    `variance` is that of its value, nan where nothing is known of it; `questions` is n above.
    """
    p = estimate.value
    if estimate.low is None or not 0 <= p <= 1 or (0 < p < 1 and variance == 0):
        return estimate
    # Of nothing but failures the variance is 0, which says that nothing else was seen, not that nothing is.
    effective = min(questions, 1 + p * (1 - p) / variance) if variance > 0 else questions
    if effective * min(p, 1 - p) >= resampled_from:
        return estimate
    low, high = exact(p, effective)
    return estimate._replace(low=low, high=high, exact=True)


def exact(share: float, n: float) -> tuple[float, float]:
    """The 95 % interval of Clopper & Pearson for a share of n trials; neither has to be whole."""
    won, lost, tail = n * share, n * (1 - share), (1 - LEVEL) / 2
    low = float(scipy.special.betaincinv(won, lost + 1, tail)) if won > 0 else 0.0
    high = float(scipy.special.betaincinv(won + 1, lost, 1 - tail)) if lost > 0 else 1.0
    return low, high
