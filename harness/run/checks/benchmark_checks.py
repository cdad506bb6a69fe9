"""A --benchmark-file's benchmarks on a made-up answer: what fails there would fail after hours."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.api import Answer
from harness.evaluate import questions, registry
from harness.evaluate.answers import AnswerSettings
from harness.store.step import Part, Source, Step
from harness.suite.extension_file import ended, tried_apart


def check(missing: Sequence[Step], folder_of: Callable[[Source | Part], Path | None]) -> None:
    """ValueError for a benchmark of a file that cannot read its data, ask for an answer, or read one;
    `folder_of` says where data lie that are there already.
    """
    calls = dict[tuple[str, str], tuple[str, str, str, dict[str, Any]]]()
    for step in missing:
        settings, file = step.settings, step.context.get("benchmark_file")
        if not isinstance(settings, AnswerSettings) or not file:
            continue
        folder = folder_of(step.inputs.data)
        if folder and registry.known(file).benchmarks[settings.benchmark].file:
            name = settings.benchmark
            calls[name, repr(settings.options)] = str(file), name, str(folder), dict(settings.options)
    tried_apart(attempt, [*calls.values()], [f"{name} on a made-up answer" for name, _ in calls])


def attempt(path: str, name: str, folder: str, options: Mapping[str, Any]) -> None:
    """The questions of a benchmark of a file, how the first is asked, and what its answer is worth."""
    with ended(path, f"{name} on a made-up answer"):
        declared = registry.declared(name, path)
        asked, benchmark = questions.load(declared, Path(folder), options)
        again, _ = questions.load(declared, Path(folder), options)
        if asked != again:
            raise ValueError(f"{path}: {name}'s load gives other questions each time; draw with a fixed seed")
        first, turns = asked[0], len(asked[0].turns)
        benchmark.sampling(first)
        answer = Answer(first.id, ("OK.",) * turns, (1,) * turns, (False,) * turns)
        benchmark.requests(first, answer, answer if benchmark.pairwise else None)
