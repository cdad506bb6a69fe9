"""Several runs as one: their rows side by side, for tables that compare across runs.

    DPO            one model in both runs: shown once
    ADPA (a)       ADPA of run a
    ADPA (b)       ADPA of run b, another model

What two runs say of one model must be the same. Where a value differs, as where a judge that was asked
again on another machine said something else, its rows stand side by side, too.

A win rate against another run's ADPA is against another model, so references are told apart in the same way.
Questions are paired by their ids: runs of other questions under the same ids are not seen.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from reports.records.benchmarks import Benchmark, Benchmarks
from reports.records.rows import KEY_OF, Judging, MethodRow, Record, Repeat, Row, Summary
from reports.records.run_folder import Rows

Own = TypeVar("Own", bound=MethodRow)
Judged = TypeVar("Judged", Record, Repeat, Summary, Judging)
Kept = TypeVar("Kept", bound=Row)
Key = tuple[str, str, str]  # pair, dataset, method
Names = Mapping[str, Mapping[Key, str]]  # run -> the name of each of its rows


def merged(runs: Mapping[str, Rows]) -> Rows:
    """The rows of runs by name as those of one suite."""
    names = _names(runs, set())
    if clashing := _clashing(runs, names):  # one model, but asked or judged in another way
        names = _names(runs, clashing)
    benchmarks: dict[str, Benchmark] = {}
    for b in (b for rows in runs.values() for b in rows.benchmarks):
        benchmarks.setdefault(b.name, b)  # versions of one benchmark may word a note in two ways
    parts = [_renamed(rows, " + ".join(runs), names[run]) for run, rows in runs.items()]
    return Rows(
        records=_once(r for p in parts for r in p.records),
        summaries=_once(r for p in parts for r in p.summaries),
        judging=_once(r for p in parts for r in p.judging),
        costs=_once(r for p in parts for r in p.costs),
        training=_once(r for p in parts for r in p.training),
        curves=_once(r for p in parts for r in p.curves),
        checks=_once(r for p in parts for r in p.checks),
        counts=_once(r for p in parts for r in p.counts),
        repeats=_once(r for p in parts for r in p.repeats),
        benchmarks=Benchmarks(tuple(benchmarks.values())),
    )


def _names(runs: Mapping[str, Rows], clashing: set[Key]) -> Names:
    """Each row's method, and its run where another run has another model by that name."""
    models: dict[Key, dict[str, set[tuple[object, ...]]]] = defaultdict(lambda: defaultdict(set))
    for run, rows in runs.items():
        for r in rows.records:
            own = models[r.pair, r.dataset, r.method][run]
            # A reason why there is no value has no artifacts; of all others the first is the model.
            if r.question or r.value is not None:
                own.add((r.replicate, *r.artifacts[:1]))
    names: dict[str, dict[Key, str]] = defaultdict(dict)
    for key, by_run in models.items():
        same = len({frozenset(ids) for ids in by_run.values()}) == 1 and key not in clashing
        for run in by_run:
            names[run][key] = key[2] if same else f"{key[2]} ({run})"
    return names


def _clashing(runs: Mapping[str, Rows], names: Names) -> set[Key]:
    """The rows of which two runs have other artifacts behind one item, or another value of it."""
    behind: dict[tuple[object, ...], tuple[object, ...]] = {}
    clashing = set()
    for run, rows in runs.items():
        own = _renamed(rows, "", names[run])
        told: list[tuple[Record | Summary, tuple[object, ...]]] = [
            *((r, (r.artifacts, r.value, r.status)) for r in own.records),
            *((s, (s.value,)) for s in own.summaries),
        ]
        for r, found in told:
            if behind.setdefault((type(r), *KEY_OF[type(r)](r)), found) != found:
                clashing.add((r.pair, r.dataset, r.method))
    return clashing


def _renamed(rows: Rows, suite: str, names: Mapping[Key, str]) -> Rows:
    def own(group: Iterable[Own]) -> list[Own]:
        return [
            replace(r, suite=suite, method=names.get((r.pair, r.dataset, r.method), r.method)) for r in group
        ]

    def against(group: Iterable[Judged]) -> list[Judged]:
        return [replace(r, reference=names.get((r.pair, r.dataset, r.reference), r.reference)) for r in group]

    return Rows(
        records=own(against(rows.records)),
        summaries=own(against(rows.summaries)),
        judging=own(against(rows.judging)),
        costs=own(rows.costs),
        training=own(rows.training),
        curves=own(rows.curves),
        checks=[replace(c, suite=suite) for c in rows.checks],
        counts=[replace(c, suite=suite) for c in rows.counts],
        repeats=own(against(rows.repeats)),
    )


def _once(rows: Iterable[Kept]) -> list[Kept]:
    """Each row the first time that its key stands there."""
    first: dict[tuple[object, ...], Kept] = {}
    for row in rows:
        first.setdefault(KEY_OF[type(row)](row), row)
    return list(first.values())
