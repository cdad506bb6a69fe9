"""Settings are chosen on questions that no run is measured by: one that stands among a suite's test
questions, in whatever case and punctuation, is refused.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from harness.common.text import cut
from harness.data import datasets
from harness.evaluate import benchmark_files, questions
from harness.plan import plan as planning
from harness.plan.context import PlanContext
from harness.plan.measurements import Cell
from harness.results.health import overlap
from harness.results.health.ngrams import normal
from harness.run.data_counts import folder_at
from harness.store.step import Source
from harness.store.store import Store
from harness.suite.benchmarks import Benchmarks
from harness.suite.measurement import Chosen, Measures
from harness.suite.parts.data import Data
from harness.suite.validation import at_key, inside_world


@dataclass(frozen=True)
class Asked:
    """The questions of a benchmark, each by what it says first, and where they lie."""

    benchmark: str
    place: str
    texts: list[str]


@dataclass(frozen=True)
class Validation:
    """Where the questions of the trials lie, how many there are, and how many are training prompts, too."""

    place: str
    questions: int
    trained: int


def checked(run: PlanContext, trials: PlanContext, row: str, store: Store) -> Validation:
    """What the trials' suite asks; ValueError where the run's suite asks one of it, too. `row` is one of the
    methods. The world, where there is one, is made.
    """
    tests = defaultdict[str, list[Asked]](list)
    for asked in asked_of(run, row, store):
        for text in asked.texts:
            tests[normal(text)].append(asked)
    given = [(text, asked) for asked in asked_of(trials, row, store) for text in asked.texts]
    seen = [(text, one, test) for text, one in given for test in tests[normal(text)] if not _kin(one, test)]
    if seen:
        text, asked, test = seen[0]
        count = len({text for text, *_ in seen})
        raise ValueError(
            f"tuning.score: {cut(repr(text), 60)} of {asked.place} is a test question of {test.benchmark} "
            f"({test.place}), one of {count} such in {len(given)}; give others by `data` or `hold_out`"
        )
    sources = [data.preference for data in trials.suite.datasets.values()]
    prompts = {normal(text) for source in sources for text in _prompts(trials, source, store)}
    places = dict.fromkeys(asked.place for _, asked in given)
    return Validation(", ".join(places), len(given), sum(normal(text) in prompts for text, _ in given))


def _kin(one: Asked, other: Asked) -> bool:
    """Whether both are different parts of the generated world's validation split."""
    places = [inside_world(asked.place) or "" for asked in (one, other)]
    return one.place != other.place and all("validation" in place.split("/")[0] for place in places)


def asked_of(setting: PlanContext, row: str, store: Store) -> list[Asked]:
    """What the benchmarks of a suite ask the row of a method."""
    chosen = setting.suite.benchmarks.chosen
    rest = {name: one for name, one in chosen.items() if not one.declaration.load}
    found = [_of_data(setting, one, store) for name, one in chosen.items() if name not in rest]
    if rest:
        # No judge is among them, so that no endpoint is asked for a look at questions.
        suite = setting.suite.model_copy(update={"benchmarks": Benchmarks(rest)})
        plan = planning.plan(
            suite, setting.registry, setting.machine, only=[row], method_file=setting.method_file
        )
        own = {(c.pair, c.dataset): c for c in reversed(plan.cells) if c.method == row}
        found += [a for cell in own.values() for a in _of_steps(cell, store)]
    return found


def _of_data(setting: PlanContext, chosen: Chosen, store: Store) -> Asked:
    """All questions of a benchmark that loads them, whatever its limit."""
    declared, path = chosen.declaration, chosen.settings.data
    if not path:
        if declared.data_set is None:
            raise ValueError(f"benchmarks.{chosen.name}.data: missing; it has no data set of its own")
        path = str(benchmark_files.find(declared.data_set))
    with at_key(f"benchmarks.{chosen.name}.data"):
        folder = _folder(setting.data(path), store)
    found, _ = questions.load(declared, folder, chosen.settings.model_dump() | {"limit": None})
    return Asked(chosen.name, path, [question.turns[0] for question in found])


def _of_steps(cell: Cell, store: Store) -> Iterator[Asked]:
    """What other benchmarks ask, by their steps: documents of lm-eval's tasks, or the held-out prompts."""
    lineage = cell.trained
    for name, measures in cell.measures.items():
        step = overlap.step_of(measures, lineage.train_pairs, {}, lineage.base("student"))
        held = lineage.data.validation
        if step is not None:
            inputs = step.inputs
            data, include = (s and _folder(s, store) for s in (inputs.data, inputs.include))
            settings = replace(step.settings, options={**step.settings.options, "limit": None})
            texts = overlap.asked(settings, data, include, step.context.get("benchmark_file"))
            yield Asked(name, f"{name}'s documents", [turns[0] for turns in texts])
        elif held and _reads_held_out(cell, measures):
            yield Asked(name, held.path, _prompts(cell.setting, held, store))


def _reads_held_out(cell: Cell, measures: Measures) -> bool:
    steps = planning.ordered(step for step in measures.values() if not isinstance(step, Exception))
    return cell.trained.validation_pairs.id in {step.id for step in steps}


def _prompts(setting: PlanContext, data: Data, store: Store) -> list[str]:
    """What a user says first in each prompt of some pairs."""
    path = data.path
    if inside := inside_world(path):
        path = str(_folder(setting.world(), store) / inside)
    source = datasets.Source(path, data.split, data.revision, data.layout)
    end = None if data.limit is None else data.skip + data.limit
    if not (pairs := datasets.load_pairs(source).rows[data.skip : end]):
        raise ValueError(f"{data.path}: skip {data.skip} leaves no pair")
    return [next(turn["content"] for turn in pair.prompt if turn["role"] == "user") for pair in pairs]


def _folder(source: Source, store: Store) -> Path:
    folder = folder_at(source, store)
    assert folder, "a folder from outside is there, and the world is made"
    return folder
