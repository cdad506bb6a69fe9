"""How far the judges of a run scatter, from verdicts that were asked for again.

gpt-4, my-bench: noise 0.52 (sd of one verdict) | of the mean 0.06 | of the variance 8.1 % | lost 0 (n=112)
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import fsum, sqrt
from operator import attrgetter
from statistics import variance
from typing import NamedTuple

from reports.records.benchmarks import Benchmark, Unit
from reports.records.groups import Group, Groups
from reports.records.rows import KEYS, RUN, Record, Repeat
from reports.statistics.judge_noise import JudgeNoise, judge_noise, part_of_mean
from reports.tables.table import Cell, Column, Row, Table, by_pair, title

RUN_OF = attrgetter(*RUN)
ITEM_OF = attrgetter(*KEYS[Record])  # of a repeat as well, which bears its record's key
NOTES = (
    "noise: standard deviation (sd) of one verdict on one answer, within items and pooled over rows, where a "
    "request that several rows sent is one item; of the mean: the sd that it gives a row's mean",
    "of the variance: noise's share of how far a row's questions lie apart, over all rows",
    "means are of first verdicts alone; their intervals hold the noise, a part of the spread of questions",
)


class Judged(NamedTuple):
    """Whose verdicts are of one scale and one noise."""

    judge: str
    benchmark: str
    metric: str


@dataclass(frozen=True)
class Scatter:
    """What was asked again of one judge on one benchmark, and the groups of first verdicts."""

    groups: Sequence[Group]
    repeats: Sequence[Repeat]

    @cached_property
    def distinct(self) -> list[Repeat]:
        """The repeats of one row of those that sent the judge the same, which have one reply."""
        owners: dict[str, object] = {}
        return [r for r in self.repeats if owners.setdefault(r.request, ITEM_OF(r)) == ITEM_OF(r)]

    @cached_property
    def items(self) -> dict[object, list[float]]:
        """The verdicts of each item that was asked again: the first, and those after it."""
        verdicts: list[Record | Repeat] = [*(r for g in self.groups for r in g.records), *self.distinct]
        asked: dict[object, list[float]] = {ITEM_OF(r): [] for r in self.distinct}
        for r in verdicts:
            if (key := ITEM_OF(r)) in asked and r.value is not None:
                asked[key].append(r.value)
        return asked

    @cached_property
    def noise(self) -> JudgeNoise | None:
        """Of one verdict."""
        return judge_noise(self.items.values())

    @cached_property
    def questions(self) -> list[list[list[float]]]:
        """Of each row, trained with one seed, the verdicts of each question that has all of its own."""
        rows: dict[object, dict[object, list[float | None]]] = defaultdict(lambda: defaultdict(list))
        for r in (r for g in self.groups for r in g.records):
            rows[RUN_OF(r), r.reference][r.group, r.question].append(r.value)
        whole = [[_known(own) for own in row.values() if None not in own] for row in rows.values()]
        return [row for row in whole if len(row) > 1]

    def of_mean(self) -> float | None:
        """The standard deviation that noise gives a row's mean, the root mean square over rows."""
        if self.noise is None or not self.questions:
            return None
        parts = [part_of_mean(self.noise.variance, [len(own) for own in row]) for row in self.questions]
        return sqrt(fsum(parts) / len(parts))

    def of_variance(self) -> float | None:
        """Noise's share of the variance of questions, 0-1; None where no two questions differ."""
        spread = fsum(variance([fsum(own) / len(own) for own in row]) for row in self.questions)
        if self.noise is None or not spread:
            return None
        noise = self.noise.variance
        return fsum(noise * fsum(1 / len(own) for own in row) / len(row) for row in self.questions) / spread


def scatters(repeats: Iterable[Repeat], groups: Groups) -> dict[Judged, Scatter]:
    """Of one pair, by judge, benchmark and metric in their order."""
    by_judge: dict[Judged, list[Repeat]] = defaultdict(list)
    for r in repeats:
        by_judge[Judged(r.judge, r.benchmark, r.metric)].append(r)
    return {
        key: Scatter([g for g in groups if (g.judge, g.benchmark, g.metric) == key], own)
        for key, own in sorted(by_judge.items())
    }


def judge_noise_tables(repeats: Iterable[Repeat], groups: Groups) -> list[Table]:
    """One table per pair with repeats: a row for each judge and benchmark."""
    tables = []
    for pair, own in by_pair(repeats).items():
        found = scatters(own, groups)
        units = {key: _unit(groups.benchmarks.get(key.benchmark), key.metric) for key in found}
        columns = _columns(dict.fromkeys(units.values()))
        rows = tuple(
            Row("", f"{key.judge}, {key.benchmark}", _cells(scatter, units[key], columns))
            for key, scatter in found.items()
        )
        tables.append(Table(title("Judge noise", *pair), columns, rows, (*NOTES, *_silent(found))))
    return tables


def _known(values: Iterable[float | None]) -> list[float]:
    return [x for x in values if x is not None]


def _unit(benchmark: Benchmark, metric: str) -> Unit:
    """The unit of a benchmark's verdicts."""
    return next((c.unit for c in benchmark.columns if metric in (c.metric, c.judged)), benchmark.summary_unit)


def _columns(units: Iterable[Unit]) -> tuple[Column, ...]:
    """A column of each unit that verdicts have, as scores and shares are no one scale."""
    named = [(unit, "%" if unit == "share" else unit) for unit in units]
    return (
        *(Column(f"noise.{unit}", f"Noise, sd ({name})", unit) for unit, name in named),
        *(Column(f"mean.{unit}", f"Of the mean, sd ({name})", unit) for unit, name in named),
        Column("variance", "Of the variance (%)", "share"),
        Column("items", "Items asked again", "count"),
        Column("repeats", "Repeats", "count"),
        Column("lost", "Repeats without a verdict", "count"),
    )


def _cells(scatter: Scatter, unit: Unit, columns: Sequence[Column]) -> tuple[Cell, ...]:
    noise, lost = scatter.noise, sum(r.value is None for r in scatter.distinct)
    cells = {
        f"noise.{unit}": Cell(sqrt(noise.variance) if noise else None),
        f"mean.{unit}": Cell(scatter.of_mean()),
        "variance": Cell(scatter.of_variance()),
        "items": Cell(len(scatter.items)),
        "repeats": Cell(len(scatter.distinct)),
        "lost": Cell(lost),
    }
    return tuple(cells.get(c.name, Cell()) for c in columns)


def _silent(found: Mapping[Judged, Scatter]) -> tuple[str, ...]:
    """A line for each judge whose repeats are all alike: a zero that was measured."""
    return tuple(
        f"{judge}, {benchmark}: every repeat gave its item's first verdict again, so no noise was seen"
        for (judge, benchmark, _), scatter in found.items()
        if scatter.noise and scatter.noise.variance == 0
    )
