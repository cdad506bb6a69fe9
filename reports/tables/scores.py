"""What the rows of a column are measured by: where each number of each table comes from.

    item    a turn of a question: the mean over its orders (Group.measured)
    row     the mean over replicates of the mean over tasks, if any, of that over items
    less    of two rows, the mean over replicates of each, on the items that both have: paired_test.versus

A row that lacks a task has no mean, since means over different tasks do not compare; nor has a replicate.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from reports.records.benchmarks import Tasks
from reports.records.groups import Group, Measured
from reports.statistics import paired_test, sample, shares, variance
from reports.statistics.bootstrap import Bootstrap, Draw, Estimate, Runs, Values, bootstrap, interval
from reports.statistics.chance import Chance
from reports.statistics.sample import Sample
from reports.statistics.variance import UNKNOWN, Variation
from reports.tables.table import is_untrained

OF_ONE_RUN = "of one run, its training's chance taken from the others'"
ON_ONE_BASE_MODEL = "on one base model, its training's chance taken from those on several"
Z = 1.96  # half the width of a 95 % interval, in standard errors


class Lent(NamedTuple):
    """What another run says of trainings: how each of its rows varies, and what all vary by together; which
    rows are one model in all replicates; and in words whence it is.
    """

    own: tuple[Variation, ...] = ()
    common: Variation = UNKNOWN
    fixed: frozenset[str] = frozenset()
    words: str = ""


NOTHING = Lent()


@dataclass(frozen=True, eq=False)
class Scores:
    """The rows of a column on one dataset that have a value in every task; `lacks`: what the others lack.

    `fixed` are rows that are one model in all replicates, `reference` is the row that all are compared with.
    """

    values: Values
    runs: Runs
    weights: dict[str, float]  # of the strata
    lacks: dict[str, list[str]]
    shares: bool  # of 0-1
    fixed: frozenset[str] = frozenset()
    reference: str = ""
    borrowed: Sequence[Variation] = ()  # of rows that are not among these
    lent: Lent = NOTHING

    @cached_property
    def chance(self) -> Chance:
        """The rows as arrays, with what their trainings add to chance."""
        own = sample.make_sample(self.values, self.runs, self.weights, self.fixed, self.reference)
        return Chance(own, (*self.borrowed, *self.lent.own), self.lent.common)

    @property
    def varied(self) -> list[Variation]:
        """How much each of its rows varies over trainings, of those that say so."""
        return [v for v in self.chance.variations.own if v.df] if self.values else []

    @property
    def unreplicated(self) -> dict[str, str]:
        """The rows whose trainings' chance is that of the others, and in words why."""
        rows = [m for m in self.values if self.chance.is_known and self.chance.is_unreplicated(m)]
        return {m: OF_ONE_RUN if len(self.runs[m]) < 2 else ON_ONE_BASE_MODEL for m in rows}

    def resampled(self, draw: Draw) -> Bootstrap:
        """The means, and those over resamples."""
        return bootstrap(self.values, draw.seed, draw.resamples, self.weights, self.runs)

    @property
    def is_uneven(self) -> bool:
        """Whether some of the rows, or of their seeds, have values of other items than others."""
        own = [run.keys() for runs in self.runs.values() for run in runs.values()]
        return any(items != own[0] for items in own[1:])


Estimator = Callable[[Scores, Draw], Mapping[str, Estimate]]


def scored(
    own: Mapping[str, Group],
    tasks: Tasks | None,
    shares: bool,
    reference: str = "",
    borrowed: Sequence[Variation] = (),
    lent: Lent = NOTHING,
    fixed: frozenset[str] = frozenset(),
) -> Scores:
    """The scores of rows by their groups; `tasks` are those that the benchmark averages over, `fixed` rows
    that are one model in all replicates, whether they have several or not.
    """
    # The strata are those of any row: a row that lacks one would be a mean over easier or harder tasks.
    strata = {stratum for g in own.values() for stratum in g.strata}
    whole: dict[str, Measured] = {}
    lacks = {}
    for m, measured in ((m, g.measured) for m, g in own.items() if g.measured.values):
        runs = {r: run for r, run in measured.runs.items() if strata == {item.stratum for item in run}}
        if not runs:
            lacking = (strata - {item.stratum for item in run} for run in measured.runs.values())
            lacks[m] = sorted(set().union(*lacking))
        else:
            whole[m] = measured if len(runs) == len(measured.runs) else Measured.of(runs)
    return Scores(
        {m: measured.values for m, measured in whole.items()},
        {m: measured.runs for m, measured in whole.items()},
        _weights(tasks or Tasks(), strata),
        lacks,
        shares,
        frozenset(m for m in whole if own[m].is_one_model or m in lent.fixed | fixed),
        reference,
        borrowed,
        lent,
    )


def untrained(groups: Iterable[Group]) -> frozenset[str]:
    """The rows that no method trained and that are of one base model, where others were replicated."""
    known = list(groups)
    if not any(g.is_replicated for g in known):
        return frozenset()
    rows = ((g.method, {r.world for r in g.replicates}) for g in known)
    return frozenset(m for m, worlds in rows if is_untrained(m) and len(worlds) == 1)


def _weights(tasks: Tasks, strata: set[str]) -> dict[str, float]:
    """Tasks weigh the same, subtasks as much as one task together: MMLU's subjects, as on the leaderboard."""
    task_of = {name: tasks.task(name) for name in strata}
    sizes = Counter(task_of.values())
    return {name: 1 / sizes[task] for name, task in task_of.items()}


def mean(scores: Scores, draw: Draw) -> dict[str, Estimate]:
    """The mean of each row; where trainings were replicated its interval is over them and over questions."""
    boot, chance, found = scores.resampled(draw), scores.chance, {}
    for m in boot.methods:
        found[m], spread = interval(boot, m), variance.variance_of_mean(chance.sample, m)
        # The resamples know one training each; the spread over trainings has to be added in closed form.
        if mixture := chance.of_mean(chance.sample.methods.index(m)):
            value, half = found[m].value, mixture.half_width()
            found[m], spread = found[m]._replace(low=value - half, high=value + half), (half / Z) ** 2
        if scores.shares:
            questions = sample.questions_of_mean(chance.sample, m)
            found[m] = shares.share_interval(found[m], spread, questions, _resampled_from(chance.sample, m))
    return found


def _resampled_from(of: Sample, method: str) -> float:
    if sample.are_right_or_wrong(of, of.values[[of.methods.index(method)]]):
        return shares.RIGHT_OR_WRONG
    return shares.TASKS if len(of.weights) > 1 else shares.FRACTIONS


def less(baseline: str) -> Estimator:
    """Each row less that of `baseline`, which has none itself, as a comparison with it has it."""

    def estimate(scores: Scores, draw: Draw) -> dict[str, Estimate]:
        others = [m for m in scores.values if m != baseline]
        if baseline not in scores.values:
            return {}
        compared = paired_test.versus(scores.chance, baseline, others, draw)
        return {m: Estimate(c.value, c.low, c.high, c.n) for m, c in compared.items()}

    return estimate
