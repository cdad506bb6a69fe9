"""Whether runs may stand in one table: what both measured was asked and judged in one way.

What a benchmark asks is told by its steps' inputs, whose ids are made of the data's bytes, and by questions
and versions of its records; who judged it by the settings of its judgments and by who served the replies.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from reports.records.run_folder import Rows
from reports.records.texts import StepRecord

OF_QUESTIONS = ("data", "include", "judge")  # inputs that do not differ by row
JUDGMENTS = "judgments"
LISTED = 3  # of what differs


class Told(NamedTuple):
    """A run's rows and its steps, none where the run did not write them."""

    rows: Rows
    steps: Sequence[StepRecord]


class Asked(NamedTuple):
    """What a benchmark is in a run, part by part."""

    data: frozenset[str]
    questions: frozenset[str]
    version: frozenset[str]
    judge: frozenset[str]
    settings: frozenset[str]
    served: frozenset[str]


def check(runs: Mapping[str, Told]) -> None:
    """ValueError, one line, where two runs share no benchmark, or asked or judged one in two ways."""
    asked = {run: dict(_asked(told)) for run, told in runs.items()}
    for one, other in combinations(runs, 2):
        if not (shared := [name for name in asked[one] if name in asked[other]]):
            raise ValueError(f"{one} and {other} have no benchmark in common, so no table holds both")
        for name in shared:
            _check_units(name, {run: runs[run].rows.benchmarks.units(name) for run in (one, other)})
            for part, a, b in zip(Asked._fields, asked[one][name], asked[other][name], strict=True):
                # An older run did not tell all of it; what neither can be held to is not held against them.
                if a and b and a != b:
                    raise ValueError(
                        f"{name} has {_difference(part, one, a, other, b)}; rows are not compared"
                    )


def _check_units(name: str, units: Mapping[str, Mapping[str, str]]) -> None:
    """ValueError where a column of a benchmark has two units: a table has the first run's for both."""
    (one, a), (other, b) = units.items()
    if (metric := next((m for m in a if b.get(m, a[m]) != a[m]), None)) is not None:
        told = f"{a[metric]!r} in {one}, {b[metric]!r} in {other}"
        raise ValueError(f"{name}.{metric} has the unit {told}; rows are not compared")


def _asked(told: Told) -> Iterator[tuple[str, Asked]]:
    by_id = {step.id: step for step in told.steps}
    for name in dict.fromkeys(r.benchmark for r in told.rows.records):
        records = [r for r in told.rows.records if r.benchmark == name]
        ids = {artifact.rpartition("-")[2] for r in records for artifact in r.artifacts[1:]}
        steps = [by_id[i] for i in sorted(ids) if i in by_id]
        settings = {f"{key}={value}" for s in steps if s.kind == JUDGMENTS for key, value in s.settings}
        served = {m for j in told.rows.judging if j.benchmark == name for m in j.models}
        yield (
            name,
            Asked(
                frozenset(i for s in steps for key, i in s.inputs if key in OF_QUESTIONS),
                frozenset(
                    f"{r.group}/{r.question}" if r.group else r.question for r in records if r.question
                ),
                frozenset(f"{r.group} {r.version}".strip() for r in records if r.version),
                frozenset(r.judge for r in records if r.judge),
                frozenset(settings),
                frozenset(served),
            ),
        )


def _difference(part: str, one: str, a: frozenset[str], other: str, b: frozenset[str]) -> str:
    if part == "questions" and len(a) != len(b):
        return f"{len(a)} questions in {one} and {len(b)} in {other}"
    words = {
        "judge": "another judge",
        "settings": "another judge",
        "served": "replies of another model",
        "version": "another version",
    }
    of = [", ".join(sorted(x - y)[:LISTED]) or "less" for x, y in ((a, b), (b, a))]
    return f"{words.get(part, f'other {part}')} in {one} ({of[0]}) than in {other} ({of[1]})"
