"""A run's plan as a page shows it: steps by kind, what rows were trained from, where settings differ."""

from collections import Counter
from collections.abc import Sequence
from math import fsum
from typing import NamedTuple

from reports.records.replicates import among
from reports.records.texts import StepRecord
from reports.statistics.bootstrap import Replicate


class Kind(NamedTuple):
    """All steps of a kind, in the order of the plan."""

    name: str
    seconds: float
    steps: Sequence[StepRecord]


class Trained(NamedTuple):
    """What a row was trained from, first to last, and how long all that it stands on took."""

    name: str
    stages: list[str]
    steps: int
    seconds: float


class Settings(NamedTuple):
    """Settings of training by row; those that all rows share stand apart. A cell is (value, unusual)."""

    columns: list[str]
    rows: list[tuple[str, list[tuple[str, bool]]]]
    shared: list[tuple[str, str]]


def by_kind(made: Sequence[StepRecord]) -> list[Kind]:
    """The kinds of step, the longest first."""
    steps_of: dict[str, list[StepRecord]] = {}
    for step in made:
        steps_of.setdefault(step.kind, []).append(step)
    kinds = [Kind(name, fsum(s.seconds for s in steps), steps) for name, steps in steps_of.items()]
    return sorted(kinds, key=lambda k: (-k.seconds, k.name))


def trained(made: Sequence[StepRecord]) -> list[Trained]:
    """Each row that was trained here, in the order of the plan."""
    known = {step.id: step for step in made}
    rows = []
    for name, step in _results(made):
        stages, at = [step], step
        # A stage starts from the one before it; the first from a model that no step of the plan made.
        while (start := dict(at.inputs).get("start")) in known:
            at = known[start]
            stages.insert(0, at)
        under: dict[str, StepRecord] = {}
        waiting = [step]
        while waiting:
            one = waiting.pop()
            if one.id not in under:
                under[one.id] = one
                waiting += [known[i] for _, i in one.inputs if i in known]
        seconds = fsum(s.seconds for s in under.values())
        rows.append(Trained(name, [s.label for s in stages], len(under), seconds))
    return rows


def settings(made: Sequence[StepRecord]) -> Settings:
    """Where the settings of the rows' last stages differ; a method's own hyper-parameters are one cell."""
    rows = [(name, dict(step.settings)) for name, step in _results(made)]
    # What a method's formula takes is shown in one cell: no two methods share those names.
    names = [
        n for n in dict.fromkeys(n for _, own in rows for n in own) if not n.startswith(("hp.", "formula"))
    ]
    values = {n: [own.get(n, "-") for _, own in rows] for n in names}
    # The usual value is not marked, so that the eye finds the row that was trained otherwise.
    common = {n: Counter(own).most_common(1)[0][0] for n, own in values.items()}
    differing = [n for n in names if len(set(values[n])) > 1]
    shown = []
    for at, (name, own) in enumerate(rows):
        hp = ", ".join(f"{n.removeprefix('hp.')} {v}" for n, v in own.items() if n.startswith("hp."))
        cells = [(values[n][at], values[n][at] != common[n]) for n in differing]
        shown.append((name, [(hp or "-", False), *cells]))
    shared = [(n.removeprefix("training."), common[n]) for n in names if n not in differing]
    return Settings(["hyper-parameters", *(n.removeprefix("training.") for n in differing)], shown, shared)


def _results(made: Sequence[StepRecord]) -> list[tuple[str, StepRecord]]:
    """Each result with its row's name, told by pair, dataset, world and seed where there are several."""
    results = [(step, *result) for step in made for result in step.results]
    runs = {Replicate(step.world_seed, seed) for step, *_, seed in results}
    several = [len({result[at] for result in results}) > 1 for at in (1, 2)]
    return [
        (
            ", ".join(
                [
                    method,
                    *(name for name, told in zip((pair, dataset), several, strict=True) if told),
                    *among(Replicate(step.world_seed, seed), runs),
                ]
            ),
            step,
        )
        for step, pair, dataset, method, seed in results
    ]
