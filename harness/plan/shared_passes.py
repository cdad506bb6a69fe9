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

from harness.plan.signal_steps import SignalStep, head
from harness.signals.kinds import SIGNALS
from harness.store.step import Step

Pass = tuple[str, str, str]  # ids of model and sequences, dtype


def pass_of(signals: SignalStep) -> Pass:
    """Which forward passes a step of kind "signals" stands for."""
    ids = signals.input_ids
    return ids["model"], ids["sequences"], signals.settings.dtype


def shared(steps: Iterable[Step], is_done: Callable[[Step], bool]) -> Mapping[str, Step]:
    """By id those signals that are read off another form of the same pass, with what they derive from."""
    groups: dict[Pass, list[SignalStep]] = defaultdict(list)
    for step in steps:
        if step.kind == SIGNALS:
            groups[pass_of(step)].append(step)
    return {
        step.id: replace(step, derived_from=_derivation(step, source))
        for group in groups.values()
        if (source := _source_pass(group, is_done))
        for step in group
        if step.id != source.id
    }


def _source_pass(group: Sequence[SignalStep], is_done: Callable[[Step], bool]) -> SignalStep | None:
    """The form that all others of a pass can be read off: its hidden states, or one top-k beside log-probs.

    Several top-k's have the hidden states made for them, if more than one is to be done. A top-k at another
    model's ids lends nothing: that model may have been trained from what would be read off it.
    """
    by_form = {form: [s for s in group if s.settings.form == form] for form in ("hidden", "topk")}
    # A form alone runs its own pass: writing hidden states as well would only cost disk.
    if len(group) == 1:
        return None
    if by_form["hidden"]:
        return by_form["hidden"][0]
    if len(by_form["topk"]) == 1 and by_form["topk"][0].inputs.ids is None:
        return by_form["topk"][0]
    # No plan asks for these states; they are made where that is less than a pass for each form.
    hidden = _hidden(group[0])
    missing = sum(not is_done(s) for s in group)
    return hidden if missing > 1 or (missing and is_done(hidden)) else None


def _hidden(signals: SignalStep) -> SignalStep:
    """The step of the hidden states of the same pass."""
    label = f"hidden{signals.label.removeprefix(signals.settings.form)}"
    # Hidden states stand at every id, whichever the top-k that asks for them is at.
    inputs = replace(signals.inputs, ids=None)
    return SIGNALS.step(label, SIGNALS.settings("hidden", signals.settings.dtype), inputs, signals.context)


def _derivation(signals: SignalStep, source: SignalStep) -> dict[str, Step]:
    if signals.settings.form == "logps":
        return {"signals": source}
    return {"signals": source, "head": head(signals.sources["model"], signals.settings.dtype)}
