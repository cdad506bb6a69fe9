"""Trainings that would not fit their device, so that they do: what changes is context, and no id.

In this order, each only where the one before is not enough: smaller micro-batches, recomputed layers, AdamW
without a second copy of the weights, and weights that are shared over as few devices as hold them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from harness.common.cost import Unknown
from harness.forecast.forecast import ROOM, Device
from harness.forecast.sizes import PlanSizes
from harness.plan.plan import Plan, ordered
from harness.store.step import Step
from harness.train.costs import TRAIN, has_foreach

SMALL = 4096  # positions of a micro-batch that fill a card; fewer only where recomputed layers do not help
LEAST = 512
MOST = 8  # devices, where nobody knows how many there are: one machine's


def fitted(plan: Plan, sizes: PlanSizes, device: Device) -> Plan:
    """The plan with its trainings as they fit into devices of this sort."""
    found = [s for s in plan.steps if s.kind == TRAIN]
    instead = {s.id: replace(s, context={**s.context, **fit(s, sizes, device)}) for s in found}
    return replace(plan, steps=ordered(plan.steps, instead))


def fit(step: Step, sizes: PlanSizes, device: Device) -> Mapping[str, Any]:
    """Context of a training with which it fits, the smallest where none does; {} where it fits as it is, or
    where nobody knows what it takes.
    """
    tried: Mapping[str, Any] = {}
    try:
        for tried in _ways(step, sizes):
            changed = replace(step, context={**step.context, **tried})
            if changed.kind.cost(changed, sizes).memory <= ROOM * device.memory:
                return tried
    except Unknown:
        return {}
    return tried


def _ways(step: Step, sizes: PlanSizes) -> Iterator[Mapping[str, Any]]:
    """Contexts to try, from the fastest to the smallest."""
    for devices in _devices(step, sizes):
        for smaller in _smaller(step):
            for foreach in (True, False) if has_foreach(step.settings) else (True,):
                yield {**devices, **smaller, **({} if foreach else {"foreach": False})}


def _devices(step: Step, sizes: PlanSizes) -> Iterator[Mapping[str, Any]]:
    """As it is; and where nobody says how many, sharded over 2, 3, ... of them."""
    yield {}
    machine = sizes.machine
    said = step.context["processes"] > 1 or machine.processes or machine.accelerate_config
    # A method that samples from the policy needs whole weights in every process.
    if not said and not step.settings.online:
        for n in range(2, (machine.devices or MOST) + 1):
            yield {"processes": n, "shard": "fsdp2"}


def _smaller(step: Step) -> Iterator[Mapping[str, Any]]:
    """Smaller micro-batches, and recomputed layers where the suite leaves it open."""
    tokens, given = step.context["tokens"], step.context["checkpointing"]
    for recomputed in (False, True) if given == "auto" else (given,):
        positions = tokens
        while positions >= min(LEAST if recomputed else SMALL, tokens):
            yield {"tokens": positions, "checkpointing": recomputed}
            positions //= 2
