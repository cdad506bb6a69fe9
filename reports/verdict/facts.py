"""What a run says of its methods, before it is words.

    Standing   a column on one dataset: the rows that no other is above, whom they are above, whom not
    Claim      a row is above another, in their difference on what both have, at p < 0.05 adjusted

There is no claim of one run a method, and none of a number that is no mean over questions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from reports.records.benchmarks import Unit


@dataclass(frozen=True)
class Claim:
    """`row` is above `other`; `p` is adjusted over the family of the test."""

    row: str
    other: str
    p: float


@dataclass(frozen=True)
class Gap:
    """How much of what the Teacher is above the Student a row has closed, 1 being all of it.

    `beyond`: the row is above the Teacher.
    """

    claim: Claim
    closed: float
    beyond: Claim | None


@dataclass(frozen=True)
class Gain:
    """A row less the Student, with its 95 % interval; without a claim nothing tells the two apart."""

    row: str
    value: float
    low: float | None
    high: float | None
    claim: Claim | None
    gap: Gap | None


@dataclass(frozen=True)
class Top:
    """A row that no other is above, whatever tests say, and its mean; `given`: it is its own reference."""

    row: str
    value: float
    given: bool


@dataclass(frozen=True)
class Standing:
    """A column's rows but the Teacher, best first.

    `above`: those told below every top; `untold` the others. `apart`: whether any two rows are told apart.
    `is_single`: nothing says how far two trainings of a method lie apart, as each was trained once.
    `is_lent`: another run says it. `of_checkpoints`: nothing says it though some were trained several times,
    and what tests tell apart are checkpoints.
    """

    title: str
    unit: Unit
    rows: tuple[str, ...]
    tops: tuple[Top, ...]
    above: tuple[Claim, ...]
    untold: tuple[str, ...]
    apart: bool
    is_single: bool
    is_lent: bool
    of_checkpoints: bool
    gains: tuple[Gain, ...]

    @property
    def leads(self) -> bool:
        """Whether its only top is above all others."""
        return len(self.tops) == 1 and bool(self.above) and not self.untold


@dataclass(frozen=True)
class Spent:
    """FLOPs of a row's training with its teacher's work, and those of the method that took the fewest."""

    row: str
    flops: float
    least: str
    least_flops: float


@dataclass(frozen=True)
class Unjudged:
    """A row without a value in a column, and why, where that is known."""

    row: str
    title: str
    why: str


@dataclass(frozen=True)
class Verdict:
    """All of a pair on one dataset.

    `replicates` in words, "" where there is one; `single` are the rows whose trainings' chance is that of the
    others, and in words why; `untested` are the titles of columns that no test can compare. `is_trained`:
    whether the run trained any of its rows.
    """

    suite: str
    pair: str
    dataset: str
    methods: tuple[str, ...]
    standings: tuple[Standing, ...]
    replicates: str
    single: Mapping[str, str]
    spent: tuple[Spent, ...]
    unjudged: tuple[Unjudged, ...]
    untested: tuple[str, ...]
    is_trained: bool
