"""What the numbers of one column vary by, and what a comparison could see with more of each."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb
from statistics import fmean
from typing import NamedTuple

from reports.statistics import paired_test, planning
from reports.statistics.bootstrap import Replicate
from reports.statistics.noise import components
from reports.statistics.noise.components import (
    JUDGE,
    METHOD_QUESTION,
    METHOD_WORLD_QUESTION,
    RESIDUAL,
    SEED,
    Components,
)
from reports.statistics.noise.runs import Runs, runs_of
from reports.statistics.planning import Design, Noise
from reports.tables.columns import MeasuredColumn
from reports.tables.judge_noise import Scatter
from reports.tables.scores import Scores
from reports.tables.table import is_untrained

ROUNDING = 1e-12


class Effort(NamedTuple):
    """How much of each a comparison is made of; `verdicts` is how often the judge is asked the same."""

    questions: int
    seeds: float
    worlds: int
    verdicts: int = 1

    @property
    def replicates(self) -> float:
        """Base models where there are several, else seeds."""
        return self.worlds if self.worlds > 1 else self.seeds


class Lead(NamedTuple):
    """How far the first of a column is above the second, on what both have."""

    first: str
    second: str
    difference: float


@dataclass(frozen=True, eq=False)
class ColumnNoise:
    """The trained rows of a column on a dataset, and all of their runs on the questions that these share.

    `lacking` are rows that lack a base model which others have. `together` says whether seeds move all rows
    alike, as those of a trained reference do; `judge` is what its noise is of the variance of a question's
    value, where it was asked again.
    """

    methods: tuple[str, ...]
    lacking: tuple[str, ...]
    scores: Scores
    runs: Runs
    together: bool
    judge: float | None

    @cached_property
    def components(self) -> Components:
        """As estimated: they may be negative."""
        found = components.estimated(self.runs, self.together)
        # What sums of squares leave of nothing is no variance, and no estimate below 0.
        least = ROUNDING * sum(abs(v) for v in found.values())
        found = {e: v if abs(v) > least else 0.0 for e, v in found.items()}
        return found if self.judge is None else components.with_judge(found, self.judge)

    @property
    def pairs(self) -> int:
        """How many pairs of methods there are."""
        return comb(len(self.methods), 2)

    @property
    def replicates(self) -> list[Collection[Replicate]]:
        """Those of each row."""
        return [self.scores.runs[m].keys() for m in self.methods]

    @property
    def is_replicated(self) -> bool:
        """Whether any row was trained more than once."""
        return any(len(own) > 1 for own in self.replicates)

    @property
    def unplanned(self) -> str:
        """Why replicates do not say what one more would add, "" where they do.

        A variance that is known on 2 degrees of freedom or fewer has a posterior without a mean.
        """
        if not self.scores.chance.is_known:
            return "no row's values vary, over questions or runs"
        if SEED not in self.components and self.runs.worlds < 2:
            return "no two seeds are of all rows"
        if self.df <= 2:
            return f"the replicates say too little, with {self.df:.0f} degrees of freedom in all"
        return ""

    @property
    def df(self) -> float:
        """The degrees of freedom of all replicates together."""
        chance = self.scores.chance
        return sum(v.df for v in (*chance.variations.own, *chance.borrowed))

    @property
    def effort(self) -> Effort:
        """What there is."""
        return Effort(self.runs.questions, self.runs.seeds, self.runs.worlds)

    def design(self, effort: Effort) -> Design:
        """A comparison of two methods with as much of each."""
        df = effort.questions - self.runs.tasks
        return planning.of_two(self._noise(effort), effort.questions, df, effort.replicates)

    def needed(self, difference: float, alpha: float = planning.ALPHA) -> int | None:
        """The number of replicates that finds it; None where it is too small for any."""
        noise, questions = self._noise(self.effort), self.runs.questions
        df = questions - self.runs.tasks
        return planning.replicates_needed(difference, noise, questions, df, alpha)

    def lead(self) -> Lead:
        """Between the first and the second."""
        sample = self.scores.chance.sample
        place = dict(zip(sample.methods, paired_test.places(sample), strict=True))
        first, second = sorted(self.methods, key=lambda m: (place[m], m))[:2]
        a, b = sample.methods.index(first), sample.methods.index(second)
        return Lead(first, second, abs(float(paired_test.gaps(sample)[a, b])))

    def _noise(self, effort: Effort) -> Noise:
        """With the variance between trainings that the tests reckon with: its mean over their posterior."""
        of = {effect: max(0.0, variance) for effect, variance in self.components.items()}
        chance = self.scores.chance
        trainings, rows = chance.trainings, [chance.sample.methods.index(m) for m in self.methods]
        training = fmean(float(trainings.of(m) @ trainings.taus**2) for m in rows)
        answer = of.get(RESIDUAL, 0.0) + of.get(JUDGE, 0.0) / effort.verdicts
        if self.runs.worlds > 1:
            # A replicate is a base model there, its value the mean over its seeds.
            saved = of.get(SEED, 0.0) * (1 / self.runs.seeds - 1 / effort.seeds)
            training = max(0.0, training - saved)
            answer = of[METHOD_WORLD_QUESTION] + answer / effort.seeds
        spread = float(trainings.weights @ trainings.spreads)
        return Noise(of[METHOD_QUESTION], answer, training, spread)


def column_noise(
    column: MeasuredColumn, dataset: str, methods: Sequence[str], asked_again: Scatter | None
) -> ColumnNoise | None:
    """That of the rows that this run trained; None where no two of them share questions enough."""
    every = column.scores(dataset, [m for m in methods if not is_untrained(m)])
    if not every.values:
        return None
    known = set(every.chance.trained)
    trained = [m for m in every.values if m in known]
    worlds = {m: {r.world for r in every.runs[m]} for m in trained}
    whole = tuple(m for m in trained if worlds[m] == set().union(*worlds.values()))
    together = every.chance.sample.has_trained_reference
    rows = {m: every.runs[m] for m in whole}
    runs = runs_of(rows, every.weights, together) if len(whole) > 1 else None
    if runs is None:
        return None
    shown, judge = [*whole, every.reference] if together else whole, _judge(asked_again)
    return ColumnNoise(
        whole,
        tuple(m for m in trained if m not in whole),
        column.scores(dataset, shown),
        runs,
        together,
        None if judge is None else judge * runs.weighing,
    )


def _judge(scatter: Scatter | None) -> float | None:
    """The variance that the noise of verdicts gives the value of a question."""
    if scatter is None or scatter.noise is None or not scatter.questions:
        return None
    return scatter.noise.variance * fmean(1 / len(v) for row in scatter.questions for v in row)
