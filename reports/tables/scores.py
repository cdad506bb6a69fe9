"""What the rows of a column are measured by: where each number of each table comes from.

    item    a turn of a question: the mean over its orders (Group.measured)
    row     the mean over seeds of the mean over tasks, if any, of that over items
    less    of two rows, the mean over seeds of each, on the items that both have: paired_test.versus

A row that lacks a task has no mean, since means over different tasks do not compare; neither has a seed.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from reports.records.benchmarks import Tasks
from reports.records.groups import Group, Measured
from reports.statistics import paired_test, shares, variance
from reports.statistics.bootstrap import Bootstrap, Draw, Estimate, Runs, Values, bootstrap, interval
from reports.statistics.variance import Sample

Z = 1.96  # half the width of a 95 % interval, in standard errors


@dataclass(frozen=True, eq=False)
class Scores:
    """The rows of a column on one dataset that have a value in every task; `lacks`: what the others lack."""

    values: Values
    runs: Runs
    weights: dict[str, float]  # of the strata
    lacks: dict[str, list[str]]
    shares: bool  # of 0-1

    @cached_property
    def sample(self) -> Sample:
        """The same as arrays, for tests."""
        return variance.make_sample(self.values, self.runs, self.weights)

    def resampled(self, draw: Draw) -> Bootstrap:
        """The means, and those over resamples."""
        return bootstrap(self.values, draw.seed, draw.resamples, self.weights, self.runs)

    @property
    def is_uneven(self) -> bool:
        """Whether some of the rows, or of their seeds, have values of other items than others."""
        own = [run.keys() for runs in self.runs.values() for run in runs.values()]
        return any(items != own[0] for items in own[1:])


Estimator = Callable[[Scores, Draw], Mapping[str, Estimate]]


def scored(own: Mapping[str, Group], tasks: Tasks | None, shares: bool) -> Scores:
    """The scores of rows by their groups; `tasks` are those that the benchmark averages over."""
    # The strata are those of any row: a row that lacks one would be a mean over easier or harder tasks.
    strata = {stratum for g in own.values() for stratum in g.strata}
    whole: dict[str, Measured] = {}
    lacks = {}
    for m, measured in ((m, g.measured) for m, g in own.items() if g.measured.values):
        seeds = {s: run for s, run in measured.runs.items() if strata == {item.stratum for item in run}}
        if not seeds:
            lacking = (strata - {item.stratum for item in run} for run in measured.runs.values())
            lacks[m] = sorted(set().union(*lacking))
        else:
            whole[m] = measured if len(seeds) == len(measured.runs) else Measured.of(seeds)
    return Scores(
        {m: measured.values for m, measured in whole.items()},
        {m: measured.runs for m, measured in whole.items()},
        _weights(tasks or Tasks(), strata),
        lacks,
        shares,
    )


def _weights(tasks: Tasks, strata: set[str]) -> dict[str, float]:
    """Tasks weigh the same, subtasks as much as one task together: MMLU's subjects, as on the leaderboard."""
    task_of = {name: tasks.task(name) for name in strata}
    sizes = Counter(task_of.values())
    return {name: 1 / sizes[task] for name, task in task_of.items()}


def mean(scores: Scores, draw: Draw) -> dict[str, Estimate]:
    """The mean of each row; where it has several seeds, its interval is over seeds and questions."""
    boot, sample, found = scores.resampled(draw), scores.sample, {}
    for m in boot.methods:
        found[m], spread = interval(boot, m), variance.variance_of_mean(sample, m)
        # The resamples know one training each; the spread over seeds has to be added in closed form.
        if parts := variance.parts_of_mean(sample, m):
            value, half = found[m].value, variance.half_width(parts)
            found[m], spread = found[m]._replace(low=value - half, high=value + half), (half / Z) ** 2
        if scores.shares:
            found[m] = shares.share_interval(
                found[m], spread, variance.questions_of_mean(sample, m), _resampled_from(sample, m)
            )
    return found


def _resampled_from(sample: Sample, method: str) -> float:
    if variance.is_right_or_wrong(sample, method):
        return shares.RIGHT_OR_WRONG
    return shares.TASKS if len(sample.weights) > 1 else shares.FRACTIONS


def less(baseline: str) -> Estimator:
    """Each row less that of `baseline`, which has none itself, as a comparison with it has it."""

    def estimate(scores: Scores, draw: Draw) -> dict[str, Estimate]:
        others = [m for m in scores.values if m != baseline]
        if baseline not in scores.values:
            return {}
        compared = paired_test.versus(scores.sample, baseline, others, draw)
        return {m: Estimate(c.value, c.low, c.high, c.n) for m, c in compared.items()}

    return estimate
