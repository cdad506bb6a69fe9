"""An optimizer step in other ways: what must be the same, what it waits for, and what it was to take."""

import warnings
from collections.abc import Iterator
from functools import partial

import torch

from harness.forecast.sizes import of_config
from harness.train.accelerate_setup import optimizer_of
from harness.train.placing import memory as placing
from methods.api import Training
from tests.gpu import world
from tests.gpu.check import Absent, Check, Line
from tests.gpu.measure import GB, device, memory, seconds
from tests.gpu.parts.training import begun
from tests.perf import ours

SIZES = (1, 5, 64, 4097)  # numbers of a tensor, by 7


def foreach(check: Check) -> Iterator[Line]:
    """AdamW of all parameters at once and one after the other: bit for bit the same, as ids have it."""
    found = []
    for at_once in (True, False):
        draw = torch.Generator().manual_seed(0)
        moved = [torch.nn.Parameter(torch.randn(n, 7, generator=draw).to(device())) for n in SIZES]
        optimizer = optimizer_of(Training(lr=1e-3, weight_decay=0.1), moved, fused=False, foreach=at_once)
        for _ in range(5):
            for weight in moved:
                weight.grad = torch.randn(weight.shape, generator=draw).to(device())
            optimizer.step()
        found.append(moved)
    yield {"ok": all(torch.equal(a, b) for a, b in zip(*found, strict=True))}


def peak(check: Check) -> Iterator[Line]:
    """The most that a step takes, as foretold and as the device has it."""
    loop, optimizer = begun(check, "DPO")
    step = range(world.scale(check).batch)
    parts, half = loop.micro_batches(step), loop.accelerator.mixed_precision != "no"
    longest = int(loop.examples.lengths[list(step)].max())
    run = placing.Run(max(map(loop.examples.positions, parts)), longest, half=half, foreach=False)
    ours.one_step(loop, optimizer, step)
    model = loop.accelerator.unwrap_model(loop.policy).model
    size = of_config(model.config.to_dict())
    yield {
        "foretold_gb": placing.peak(size, run, Training(lr=1e-3)) / GB,
        "positions": run.positions,
        **memory(),
    }


def offload(check: Check) -> Iterator[Line]:
    """The same terms, and seconds of a step, with what it keeps on the device and in the host's memory."""
    for away in (False, True):
        loop, optimizer = begun(check, "DPO")
        loop.accelerator.unwrap_model(loop.policy).offload = away
        step = partial(ours.one_step, loop, optimizer, range(world.scale(check).batch))
        terms = step()
        yield {"offload": away, "terms": terms, "step_s": seconds(step), **memory()}


def syncs(check: Check) -> Iterator[Line]:
    """How often a step waits for the device, as torch says: once for each of its terms, at its end."""
    if not torch.cuda.is_available():
        raise Absent("torch says of a GPU alone what waits for it")
    loop, optimizer = begun(check, "DPO")
    step = range(world.scale(check).batch)
    terms = ours.one_step(loop, optimizer, step)  # what is made once may wait
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            loop.gradient(step)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    where = [f"{w.filename}:{w.lineno}" for w in told]
    yield {
        "syncs": len(where),
        "terms": len(terms),
        "micro_batches": len(loop.micro_batches(step)),
        "where": where,
    }
