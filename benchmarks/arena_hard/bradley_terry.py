"""Bradley-Terry ratings of several models from their battles, on the scale of Arena-Hard and Chatbot Arena.

    P(a beats b) = 1 / (1 + 10 ** ((rating_b - rating_a) / 400))        a tie is half a win for each

A maximum-likelihood fit by Newton's method. Where every model plays one baseline and nobody else, it says
what the mean of each model's verdicts says: P(model beats baseline) is that mean.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Elo's: 400 points more are odds of 10 to 1.
BASE = 10.0
SCALE = 400.0
STEPS = 100
SMALL = 1e-10  # a step of that size ends the fit

Numbers = NDArray[np.float64]


def win_probability(rating: float, other: float) -> float:
    """How often a model of `rating` beats one of `other`, 0-1, a tie being half a win."""
    return 1 / (1 + math.pow(BASE, (other - rating) / SCALE))


def one_hot(first: Sequence[str], second: Sequence[str], models: Sequence[str]) -> Numbers:
    """[battles, models]: +ln 10 at the first model, -ln 10 at the second, so that SCALE x w are ratings."""
    places = {name: i for i, name in enumerate(models)}
    rows = np.arange(len(first))
    x = np.zeros((len(first), len(models)))
    x[rows, [places[name] for name in first]] += math.log(BASE)
    x[rows, [places[name] for name in second]] -= math.log(BASE)
    return x


def logistic(x: Numbers, y: Numbers, weight: Numbers, *, l2: float = 0.0) -> Numbers:
    """The w [features] that minimises sum_i weight_i CE(y_i, sigmoid(x_i w)) + l2/2 |w|^2; y is in 0-1.

    x is [rows, features]; there is no intercept. ValueError where the data set no finite minimum.
    """
    w = np.zeros(x.shape[1])
    loss = _loss(w, x, y, weight, l2)
    for _ in range(STEPS):
        p = _sigmoid(x @ w)
        gradient = x.T @ (weight * (p - y)) + l2 * w
        curvature = (x.T * (weight * p * (1 - p))) @ x + l2 * np.eye(len(w))
        # No solve: a feature that is 0 in every battle makes the curvature singular; its weight stays 0 so.
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        # Half the step until the loss falls: a full one may pass the minimum where the curve is flat.
        while _loss(w - step, x, y, weight, l2) > loss and np.abs(step).max() > SMALL:
            step = step / 2
        w = w - step
        loss = _loss(w, x, y, weight, l2)
        if np.abs(step).max(initial=0.0) <= SMALL:
            return w
    raise ValueError("no finite fit: a combination of the features parts wins from losses")


def _loss(w: Numbers, x: Numbers, y: Numbers, weight: Numbers, l2: float) -> float:
    z = x @ w
    return float(weight @ (np.logaddexp(0, z) - y * z) + l2 / 2 * (w @ w))


def _sigmoid(z: Numbers) -> Numbers:
    return np.exp(-np.logaddexp(0, -z))  # 1 / (1 + exp(-z)) would overflow
