"""Passes of frozen models over sets of sequences: one for each (model, set, dtype), whatever forms are read.

    hidden of dpo teacher on train chosen      runs the model
    logps  of dpo teacher on train chosen      is read off it
    topk   of dpo teacher on train chosen      is the head of its hidden states: no body

Each form stays a step of its own, whose id says nothing of the others: what it is read off is context, and
the numbers are the same bit for bit.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from harness.lineage import STUDENT, TEACHER, head_step
from harness.selection import stages
from harness.setting import slug
from harness.store import Step

if TYPE_CHECKING:  # a plan shares its passes by what stands here
    from harness.measures import Cell
    from harness.plan import Plan

Pass = tuple[str, str, str]  # ids of model and sequences, dtype


def pass_of(signals: Step) -> Pass:
    """Which forward passes a step of kind "signals" stands for."""
    ids = signals.input_ids
    return ids["model"], ids["sequences"], signals.settings["dtype"]


def shared(steps: Iterable[Step], done: Callable[[Step], bool]) -> Mapping[str, Step]:
    """By id those signals that are read off another form of the same pass, with what they borrow."""
    groups: dict[Pass, list[Step]] = defaultdict(list)
    for step in steps:
        if step.kind == "signals":
            groups[pass_of(step)].append(step)
    return {
        step.id: replace(step, borrowed=_lent(step, lender))
        for group in groups.values()
        if (lender := _lender(group, done))
        for step in group
        if step.id != lender.id
    }


def _lender(group: Sequence[Step], done: Callable[[Step], bool]) -> Step | None:
    """The form that all others of a pass can be read off: its hidden states, or one top-k beside log-probs.

    Several top-k's have the hidden states made for them, if more than one is to be done. A top-k at another
    model's ids lends nothing: that model may have been trained from what would be read off it.
    """
    by_form = {form: [s for s in group if s.settings["form"] == form] for form in ("hidden", "topk")}
    if len(group) == 1:
        return None
    if by_form["hidden"]:
        return by_form["hidden"][0]
    if len(by_form["topk"]) == 1 and "ids" not in by_form["topk"][0].inputs:
        return by_form["topk"][0]
    hidden = _hidden(group[0])
    missing = sum(not done(s) for s in group)
    return hidden if missing > 1 or (missing and done(hidden)) else None


def _hidden(signals: Step) -> Step:
    """The step of the hidden states of the same pass."""
    label = f"hidden{signals.label.removeprefix(signals.settings['form'])}"
    inputs = {name: signals.inputs[name] for name in ("model", "sequences")}
    settings = {"form": "hidden", "dtype": signals.settings["dtype"]}
    return replace(signals, slug=slug(label), label=label, settings=settings, inputs=inputs)


def _lent(signals: Step, lender: Step) -> dict[str, Step]:
    if signals.settings["form"] == "logps":
        return {"signals": lender}
    return {"signals": lender, "head": head_step(signals.sources["model"], signals.settings["dtype"])}


def own_stages(cell: "Cell") -> list[Step]:
    """What a row's model was made by; the stages of Student and Teacher are in their own rows."""
    lineage, stands_on = cell.trained, stages(cell.model)
    if cell.method in (TEACHER, STUDENT):
        return list(stands_on.values())
    shared_by_all = stages(lineage.student) | stages(lineage.teacher)
    return [step for i, step in stands_on.items() if i not in shared_by_all]


def of_row(cell: "Cell") -> dict[Pass, Step]:
    """The passes of teacher-size models that a row's own stages need, each as one of its forms."""
    teachers = {cell.trained.teacher.id, cell.trained.teacher_ref.id}
    own = [s for s in own_stages(cell) if s.kind == "signals"]
    return {pass_of(s): s for s in own if s.sources["model"].id in teachers}


class Passes(NamedTuple):
    """Passes of teacher-size models over training sets: the sum over the rows, each run alone, and those of
    all rows together.
    """

    needed: int
    run: int


def passes(plan: "Plan") -> Passes:
    """How many passes the rows of a plan need, one by one and together; every seed is a row."""
    found = [of_row(cell) for cell in plan.cells if cell.lineage]
    return Passes(sum(map(len, found)), len(set().union(*found)))


def told(plan: "Plan") -> str:
    """One line on how often teachers run over the training sets; "" where none does."""
    found = passes(plan)
    return f"teacher passes: {found.needed} needed by the rows alone, {found.run} run" if found.run else ""
