"""The rows of a run's folder, read and written."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from reports.records import benchmarks, jsonl
from reports.records.benchmarks import DEFAULT, Benchmarks
from reports.records.groups import Lender
from reports.records.rows import (
    Cost,
    Count,
    Curve,
    JudgeCheck,
    Judging,
    MethodRow,
    Record,
    Repeat,
    Summary,
    Training,
)

COUNTS, REPEATS, CURVES = "counts.jsonl", "repeats.jsonl", "curves.jsonl"


Own = TypeVar("Own", bound=MethodRow)


class Change(Protocol):
    """Rows about methods, of one kind, as others of that kind."""

    def __call__(self, group: Sequence[Own], /) -> list[Own]: ...


class Rows(NamedTuple):
    """All rows that a run's tables read, what its benchmarks are, and who lends it replicates."""

    records: Sequence[Record] = ()
    summaries: Sequence[Summary] = ()
    judging: Sequence[Judging] = ()
    costs: Sequence[Cost] = ()
    training: Sequence[Training] = ()
    checks: Sequence[JudgeCheck] = ()
    counts: Sequence[Count] = ()
    repeats: Sequence[Repeat] = ()
    curves: Sequence[Curve] = ()
    benchmarks: Benchmarks = DEFAULT
    lender: Lender | None = None

    def of_pair(self, pair: str) -> "Rows":
        """The rows of one pair."""

        def own(group: Sequence[Own], /) -> list[Own]:
            return [r for r in group if r.pair == pair]

        return self.of_each_kind(own)._replace(counts=[r for r in self.counts if r.pair == pair])

    def of_each_kind(self, change: Change) -> "Rows":
        """The rows with those about methods changed, kind by kind."""
        return self._replace(
            records=change(self.records),
            summaries=change(self.summaries),
            judging=change(self.judging),
            costs=change(self.costs),
            training=change(self.training),
            repeats=change(self.repeats),
            curves=change(self.curves),
        )

    def methods(self) -> dict[str, list[str]]:
        """Pair -> its rows, in the order in which they were written."""
        by_pair: dict[str, list[str]] = {}
        # Costs first: they stand in the order of the suite; a row that was only evaluated has none.
        rows: list[Cost | Record | Judging] = [*self.costs, *self.records, *self.judging]
        for r in rows:
            by_pair.setdefault(r.pair, []).append(r.method)
        return {pair: list(dict.fromkeys(names)) for pair, names in by_pair.items()}


def read(folder: Path) -> Rows:
    """The rows of a run's folder; ValueError where it is none, or where a line is no row."""
    if not (folder / "results.jsonl").is_file():
        raise ValueError(f"{folder}: no run, it has no results.jsonl")
    return Rows(
        records=jsonl.read(folder / "results.jsonl", Record),
        summaries=jsonl.read(folder / "summaries.jsonl", Summary),
        judging=jsonl.read(folder / "judging.jsonl", Judging),
        costs=jsonl.read(folder / "costs.jsonl", Cost),
        training=jsonl.read(folder / "training.jsonl", Training),
        checks=jsonl.read(folder / "judges.jsonl", JudgeCheck),
        # A run of before this was counted is told as one.
        counts=jsonl.read(folder / COUNTS, Count) if (folder / COUNTS).is_file() else (),
        repeats=jsonl.read(folder / REPEATS, Repeat) if (folder / REPEATS).is_file() else (),
        # One of before curves were kept has none, which its page says.
        curves=jsonl.read(folder / CURVES, Curve) if (folder / CURVES).is_file() else (),
        benchmarks=benchmarks.read(folder),
    )


def write(rows: Rows, folder: Path) -> bool:
    """Write all rows and what the benchmarks are, each into its file; returns whether any is another now."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = [
        jsonl.write(rows.records, folder / "results.jsonl"),
        jsonl.write(rows.summaries, folder / "summaries.jsonl"),
        jsonl.write(rows.judging, folder / "judging.jsonl"),
        jsonl.write(rows.checks, folder / "judges.jsonl"),
        jsonl.write(rows.counts, folder / COUNTS),
        jsonl.write(rows.costs, folder / "costs.jsonl"),
        jsonl.write(rows.training, folder / "training.jsonl"),
        jsonl.write(rows.curves, folder / CURVES),
        jsonl.replace(folder / benchmarks.NAME, rows.benchmarks.text()),
    ]
    # Few runs have any; what an earlier one had must not stay.
    if rows.repeats or (folder / REPEATS).is_file():
        changed.append(jsonl.write(rows.repeats, folder / REPEATS))
    return any(changed)
