"""A suite as a plan: every step it takes, each once, however many rows of the table share it.

    world -> base -> sft -> dpo -> rollouts -> signals -> train -> answers -> judgments

A cell is one run of a row (pair, data set, method, world seed, seed). Its steps are values; nothing here runs
or imports a model. Two entries with one formula, one setting and one data are one step: the entry's name is
not in the id.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import methods
from benchmarks.declaration import ComparedSettings
from harness.common.suggest import meant
from harness.executors.options import Machine
from harness.plan.context import PlanContext
from harness.plan.endpoints import Endpoints
from harness.plan.lineage import Lineage
from harness.plan.measurements import Cell, outside
from harness.plan.shared_passes import shared
from harness.store.step import Step
from harness.suite.loading import configured, with_starts
from harness.suite.schema import AS_THEY_ARE, STUDENT, TEACHER, Suite
from harness.suite.tuning.search import check_tuning
from methods.api import Method


@dataclass(frozen=True)
class Plan:
    """All steps in an order that can be run, and the rows they serve."""

    suite: Suite
    steps: tuple[Step, ...]
    cells: tuple[Cell, ...]


def plan(
    suite: Suite,
    registry: Mapping[str, Method],
    machine: Machine,
    *,
    only: Sequence[str] = (),
    method_file: str | None = None,
    is_done: Callable[[Step], bool] = lambda step: False,
    endpoints: Endpoints | None = None,
) -> Plan:
    """All steps and rows of a suite. `is_done` says what the store holds: a reference run that is not
    among the rows is used where its answers are there.
    """
    names = chosen_methods(suite, only, registry)
    registry = with_starts(suite, registry)
    setting = PlanContext(suite, registry, machine, method_file, endpoints or Endpoints())
    for name in names:
        # A fault in the settings of a row must show before anything runs, whichever row it is.
        configured(suite, registry[name])
    check_tuning(suite, registry)
    _check_references(suite, names)
    rows = frozenset({TEACHER, STUDENT, *names, *suite.models})
    cells, checks = [], []
    for (pair, pair_spec), (dataset, data_spec) in product(suite.pairs.items(), suite.datasets.items()):
        known: set[tuple[str, int, str]] = set()
        for world in suite.world_seeds:
            lineage = Lineage(setting, pair, dataset, pair_spec, data_spec, world)
            # First the pairs: data that cannot be read, or two tokenizers, end a run before training.
            checks.append(lineage.train_pairs)
            for seed, name in suite.seeds_by_row([TEACHER, STUDENT, *names]):
                model = lineage.result(name, seed)
                # A model that no world seed had a part in is one replicate, however many of them there are.
                if (name, seed, model.id) not in known:
                    known.add((name, seed, model.id))
                    cells.append(
                        Cell(pair, dataset, name, world, seed, model, setting, lineage, rows, is_done)
                    )
    cells += _as_they_are(setting, rows, is_done)
    _check_worlds(suite, cells)
    targets = [
        *checks,
        *(c.source for c in cells if isinstance(c.source, Step)),
        *(s for c in cells for m in c.measures.values() for s in m.values()),
    ]
    # Twice: which signals are read off which is known only once all of them are.
    steps = ordered(targets)
    return Plan(suite, ordered(steps, shared(steps, is_done)), tuple(cells))


def merged(plans: Sequence[Plan], is_done: Callable[[Step], bool]) -> Plan:
    """Plans of one suite, which differ in settings of its rows, as one."""
    steps = ordered(step for plan in plans for step in plan.steps)
    cells = tuple(cell for plan in plans for cell in plan.cells)
    return Plan(plans[0].suite, ordered(steps, shared(steps, is_done)), cells)


def _check_worlds(suite: Suite, cells: Sequence[Cell]) -> None:
    """ValueError where several world seeds make the same models: they would look like runs without chance."""
    if {cell.world_seed for cell in cells} != set(suite.world_seeds):
        raise ValueError(
            f"world_seeds: given {list(suite.world_seeds)}; nothing is trained or sampled before a last "
            "stage, so all of them are one run: name one"
        )


def _as_they_are(
    setting: PlanContext, rows: frozenset[str], is_done: Callable[[Step], bool]
) -> Iterator[Cell]:
    """The rows of models that are measured as they are."""
    suite = setting.suite
    for name in suite.models:
        source, world = outside(setting, name), suite.world_seeds[0]
        for seed in suite.seeds_of(name):
            yield Cell(AS_THEY_ARE, "", name, world, seed, source, setting, None, rows, is_done)


def _check_references(suite: Suite, names: Sequence[str]) -> None:
    """ValueError where a row has seeds that a trained row which it is compared with lacks."""
    for benchmark, chosen in suite.benchmarks.chosen.items():
        references = chosen.settings.reference if isinstance(chosen.settings, ComparedSettings) else ()
        for reference, name in product(references, [TEACHER, STUDENT, *names]):
            lacking = [s for s in suite.seeds_of(name) if s not in suite.seeds_of(reference)]
            if reference in names and lacking:
                raise ValueError(
                    f"seeds.{reference}: it lacks {', '.join(map(str, lacking))}, which {name} has and "
                    f"benchmarks.{benchmark} compares with {reference} of the same seed; give it all of them"
                )


def ordered(targets: Iterable[Step], instead: Mapping[str, Step] | None = None) -> tuple[Step, ...]:
    """Every step that the wanted ones stand on, inputs first, each once; `instead` names by id the same step
    with other context.
    """
    by_id: dict[str, Step] = {}

    def visit(step: Step) -> None:
        step = (instead or {}).get(step.id, step)
        if step.id not in by_id:
            for source in step.sources.values():
                visit(source)
            by_id[step.id] = step

    for step in targets:
        visit(step)
    return tuple(by_id.values())


def chosen_methods(suite: Suite, only: Sequence[str], registry: Mapping[str, Method]) -> list[str]:
    """The suite's methods in registry order, or those of `only`, in any case and with commas between; an
    unknown name is a ValueError.
    """
    wanted = [meant(name, registry) for given in only for name in _split(given, registry)]
    for place, names in (("methods", suite.methods), ("--only", wanted)):
        for name in names:
            try:
                methods.get(name, registry)
            except ValueError as fault:
                raise ValueError(f"{place}: {fault}") from None
    # Registry order, so that tables have one order of rows whatever a suite lists first.
    chosen = set(wanted) or set(suite.methods)
    return [name for name in registry if name in chosen]


def _split(given: str, registry: Mapping[str, Method]) -> list[str]:
    """A,B as A and B, where it is no name itself."""
    parts = [part.strip() for part in given.split(",") if part.strip()]
    return [given] if given in registry or not parts else parts
