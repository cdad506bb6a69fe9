"""Records in groups, gathered once for all tables: a method's values of one column on one dataset.

    records --grouped--> groups --slots.find--> columns --slots.cells--> cells

A group is added up when it is first asked for, and once, whichever tables show it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import chain
from math import fsum
from operator import attrgetter
from typing import NamedTuple

from reports.records.rows import Record
from reports.statistics.bootstrap import Item


class Measured(NamedTuple):
    """One method's values of one column."""

    values: dict[Item, float]  # the mean over turns, orders and seeds
    runs: dict[int, dict[Item, float]]  # by seed


@dataclass(frozen=True, eq=False)
class Group:
    """The records that differ in nothing but seed and item, reasons why there are none among them."""

    suite: str
    pair: str
    dataset: str
    method: str
    benchmark: str
    metric: str
    judge: str
    reference: str
    every: list[Record]

    @cached_property
    def records(self) -> list[Record]:
        """Those of questions."""
        return [r for r in self.every if r.question or r.value is not None]

    @cached_property
    def reasons(self) -> list[Record]:
        """Those that say why there are none."""
        return [r for r in self.every if not r.question and r.value is None]

    @cached_property
    def seeds(self) -> set[int]:
        """Of its records."""
        return {r.seed for r in self.records}

    @cached_property
    def lost(self) -> Counter[str]:
        """Status -> number of its records without a value."""
        return Counter(r.status for r in self.records if r.value is None)

    @cached_property
    def questions(self) -> set[str]:
        """That were asked, whether there is a value or not."""
        return {r.question for r in self.records if r.question}

    @cached_property
    def tasks(self) -> set[str]:
        """Groups of its records: categories of MT-Bench, tasks of OpenLLM."""
        return {r.group for r in self.records}

    @cached_property
    def strata(self) -> set[str]:
        """Only OpenLLM's tasks are strata, since only it averages over tasks."""
        return self.tasks if self.benchmark == "openllm" else {""} if self.records else set()

    @cached_property
    def measured(self) -> Measured:
        """The values of its records; fsum, so that order does not matter."""
        found: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        for r in self.records:
            if r.value is not None:
                found[r.group, r.question][r.seed].append(r.value)
        values: dict[Item, float] = {}
        runs: dict[int, dict[Item, float]] = defaultdict(dict)
        for (group, question), of_seeds in found.items():
            item = Item(group, question) if self.benchmark == "openllm" else Item("", f"{group}/{question}")
            values[item] = _mean(list(chain.from_iterable(of_seeds.values())))
            for seed, own in of_seeds.items():
                runs[seed][item] = _mean(own)
        return Measured(values, dict(runs))


KEY = tuple(field.name for field in fields(Group) if field.name != "every")


class Groups(tuple[Group, ...]):
    """All groups of some records."""


Records = Iterable[Record] | Groups  # what a table is made of; those that share the groups add up once


def grouped(records: Records) -> Groups:
    """The groups of records, in the order of their first ones; what is grouped stays as it is."""
    if isinstance(records, Groups):
        return records
    found: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    key_of = attrgetter(*KEY)
    for r in records:
        found[key_of(r)].append(r)
    return Groups(Group(**dict(zip(KEY, key, strict=True)), every=rows) for key, rows in found.items())


def _mean(values: list[float]) -> float:
    """Two numbers have one sum in any order; more need fsum."""
    return (values[0] + values[-1]) / 2 if len(values) <= 2 else fsum(values) / len(values)
