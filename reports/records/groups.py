"""Records in groups, gathered once for all tables: a method's values of one column on one dataset.

    records --grouped--> groups --columns.find--> columns --scores.scored--> scores --columns.cells--> cells

What makes a value of verdicts is said here alone (`Group.measured`): an item, a turn of a question, has the
mean over its orders. Where a column wants both orders, a question that lacks one is half-judged, which is
counted and in no number. A group is added up when it is first asked for, and once, whichever tables show it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import fsum
from operator import attrgetter
from typing import NamedTuple

from reports.records.benchmarks import DEFAULT, Benchmark, Benchmarks
from reports.records.rows import Record
from reports.statistics.bootstrap import Item, Replicate

KEY = ("suite", "pair", "dataset", "method", "benchmark", "metric", "judge", "reference")


class Measured(NamedTuple):
    """One method's values of one column."""

    values: dict[Item, float]  # the mean over replicates
    runs: dict[Replicate, dict[Item, float]]
    half_judged: int = 0  # questions, of each replicate

    @classmethod
    def of(cls, runs: dict[Replicate, dict[Item, float]], half_judged: int = 0) -> "Measured":
        """The mean over those replicates that have an item."""
        items = dict.fromkeys(item for own in runs.values() for item in own)
        values = {i: _mean([own[i] for own in runs.values() if i in own]) for i in items}
        return cls(values, runs, half_judged)


@dataclass(frozen=True, eq=False)
class Group:
    """The records that differ in nothing but replicate and item, reasons why there are none among them."""

    suite: str
    pair: str
    dataset: str
    method: str
    benchmark: str
    metric: str
    judge: str
    reference: str
    rows: list[Record]
    declared: Benchmark  # what the run says of the benchmark

    @cached_property
    def records(self) -> list[Record]:
        """Those of questions."""
        return [r for r in self.rows if r.question or r.value is not None]

    @cached_property
    def reasons(self) -> list[Record]:
        """Those that say why there are none."""
        return [r for r in self.rows if not r.question and r.value is None]

    @cached_property
    def replicates(self) -> set[Replicate]:
        """The replicates of its records."""
        return {r.replicate for r in self.records}

    @cached_property
    def is_one_model(self) -> bool:
        """Whether all of its replicates are one model, as a base model is in all seeds of the last stage."""
        models = {r.replicate: r.artifacts[0] for r in self.records if r.artifacts}
        return len(models) == len(self.replicates) > 1 and len(set(models.values())) == 1

    @property
    def is_replicated(self) -> bool:
        """Whether its method was trained more than once."""
        return len(self.replicates) > 1 and not self.is_one_model

    @cached_property
    def lost(self) -> Counter[str]:
        """Status -> number of its records without a value."""
        return Counter(r.status for r in self.records if r.value is None)

    @cached_property
    def marked(self) -> Counter[str]:
        """Mark -> number of its records that bear it."""
        return Counter(mark for r in self.records for mark in r.marks)

    @cached_property
    def led_by_position(self) -> tuple[int, int]:
        """Of the items that were asked in two orders: those in which both name the answer of one place, and
        all, of each replicate.
        """
        orders: dict[tuple[Replicate, str, str, int], dict[str, float]] = defaultdict(dict)
        for r in self.records:
            if r.order and r.value is not None:
                orders[r.replicate, r.group, r.question, r.turn][r.order] = r.value
        # Win rates, from the view of one answer: the same place is another answer in the other order.
        both = [own.values() for own in orders.values() if len(own) > 1]
        return sum(min(own) < 0.5 < max(own) for own in both), len(both)

    @cached_property
    def questions(self) -> set[str]:
        """The questions that were asked, whether there is a value or not."""
        return {r.question for r in self.records if r.question}

    @cached_property
    def asked(self) -> int:
        """The number of questions that were asked, those of each replicate."""
        return len({(r.replicate, r.group, r.question) for r in self.records})

    @cached_property
    def strata(self) -> set[str]:
        """The tasks of a benchmark that averages over tasks; the questions of any other are one stratum."""
        if self.declared.tasks:
            return {r.group for r in self.records}
        return {""} if self.records else set()

    @cached_property
    def measured(self) -> Measured:
        """The values of its records."""
        verdicts: dict[tuple[Replicate, str, str], dict[int, list[float | None]]]
        verdicts = defaultdict(lambda: defaultdict(list))
        for r in self.records:
            verdicts[r.replicate, r.group, r.question][r.turn].append(r.value)
        runs: dict[Replicate, dict[Item, float]] = defaultdict(dict)
        half_judged, both = 0, self.declared.both_orders(self.metric)
        for (replicate, group, question), by_turn in verdicts.items():
            judged = {value is not None for own in by_turn.values() for value in own}
            if both and len(judged) > 1:
                half_judged += 1
                continue
            for turn, own in by_turn.items():
                # Categories are no strata: the set of questions is fixed, and a mean has no need of them.
                where = (group, question) if self.declared.tasks else ("", f"{group}/{question}")
                if known := [value for value in own if value is not None]:
                    runs[replicate][Item(*where, turn)] = _mean(known)
        # In order: a sum over seeds must not depend on that of the rows.
        return Measured.of(dict(sorted(runs.items())), half_judged)


@dataclass(frozen=True)
class Groups:
    """All groups of some records, what the run says of its benchmarks, and who lends it replicates."""

    groups: tuple[Group, ...]
    benchmarks: Benchmarks
    lender: "Lender | None" = None

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups)


class Lender(NamedTuple):
    """Another run, whose replicates say how far trainings lie apart."""

    run: str
    groups: Groups


Records = Iterable[Record] | Groups  # what a table is made of; those that share the groups add up once


def grouped(records: Records, benchmarks: Benchmarks = DEFAULT, lender: Lender | None = None) -> Groups:
    """The groups of records, in the order of their first ones; what is grouped stays as it is."""
    if isinstance(records, Groups):
        return records
    by_key: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    key_of = attrgetter(*KEY)
    for r in records:
        by_key[key_of(r)].append(r)
    groups = []
    for key, rows in by_key.items():
        fields = dict(zip(KEY, key, strict=True))
        groups.append(Group(**fields, rows=rows, declared=benchmarks.get(rows[0].benchmark)))
    return Groups(tuple(groups), benchmarks, lender)


def _mean(values: list[float]) -> float:
    """The mean, whatever the order of the values: two have one sum in any order, more need fsum."""
    return (values[0] + values[-1]) / 2 if len(values) <= 2 else fsum(values) / len(values)
