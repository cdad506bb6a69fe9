"""The runs of several methods as arrays, on the items that all of them have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reports.statistics.bootstrap import Floats, Item, Replicate
from reports.statistics.sample import Mask, covers, make_sample, mean_of, residuals, strata_of_questions

Run = Mapping[Item, float]
Cells = Sequence[Sequence[Floats]]  # of each method and base model


@dataclass(frozen=True)
class Runs:
    """The means [S] of each method's runs on each base model, and what each question adds to them [S, Q].

    The squares of what questions add, in a run, sum to the variance of one question. Where tasks weigh alike
    that is n times what the questions add to the variance of a mean over n of them; `weighing` is that of
    values of variance 1. `left_out` counts the items that some run lacks.
    """

    means: Cells
    effects: Cells
    questions: int
    tasks: int
    weighing: float
    left_out: int

    @property
    def methods(self) -> int:
        """The number of methods."""
        return len(self.means)

    @property
    def worlds(self) -> int:
        """The number of base models, the same in each method."""
        return len(self.means[0])

    @property
    def counts(self) -> Floats:
        """The number of seeds [M, W]."""
        return np.array([[len(cell) for cell in own] for own in self.means], float)

    @property
    def seeds(self) -> float:
        """Their harmonic mean: a mean has the seeds' variance by that, on average over methods."""
        return float(1 / (1 / self.counts).mean())


def runs_of(
    rows: Mapping[str, Mapping[Replicate, Run]], weights: Mapping[str, float], together: bool
) -> Runs | None:
    """The runs of methods that have the same base models; None where all share too few questions.

    Where the seeds of all methods go `together`, those that all have are taken.
    """
    cells = {
        (m, world): sorted(r.seed for r in own if r.world == world)
        for m, own in rows.items()
        for world in sorted({r.world for r in own})
    }
    if together:
        for cell in cells:
            cells[cell] = sorted(set.intersection(*(set(s) for c, s in cells.items() if c[1] == cell[1])))
    # Each run is a row of its own, in the order of the names.
    keys = [(m, Replicate(world, seed)) for (m, world), seeds in cells.items() for seed in seeds]
    if not all(cells.values()):
        return None
    table = {f"{i:09}": rows[m][replicate] for i, (m, replicate) in enumerate(keys)}
    sample = make_sample(table, weights=weights)
    present: Mask = np.logical_not(np.isnan(sample.values).any(axis=0, keepdims=True))[0]
    if not covers(sample, present, 2):
        return None
    strata = strata_of_questions(sample, present)
    sizes = np.bincount(strata)
    share = sample.weights * np.sqrt(len(strata) / (sizes * (sizes - 1)))
    means = np.array([mean_of(sample, x, present) for x in sample.values])
    effects = np.array([residuals(sample, x, present) * share[strata] for x in sample.values])
    at = np.cumsum([len(seeds) for seeds in cells.values()])[:-1]
    worlds = len(cells) // len(rows)
    return Runs(
        _nested(np.split(means, at), worlds),
        _nested(np.split(effects, at), worlds),
        len(strata),
        len(sizes),
        float((sample.weights**2 / sizes).sum() * len(strata)),
        int((~present).sum()),
    )


def _nested(cells: Sequence[Floats], worlds: int) -> Cells:
    return [cells[i : i + worlds] for i in range(0, len(cells), worlds)]
