"""A --benchmark-file's benchmarks on a made-up answer: what fails there would fail after hours."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.api import Answer, JudgedBenchmark, Question
from harness.evaluate import questions, registry
from harness.evaluate.answers import AnswerSettings
from harness.store.step import Part, Source, Step
from harness.suite.extension_file import IMPORT_SECONDS, SECONDS, ended, tried_apart


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
    tried = [f"{name} on a made-up answer" for name, _ in calls]
    tried_apart(attempt, [*calls.values()], tried, 2 * IMPORT_SECONDS + SECONDS)


def attempt(path: str, name: str, folder: str, options: Mapping[str, Any]) -> None:
    """The questions of a benchmark of a file, how the first is asked, and what its answer is worth."""
    loaded = [_loaded(path, name, Path(folder), options) for _ in range(2)]
    (asked, benchmark), (again, _) = loaded
    if asked != again:
        raise ValueError(f"{path}: {name}'s load gives other questions each time; draw with a fixed seed")
    with ended(path, f"{name} on a made-up answer"):
        first, turns = asked[0], len(asked[0].turns)
        benchmark.sampling(first)
        answer = Answer(first.id, ("OK.",) * turns, (1,) * turns, (False,) * turns)
        benchmark.requests(first, answer, answer if benchmark.pairwise else None)


def _loaded(
    path: str, name: str, folder: Path, options: Mapping[str, Any]
) -> tuple[list[Question], JudgedBenchmark]:
    with ended(path, f"{name}'s load", IMPORT_SECONDS):
        return questions.load(registry.declared(name, path), folder, options)
