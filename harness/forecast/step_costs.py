"""The estimate of one step: operations, tokens, disk, memory, calls and money. Seconds are a device's.

    cost_of(step, sizes)  ->  Cost(work="train", flops=3.1e16, disk=4.9e9, memory=5.4e10, ...)

FLOPs are what the step's record will count: 6 per parameter and token of a training, 2 of a forward pass, the
output head on response tokens only; attention's own products are left out there and here. Memory is the
device's at its peak, by arithmetic.
"""

from collections.abc import Callable
from dataclasses import replace

from harness.forecast import evaluation, inference, training
from harness.forecast.cost import Cost, Sizes
from harness.forecast.inference import stored
from harness.forecast.sizes import ModelSize, Unknown
from harness.store.step import Part, Step


def _written(model: ModelSize) -> Cost:
    """A model written in float32."""
    return Cost(disk=4.0 * model.parameters, assumed=model.notes)


def _pairs(step: Step, sizes: Sizes) -> Cost:
    """Both sides, and the prompts as text at some four bytes a token."""
    sides = [sizes.texts.of(Part(step, side)) for side in ("chosen", "rejected")]
    prompts = 4 * sides[0].prompt * sides[0].sequences
    tokens = sum(t.tokens for t in sides)
    disk = sum(map(stored, sides)) + prompts
    return Cost(tokens=tokens, disk=disk, assumed=sides[0].notes)


def _sequences(step: Step, sizes: Sizes) -> Cost:
    text = sizes.texts.of(step)
    return Cost(tokens=text.tokens, disk=stored(text), assumed=text.notes)


KINDS: dict[str, Callable[[Step, Sizes], Cost]] = {
    "world": lambda step, sizes: Cost(),
    "link": lambda step, sizes: Cost(),  # a hub id is downloaded first, beside the store
    "init": lambda step, sizes: _written(sizes.models.of(step)),
    "pairs": _pairs,
    "dialogues": _sequences,
    "text": _sequences,
    "mismatched": _sequences,
    "group": _sequences,
    "train": training.train,
    "objective": training.objective,
    "signals": inference.signals,
    "head": inference.head,
    "rollouts": inference.rollouts,
    "probes": inference.probes,
    "rewards": inference.rewards,
    "select": lambda step, sizes: Cost(),  # hard links
    "answers": evaluation.answers,
    "judgments": evaluation.judgments,
    "openllm": evaluation.openllm,
}


def cost_of(step: Step, sizes: Sizes) -> Cost:
    """The estimate of a step, from what its inputs are known or assumed to be; never from its own record."""
    if step.kind not in KINDS:
        return Cost(unknown=f"steps of kind {step.kind}")
    try:
        found = KINDS[step.kind](step, sizes)
    except Unknown as why:
        return Cost(unknown=str(why))
    return replace(found, assumed=tuple(dict.fromkeys(found.assumed)))
