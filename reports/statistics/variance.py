"""The chance in a mean: of the questions that were asked and, from two seeds on, of the training.

Questions and seeds are crossed, one value each (two-way random effects without replication):

    Var(grand mean) = var_seed / S + var_question / n + var_rest / (S n)

is estimated without bias by (MS_seed + MS_question - MS_rest) / (S n): the rest, which both mean squares
hold, counts once. It is a sum of two parts with degrees of freedom of their own, seeds with few. With v their
sum:

    interval   half^2 = z^2 v + v sum over parts of (t_df^2 - z^2) (part / v)^1.75
    test       half^2 = z^2 v + v sum over parts of (t_df^2 - z^2) (part / v) = sum over parts of t_df^2 part

A single part makes both a t interval. The test's is Banerjee's (1960): it errs at most as often as it says,
at every level, which Holm's small ones need. It covers up to 97.7 % where 95 are meant; with the power 2,
Welch's (1947) to first order, it would be 94.1 at least at 3 seeds, and with one df for the sum,
Satterthwaite's, 92.2. 1.75 was chosen by quadrature (a test has it): whatever the parts' ratio, 94.5-96.0 %
at 3 seeds, 94.9-95.4 at 5, 93.3-97.0 at 2. So the test may leave a difference untold that the interval tells.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import hypot, nan, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy  # its parts are loaded where they are first asked for

from reports.statistics.bootstrap import LEVEL, Floats, Item, Replicate, Runs, Values

POWER = 1.75  # of a part's share in the interval
EXACT = 1e-12  # of the largest value: what is closer is equal, but for the order of summation

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sample:
    """What is compared: each method's value of each item, and those of each of its seeds."""

    methods: tuple[str, ...]
    items: tuple[Item, ...]
    values: Floats  # [M, N], nan where there is none
    runs: tuple[Floats, ...]  # per method [seeds, N]
    seeds: tuple[tuple[Replicate, ...], ...]
    strata: npt.NDArray[np.int64]  # [N], index of the stratum
    questions: npt.NDArray[np.int64]  # [N], number of the question, whose turns go together
    weights: Floats  # [strata], sum to 1
    by_stratum: Mapping[str, float] | None  # the weights by name, as bootstrap takes them


class VariancePart(NamedTuple):
    """A variance of a mean or a difference, and the degrees of freedom that it is known with."""

    variance: float
    df: float


def make_sample(
    values: Values, runs: Runs | None = None, weights: Mapping[str, float] | None = None
) -> Sample:
    """`weights` are those of the strata, equal ones if not given; a method may lack items."""
    items = tuple(sorted(set().union(*values.values())))
    if not items:
        raise ValueError("nothing to compare: no method has a value")
    names = sorted({item.stratum for item in items})
    share = np.array([1.0 if weights is None else weights[name] for name in names])

    def table(rows: Iterable[Mapping[Item, float]]) -> Floats:
        return np.array([[row.get(i, nan) for i in items] for row in rows]).reshape(-1, len(items))

    by_seed = [dict(sorted((runs or {}).get(m, {}).items())) for m in values]
    return Sample(
        methods=tuple(values),
        items=items,
        values=table(values.values()),
        runs=tuple(table(own.values()) for own in by_seed),
        seeds=tuple(tuple(own) for own in by_seed),
        strata=np.array([names.index(item.stratum) for item in items]),
        questions=np.cumsum([k == 0 or items[k - 1][:2] != item[:2] for k, item in enumerate(items)]),
        weights=share / share.sum(),
        by_stratum=weights,
    )


def seeds_of_two(sample: Sample, a: int, b: int) -> tuple[str, tuple[VariancePart, float] | None]:
    """The seeds' part of a difference and its rest: by seed where both have the same seeds, else Welch's."""
    if min(len(sample.seeds[a]), len(sample.seeds[b])) < 2:
        return "", None
    if sample.seeds[a] == sample.seeds[b]:
        return "paired by seed", seeds_part(sample, [(a, 1.0), (b, -1.0)])
    one, two = seeds_part(sample, [(a, 1.0)]), seeds_part(sample, [(b, 1.0)])
    both = (add([one[0], two[0]]), one[1] + two[1]) if one and two else None
    return "Welch over seeds", both


def parts_of_mean(sample: Sample, method: str) -> list[VariancePart]:
    """The parts of the variance of a method's mean; none where it has one seed, or a stratum one question."""
    m = sample.methods.index(method)
    x, seeds = sample.values[m], seeds_part(sample, [(m, 1.0)])
    present = ~np.isnan(x)
    if seeds is None or not covers(sample, present, 2):
        return []
    return both_levels(questions_part(sample, x, present), *seeds)


def variance_of_mean(sample: Sample, method: str) -> float:
    """The variance of a method's mean over questions; nan where a stratum has a single one."""
    x = sample.values[sample.methods.index(method)]
    present = ~np.isnan(x)
    return questions_part(sample, x, present).variance if covers(sample, present, 2) else nan


def questions_of_mean(sample: Sample, method: str) -> float:
    """1 / sum over strata of (weight^2 / number of questions): their number, where no stratum weighs more."""
    present = ~np.isnan(sample.values[sample.methods.index(method)])
    sizes = np.bincount(_strata_of_questions(sample, present))
    return 1 / float((sample.weights**2 / sizes).sum())


def is_right_or_wrong(sample: Sample, method: str) -> bool:
    """Whether a method's values are 0 or 1, each of a question of its own, in one stratum."""
    x = sample.values[sample.methods.index(method)]
    present = ~np.isnan(x)
    alone = len(np.unique(sample.questions[present])) == present.sum()
    return bool(alone and len(sample.weights) == 1 and np.isin(x[present], (0.0, 1.0)).all())


def both_levels(questions: VariancePart, seeds: VariancePart, rest: float) -> list[VariancePart]:
    """Both levels of chance; what both hold of the rest stays with the seeds."""
    return [VariancePart(max(0.0, questions.variance - rest), questions.df), seeds]


def difference_of(sample: Sample, a: int, b: int) -> Floats:
    """Of each item [N], nan where one has no value; 0 where the two are equal but for rounding."""
    x, y = sample.values[a], sample.values[b]
    return np.where(np.abs(x - y) <= EXACT * np.maximum(np.abs(x), np.abs(y)), 0.0, x - y)


def seeds_part(sample: Sample, terms: list[tuple[int, float]]) -> tuple[VariancePart, float] | None:
    """MS_seed and its residual of a sum of methods, over items that every seed has; None without."""
    runs: Floats = np.sum([sign * sample.runs[m] for m, sign in terms], 0)  # [seeds, N]
    present: Mask = np.logical_not(np.isnan(runs).any(axis=0, keepdims=True))[0]
    if len(runs) < 2 or not covers(sample, present, 2):
        return None
    count, strata = len(runs), _strata_of_questions(sample, present)
    sizes = np.bincount(strata)
    centred = np.array([_residuals(sample, run, present) for run in runs])  # [seeds, questions]
    squares = np.bincount(strata, ((centred - centred.mean(0)) ** 2).sum(0)) / (count - 1) / (sizes - 1)
    residual = float((sample.weights**2 * squares / sizes).sum()) / count
    seed_means = np.array([mean_of(sample, run, present) for run in runs])
    return VariancePart(float(seed_means.var(ddof=1)) / count, count - 1), residual


def questions_part(sample: Sample, x: Floats, present: Mask) -> VariancePart:
    """The variance of the weighted mean over questions; Welch-Satterthwaite over strata."""
    strata, residuals = _strata_of_questions(sample, present), _residuals(sample, x, present)
    sizes, spread = np.bincount(strata), np.bincount(strata, residuals**2)
    scale = float(np.abs(x[present]).max()) * EXACT
    variances = np.where(spread <= scale**2 * sizes, 0.0, sample.weights**2 * spread / (sizes - 1) / sizes)
    return add([VariancePart(float(v), float(n - 1)) for v, n in zip(variances, sizes, strict=True)])


def _residuals(sample: Sample, x: Floats, present: Mask) -> Floats:
    """What each question [questions] adds to the mean of its stratum, as if all had one turn.

    The mean is a ratio where questions have several turns, and this its linearisation (Cochran, 1977): the
    sum over a question's turns of x - mean, by the mean number of turns.
    """
    strata, of_questions = sample.strata[present], _strata_of_questions(sample, present)
    sizes = np.bincount(strata)
    means, turns = np.bincount(strata, x[present]) / sizes, sizes / np.bincount(of_questions)
    _, question = np.unique(sample.questions[present], return_inverse=True)
    return np.asarray(np.bincount(question, (x[present] - means[strata]) / turns[strata]), float)


def _strata_of_questions(sample: Sample, present: Mask) -> npt.NDArray[np.int64]:
    """The stratum of each question that has any of these items."""
    _, first = np.unique(sample.questions[present], return_index=True)
    return sample.strata[present][first]


def mean_of(sample: Sample, x: Floats, present: Mask) -> float:
    strata = sample.strata[present]
    return float((sample.weights * np.bincount(strata, x[present]) / np.bincount(strata)).sum())


def covers(sample: Sample, present: Mask, least: int = 1) -> bool:
    """Whether every stratum has that many questions."""
    strata = _strata_of_questions(sample, present)
    return bool((np.bincount(strata, minlength=len(sample.weights)) >= least).all())


def add(parts: list[VariancePart]) -> VariancePart:
    """Satterthwaite's (1946): the sum of the variances, and its degrees of freedom."""
    total = sum(part.variance for part in parts)
    if not total:
        return VariancePart(0.0, sum(part.df for part in parts))
    return VariancePart(total, total**2 / sum(part.variance**2 / part.df for part in parts))


def half_width(parts: list[VariancePart]) -> float:
    """Half the width of the 95 % interval."""
    total = sum(part.variance for part in parts)
    if not total:
        return 0.0
    z = float(scipy.special.ndtri((1 + LEVEL) / 2))
    t = [float(scipy.special.stdtrit(part.df, (1 + LEVEL) / 2)) for part in parts]
    wider = ((x**2 - z**2) * (part.variance / total) ** POWER for x, part in zip(t, parts, strict=True))
    return sqrt(total * (z**2 + sum(wider)))


def reach(parts: list[VariancePart], quantile: float) -> float:
    """sqrt(sum of t_df^2 * variance), t at this quantile: half the width of an interval."""
    return hypot(*(float(scipy.special.stdtrit(part.df, quantile)) * sqrt(part.variance) for part in parts))


def p_of(value: float, parts: list[VariancePart], n: int = 2) -> float:
    """The p at which the half-width equals |value|; without any spread, that of n signs that all agree."""
    positive = [part for part in parts if part.variance > 0]
    if not value:
        return 1.0
    if not positive:
        return 2.0 ** (1 - n)
    if len(positive) == 1:
        return float(2 * scipy.special.stdtr(positive[0].df, -abs(value) / sqrt(positive[0].variance)))

    def excess(log_p: float) -> float:
        return reach(positive, float(np.exp(log_p)) / 2) - abs(value)

    least, most = -690.0, -1e-9  # exp(-690) is near the smallest float
    if excess(least) < 0 or excess(most) > 0:
        return float(np.exp(least)) if excess(least) < 0 else 1.0
    return float(np.exp(scipy.optimize.brentq(excess, least, most, xtol=1e-10)))
