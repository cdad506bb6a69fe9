"""What a table is: typed cells in rows and columns, and the notes under it. `render.py` turns it into text.

Table("pocket", columns=(Column("my-bench.score", "My bench", "score", best=True),),
      rows=(Row("pocket", "ADPA", (Cell(6.25, 5.9, 6.6, n=80),)),), notes=("My bench: judge rule",))
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import fsum
from typing import Literal, NamedTuple, TypeVar

from reports.records.benchmarks import Benchmark, BenchmarkColumn, Unit
from reports.records.groups import Group
from reports.records.replicates import listed
from reports.records.rows import MethodRow
from reports.statistics.bootstrap import Replicate

PairRow = TypeVar("PairRow", bound=Group | MethodRow)
SeedRow = TypeVar("SeedRow", bound=MethodRow)
TEACHER, STUDENT = "Teacher", "Student"  # rows that no method of the run trained
Mark = Literal["", "best", "second"]


class Source(NamedTuple):
    """What a column shows of a benchmark; judge and reference are "" where it has none, or several."""

    benchmark: Benchmark
    column: BenchmarkColumn
    judge: str
    reference: str

    def publishes(self, paper: str) -> str:
        """The number of a paper that stands beside this one, "" where it has none."""
        return self.column.published.get(paper, "")


@dataclass(frozen=True)
class Column:
    """`name` is for machines, `title` for people; `best`: the highest value is the best."""

    name: str
    title: str
    unit: Unit
    best: bool = False
    source: Source | None = None


@dataclass(frozen=True)
class Cell:
    """One value in the unit of its column, shares 0-1; None: there is none, and `notes` say why.

    `n` counts what the value was taken over, 0 where that says nothing; `notes` become footnotes. `mark` says
    that a test tells the value from the next lower one of its column (pairwise_tests.py); `exact` says that
    the interval is not drawn (statistics/shares.py).
    """

    value: float | str | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    notes: tuple[str, ...] = ()
    mark: Mark = ""
    exact: bool = False


@dataclass(frozen=True)
class Row:
    """A method's cells on one dataset, one per column."""

    dataset: str
    method: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """`notes` stand under the table, before the footnotes of its cells; `rows_are` heads its rows' names."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    rows_are: str = "Method"


def is_teacher(row: str) -> bool:
    """Whether a row is the Teacher, in merged runs that of any: "Teacher (pocket)"."""
    return row == TEACHER or row.startswith(f"{TEACHER} (")


def is_untrained(row: str) -> bool:
    """Whether a row is the Teacher or the Student, likewise."""
    return is_teacher(row) or row == STUDENT or row.startswith(f"{STUDENT} (")


def check_row(name: str, methods: Sequence[str]) -> None:
    """ValueError, with the nearest, where `name` is no row of `methods`."""
    if name not in methods:
        near = get_close_matches(name, methods, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ";"
        raise ValueError(f"no row {name!r}{hint} rows: {', '.join(methods)}")


def by_pair(rows: Iterable[PairRow]) -> dict[tuple[str, str], list[PairRow]]:
    """(suite, pair) -> its rows: what a table never mixes. Pairs are sorted."""
    pairs: dict[tuple[str, str], list[PairRow]] = defaultdict(list)
    for row in rows:
        pairs[row.suite, row.pair].append(row)
    return dict(sorted(pairs.items()))


def title(what: str, suite: str, pair: str) -> str:
    """The title of a pair's table: what it shows, then whose it is, said once where both have one name."""
    return f"{what}: {suite}" if suite == pair else f"{what}: {suite}, {pair}"


def run_tables(
    what: str,
    runs: Iterable[SeedRow],
    methods: Sequence[str],
    columns: tuple[Column, ...],
    others: Callable[[list[SeedRow]], Mapping[str, Cell]],
    notes: tuple[str, ...] = (),
) -> list[Table]:
    """One table per pair, of rows unique by (dataset, method, replicate).

    A cell is what `others` makes of a method's seeds by the name of its column, else the mean of what the
    column is named as.
    """
    tables = []
    for (suite, pair), own in by_pair(runs).items():
        rows = []
        for dataset in sorted({r.dataset for r in own}):
            for method in methods:
                seeds = [r for r in own if (r.dataset, r.method) == (dataset, method)]
                seeds.sort(key=lambda r: r.replicate)
                given = others(seeds) if seeds else {}
                cells = tuple(
                    given[c.name] if c.name in given else mean(getattr(s, c.name) for s in seeds)
                    for c in columns
                )
                rows.append(Row(dataset, method, cells))
        under = notes + _means_note({r.replicate for r in own})
        tables.append(Table(title(what, suite, pair), columns, tuple(rows), under))
    return tables


def mean(values: Iterable[float | None], notes: tuple[str, ...] = ()) -> Cell:
    """The mean over seeds; a seed without a value is counted in a footnote, before `notes`."""
    seeds = list(values)
    present = [v for v in seeds if v is not None]
    absent = len(seeds) - len(present)
    gaps = (f"no value in {absent} of {len(seeds)} seeds",) if absent else ()
    return Cell(fsum(present) / len(present) if present else None, notes=gaps + notes)


def _means_note(replicates: set[Replicate]) -> tuple[str, ...]:
    return (f"means over {listed(replicates)}",) if len(replicates) > 1 else ()
