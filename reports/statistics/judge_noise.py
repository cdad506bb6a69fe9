"""How far a judge's verdicts on one answer scatter, and what that is of the chance in a mean.

    verdict k on item i   x_ik = item_i + noise_ik
    sigma^2               = sum_i sum_k (x_ik - mean_i)^2 / sum_i (K_i - 1)
    part of a mean        = sum_i sigma^2 / m_i / n^2        sigma^2 / n of one verdict an item

sigma^2 is the mean square within items of a one-way analysis of variance (Fisher, 1925), over items with any
number of verdicts and of all methods. An item is a request: a question's turn, in one order of two.

Noise is new in every verdict, so it is a part of what is left between questions once methods and questions
have their means: the spread of questions holds it, and so does every interval that is made of it. It is a
component of that spread, to be told beside it and never to be added to it.
"""

from collections.abc import Iterable, Sequence
from math import fsum
from typing import NamedTuple


class JudgeNoise(NamedTuple):
    """The variance of one verdict around its item's mean, and the degrees of freedom it is known with."""

    variance: float
    df: int


def judge_noise(items: Iterable[Sequence[float]]) -> JudgeNoise | None:
    """The noise in the verdicts of each item; None where no item has two."""
    repeated = [own for own in items if len(own) > 1]
    df = sum(len(own) - 1 for own in repeated)
    if not df:
        return None
    means = [fsum(own) / len(own) for own in repeated]
    squares = ((x - mean) ** 2 for own, mean in zip(repeated, means, strict=True) for x in own)
    return JudgeNoise(fsum(squares) / df, df)


def part_of_mean(variance: float, verdicts: Sequence[int]) -> float:
    """What noise of that variance is of the variance of a mean over items, each the mean of so many verdicts.

    A question of two turns or two orders has that many verdicts; n >= 1 items.
    """
    return variance * fsum(1 / m for m in verdicts) / len(verdicts) ** 2
