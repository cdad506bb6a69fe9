"""What was lost, changed or seen before on the way to a run's numbers: rows for the line under each table.

COUNTS declares what is counted of steps' records; a count that a step learns to tell is one line more.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from harness.plan.measurements import Cell
from harness.plan.plan import Plan, ordered
from harness.results.health import collapse
from harness.results.health.overlap import step_of
from harness.results.records import folder_of
from harness.store.step import Step
from harness.store.store import Store
from harness.suite.training import Health
from reports.records.rows import Count
from reports.tables.health import COLLAPSED, EXPLODED, HALF_JUDGED

Measured = Mapping[str, Any]  # what a step's function returned
RECOMPUTED = "artifacts recomputed"
REPEATED = "answers that repeat themselves"
OVERLAP = "training prompts that overlap with"


class Counted(NamedTuple):
    """A count of what steps of some kinds measured: how many, of how many (0: nobody says)."""

    name: str
    kinds: tuple[str, ...]
    of: Callable[[Measured], tuple[int, int]]


def _by_reason(measured: Measured) -> tuple[int, int]:
    return sum(measured["dropped"].values()), measured["read"]


def _sequences(measured: Measured) -> tuple[int, int]:
    return measured["dropped"], measured["sequences"] + measured["dropped"]


def _told(name: str, total: str = "") -> Callable[[Measured], tuple[int, int]]:
    """Of a count that has a name of its own; steps from before it was told have none."""
    return lambda measured: (measured.get(name, 0), measured[total] if total else 0)


def _not_had(measured: Measured) -> tuple[int, int]:
    return sum(measured.get("missing", {}).values()), measured["judgments"]


# In the order of the line; several of one name add up.
COUNTS = (
    Counted("rows dropped", ("pairs", "dialogues"), _by_reason),
    Counted("rows dropped", ("rollouts", "group", "mismatched"), _sequences),
    Counted("rows dropped", ("train",), _told("identical")),
    Counted("rows truncated", ("pairs", "dialogues"), _told("truncated", "read")),
    Counted("rows truncated", ("rollouts",), _told("truncated", "sequences")),
    Counted("rows truncated", ("train",), _told("truncated")),
    Counted("answers truncated", ("answers",), _told("truncated", "answers")),
    Counted("answers without their thoughts", ("answers",), _told("thoughts", "answers")),
    Counted("answers refused, filtered or empty", ("answers",), _told("refused", "answers")),
    Counted("empty answers judged", ("answers",), _told("empty", "answers")),
    Counted("prompts cut", ("openllm",), lambda m: (sum(m["truncated"].values()), m["documents"])),
    Counted("prompts cut", ("probes",), _told("cut", "probes")),
    Counted("judgments refused or without an answer", ("judgments",), _not_had),
    Counted("judgments unparsed", ("judgments",), _told("unparsed", "judgments")),
)


def counts(plan: Plan, store: Store) -> list[Count]:
    """All counts of a finished plan, step by step; each name is there, with 0 where no step has it."""
    rows = []
    for (pair, dataset), cells in _by_data(plan).items():
        steps = ordered(_targets(cells))
        key: dict[str, Any] = {"suite": plan.suite.name, "pair": pair, "dataset": dataset}
        known = *(c.name for c in COUNTS), REPEATED, COLLAPSED, EXPLODED, HALF_JUDGED, RECOMPUTED
        for name in dict.fromkeys(known):
            rows.append(Count(**key, name=name, step="", label="", count=0, total=0))
        for step in steps:
            rows += [Count(**key, **row) for row in _of_step(step, store, plan.suite.health)]
        rows += [Count(**key, **row) for row in _of_answers(cells, store, plan.suite.health)]
        for name, step in _overlaps(cells).items():
            about = {**_named(step), **_found(step, store)}
            rows.append(Count(**key, name=OVERLAP, benchmark=name, **about))
    return rows


def overlap_steps(plan: Plan) -> list[Step]:
    """The steps beside those of a plan that its counts are read from."""
    return [step for cells in _by_data(plan).values() for step in _overlaps(cells).values()]


def _by_data(plan: Plan) -> dict[tuple[str, str], list[Cell]]:
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in plan.cells:
        found.setdefault((cell.pair, cell.dataset), []).append(cell)
    return found


def _targets(cells: Sequence[Cell]) -> Iterator[Step]:
    for cell in cells:
        if isinstance(cell.source, Step) and "" not in cell.failed:
            yield cell.source
        for steps in cell.measures.values():
            yield from steps.values()


def _of_step(step: Step, store: Store, limits: Health) -> Iterator[dict[str, Any]]:
    record, added = store.record(folder_of(store, step)), dict[str, tuple[int, int]]()
    for counted in COUNTS:
        if step.kind.name in counted.kinds:
            count, total = counted.of(record["measured"])
            if count or total:  # a training without rollouts of its own has neither
                added[counted.name] = count, total
    if "recomputed" in record:
        added[RECOMPUTED] = 1, 0
    for name, (count, total) in added.items():
        yield {**_named(step), "name": name, "count": count, "total": total}
    if step.kind.name == "train":
        told = _verdict(step, EXPLODED, collapse.exploded(record["measured"], limits))
        yield told if "grad_norm" in record["measured"] else told | {"count": None, "total": 0}


def _of_answers(cells: Sequence[Cell], store: Store, limits: Health) -> Iterator[dict[str, Any]]:
    """What the texts of the rows' answers tell; rows that share a step share what it tells."""
    steps = {s.id: s for cell in cells for of in cell.measures.values() for s in collapse.answered(of)}
    for step in steps.values():
        found = collapse.read(folder_of(store, step))
        yield {**_named(step), "name": REPEATED, "count": found.repeated, "total": found.answers}
        yield _verdict(step, COLLAPSED, found.collapse(limits))


def _verdict(step: Step, name: str, told: str) -> dict[str, Any]:
    """Whether something befell the whole of what a step made, and in which words."""
    return {**_named(step), "name": name, "count": int(bool(told)), "total": 1, "note": told}


def _overlaps(cells: Sequence[Cell]) -> dict[str, Step]:
    """The step by the suite's name of a benchmark; none of rows that were not trained here."""
    lineage, found = cells[0].lineage, dict[str, Step]()
    if lineage is None:
        return found
    # Every world seed's models read the same prompts, which count once.
    cells = [cell for cell in cells if cell.world_seed == cells[0].world_seed]
    steps = ordered(_targets(cells))
    dialogues = {str(i): s for i, s in enumerate(s for s in steps if s.kind.name == "dialogues")}
    for name in cells[0].setting.suite.benchmarks.chosen:
        asked = (
            step_of(cell.measures[name], lineage.train_pairs, dialogues, lineage.base("student"))
            for cell in cells
            if name in cell.measures
        )
        if step := next(filter(None, asked), None):
            found[name] = step
    return found


def _found(step: Step, store: Store) -> dict[str, Any]:
    try:
        found = store.record(store.make(step))["measured"]
    except (OSError, ValueError) as fault:
        # Answers may be there without their questions (a hub that is away): tables need not wait for these.
        return {"count": None, "total": 0, "note": " ".join(f"{fault}".split())}
    note = f"{found['n']} words in a row; {found['found']} of {found['questions']} questions"
    return {"count": found["overlapping"], "total": found["prompts"], "note": note}


def _named(step: Step) -> dict[str, str]:
    return {"step": f"{step.kind.name}-{step.id}", "label": step.label}
