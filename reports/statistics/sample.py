"""What is compared, as arrays: each method's value of each item, and those of each of its replicates.

A replicate is a training: of the last stage alone, or of everything from the base models on. What is
replicated is the highest level that any method has several of: with several base models a replicate is one of
them, its value the mean over its seeds; else it is a seed.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from reports.statistics.bootstrap import Floats, Item, Replicate, Runs, Values

EXACT = 1e-12  # of the largest value: what is closer is equal, but for the order of summation

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sample:
    """Values [M, N] and what is known of where they come from.

    `fixed` are methods that are one model in all replicates, such as the base models where seeds alone vary:
    training adds no chance to them. `reference` is the row that all values are a comparison with, replicate
    by replicate ("" without one): constant itself, its training moves all others together.
    """

    methods: tuple[str, ...]
    items: tuple[Item, ...]
    values: Floats  # [M, N], nan where there is none
    runs: tuple[Floats, ...]  # per method [replicates, N]
    replicates: tuple[tuple[int, ...], ...]  # per method: base models if there are several, else seeds
    strata: npt.NDArray[np.int64]  # [N], index of the stratum
    questions: npt.NDArray[np.int64]  # [N], number of the question, whose turns go together
    weights: Floats  # [strata], sum to 1
    by_stratum: Mapping[str, float] | None  # the weights by name, as bootstrap takes them
    of_base_models: bool = False  # whether a replicate is a base model with all that follows
    fixed: frozenset[str] = frozenset()
    reference: str = ""

    @property
    def is_shared(self) -> bool:
        """Whether a replicate moves all methods together: their base models, or a trained reference."""
        return self.of_base_models or self.has_trained_reference

    @property
    def has_trained_reference(self) -> bool:
        """Whether the row that all values are a comparison with is one that training moves."""
        return self.reference in self.methods and self.reference not in self.fixed

    @property
    def is_replicated(self) -> bool:
        """Whether any of the methods was trained more than once."""
        trained = (own for m, own in zip(self.methods, self.replicates, strict=True) if m not in self.fixed)
        return any(len(own) > 1 for own in trained)

    @cached_property
    def equal(self) -> float:
        """What is closer than that is equal but for the order of summation."""
        return EXACT * float(np.nanmax(np.abs(self.values)))


def make_sample(
    values: Values,
    runs: Runs | None = None,
    weights: Mapping[str, float] | None = None,
    fixed: Collection[str] = (),
    reference: str = "",
) -> Sample:
    """`weights` are those of the strata, equal ones if not given; a method may lack items.

    Methods are in the order of their names, so that nothing that is drawn depends on that of the rows.
    """
    methods = tuple(sorted(values))
    items = tuple(sorted(set().union(*values.values())))
    if not items:
        raise ValueError("nothing to compare: no method has a value")
    names = sorted({item.stratum for item in items})
    share = np.array([1.0 if weights is None else weights[name] for name in names])

    def table(rows: Iterable[Mapping[Item, float]]) -> Floats:
        return np.array([[row.get(i, np.nan) for i in items] for row in rows]).reshape(-1, len(items))

    own = [dict(sorted((runs or {}).get(m, {}).items())) for m in methods]
    several = any(len({r.world for r in by_replicate}) > 1 for by_replicate in own)
    units = [_base_models(r) if several else {k.seed: run for k, run in r.items()} for r in own]
    return Sample(
        methods=methods,
        items=items,
        values=table(values[m] for m in methods),
        runs=tuple(table(by_unit.values()) for by_unit in units),
        replicates=tuple(tuple(by_unit) for by_unit in units),
        strata=np.array([names.index(item.stratum) for item in items]),
        questions=np.cumsum([k == 0 or items[k - 1][:2] != item[:2] for k, item in enumerate(items)]),
        weights=share / share.sum(),
        by_stratum=weights,
        of_base_models=several,
        fixed=frozenset(fixed),
        reference=reference,
    )


def _base_models(runs: Mapping[Replicate, Mapping[Item, float]]) -> dict[int, dict[Item, float]]:
    """Base model -> the mean of its seeds, of the items that all of them have."""
    seeds: dict[int, list[Mapping[Item, float]]] = defaultdict(list)
    for replicate, run in runs.items():
        seeds[replicate.world].append(run)
    return {
        world: {i: sum(run[i] for run in own) / len(own) for i in own[0] if all(i in run for run in own)}
        for world, own in seeds.items()
    }


def difference_of(sample: Sample, a: int, b: int) -> Floats:
    """Of each item [N], nan where one has no value; 0 where the two are equal but for rounding."""
    x, y = sample.values[a], sample.values[b]
    return np.where(np.abs(x - y) <= EXACT * np.maximum(np.abs(x), np.abs(y)), 0.0, x - y)


def mean_of(sample: Sample, x: Floats, present: Mask) -> float:
    """The mean over strata of the means over items."""
    strata = sample.strata[present]
    return float((sample.weights * np.bincount(strata, x[present]) / np.bincount(strata)).sum())


def covers(sample: Sample, present: Mask, least: int = 1) -> bool:
    """Whether every stratum has that many questions."""
    strata = strata_of_questions(sample, present)
    return bool((np.bincount(strata, minlength=len(sample.weights)) >= least).all())


def strata_of_questions(sample: Sample, present: Mask) -> npt.NDArray[np.int64]:
    """The stratum of each question that has any of these items."""
    _, first = np.unique(sample.questions[present], return_index=True)
    return sample.strata[present][first]


def residuals(sample: Sample, x: Floats, present: Mask) -> Floats:
    """What each question [questions] adds to the mean of its stratum, as if all had one turn.

    The mean is a ratio where questions have several turns, and this its linearisation (Cochran, 1977): the
    sum over a question's turns of x - mean, by the mean number of turns.
    """
    strata, of_questions = sample.strata[present], strata_of_questions(sample, present)
    sizes = np.bincount(strata)
    means, turns = np.bincount(strata, x[present]) / sizes, sizes / np.bincount(of_questions)
    _, question = np.unique(sample.questions[present], return_inverse=True)
    return np.asarray(np.bincount(question, (x[present] - means[strata]) / turns[strata]), float)


def are_right_or_wrong(sample: Sample, rows: Floats) -> bool:
    """Whether values [rows, N], where all rows have one, are 0 or 1, of a question each, in one stratum."""
    present = ~np.isnan(rows).any(0)
    alone = len(np.unique(sample.questions[present])) == present.sum()
    return bool(alone and len(sample.weights) == 1 and np.isin(rows[:, present], (0.0, 1.0)).all())


def questions_of_mean(sample: Sample, method: str) -> float:
    """1 / sum over strata of (weight^2 / number of questions): their number, where no stratum weighs more."""
    present = ~np.isnan(sample.values[sample.methods.index(method)])
    sizes = np.bincount(strata_of_questions(sample, present))
    return 1 / float((sample.weights**2 / sizes).sum())
