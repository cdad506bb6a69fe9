"""What a training keeps for its backward pass, and a step that finds too little memory."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from harness.forecast.sizes import of_config
from tests.gpu import world
from tests.gpu.check import Absent, Check, Line
from tests.gpu.measure import GB, emptied, memory
from tests.gpu.parts.training import begun
from tests.perf import ours

BALLAST = 0.9  # of what a step takes beside the weights, so that it finds too little


def activations(check: Check) -> Iterator[Line]:
    """Bytes that the forward pass of a micro-batch keeps for the backward pass, counted and as the device has
    them.
    """
    loop, _ = begun(check, "DPO")
    step = range(world.scale(check).batch)
    (part, *_) = loop.micro_batches(step)
    weights = {w.untyped_storage().data_ptr() for w in loop.policy.parameters()}
    kept: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return x

    before = memory()
    with saved_tensors_hooks(keep, lambda x: x):
        scored = loop.score(part, step)
    positions, model = loop.examples.positions(part), loop.accelerator.unwrap_model(loop.policy).model
    layers = of_config(model.config.to_dict()).layers
    told: Line = {"positions": positions, "layers": layers, "counted_gb": sum(kept.values()) / GB}
    if before:
        told["on_device_gb"] = memory()["held_gb"] - before["held_gb"]
    del scored
    yield {**told, "bytes_a_position_and_layer": sum(kept.values()) / positions / layers}


def out_of_memory(check: Check) -> Iterator[Line]:
    """A step that does not fit: it must say the same numbers, in smaller micro-batches."""
    if not torch.cuda.is_available():
        raise Absent("a GPU's memory")
    whole = _one_step(check)
    needed = memory()["peak_gb"]
    emptied()
    loop, optimizer = begun(check, "DPO")
    step, held = range(world.scale(check).batch), memory()["held_gb"]
    free = torch.cuda.mem_get_info()[0] / GB
    ballast = torch.empty(int((free - BALLAST * (needed - held)) * GB), dtype=torch.uint8, device="cuda")
    terms = ours.one_step(loop, optimizer, step)
    yield {"ballast_gb": ballast.numel() / GB, "terms": terms, "with_room": whole, **memory()}


def _one_step(check: Check) -> dict[str, float]:
    """The terms of DPO's first step."""
    loop, optimizer = begun(check, "DPO")
    return ours.one_step(loop, optimizer, range(world.scale(check).batch))
