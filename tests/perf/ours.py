"""Our side: the loop and the optimizer step that `harness.train.step` runs, on the world's files."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from harness.executors.options import Machine
from harness.suite.method_file import method_of
from harness.train.costs import TRAIN
from harness.train.examples import TrainWork
from harness.train.loop import set_up
from tests.perf.clock import synchronize
from tests.perf.scales import Scale
from tests.perf.workloads import LR, WORKLOADS

METHOD_FILE = str(Path(__file__).with_name("forward_kd.py"))
# The passes of methods/kernels/output_head.py and row_functions.py.
HEAD = ("_AtIds", "_AtIdsBackward", "_Run", "_RunBackward")
COMPILED = "compiled"  # the side in `auto` whose layers torch.compile fuses
SHOWN = 12  # operations of the profile


def run(at: Path, scale: Scale, name: str, side: str, profiled: bool = False) -> dict[str, Any]:
    """Seconds and losses of every optimizer step; with `profiled` where the time of the last one went."""
    work = _work(at, scale, name, side)

    def adamw(weights: Any) -> torch.optim.Optimizer:
        return torch.optim.AdamW(weights, lr=LR, weight_decay=0.0, fused=True)

    loop, optimizer = set_up(work, work.inputs.start, adamw)

    def step(number: int) -> float:
        terms = loop.gradient(range(number * scale.batch, (number + 1) * scale.batch))
        loop.accelerator.clip_grad_norm_(loop.policy.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        synchronize()
        return sum(terms.values())

    seconds, cpu, losses = [], [], []
    for number in range(scale.steps):
        began, used = time.perf_counter(), time.process_time()
        losses.append(step(number))
        seconds.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
    found: dict[str, Any] = {"seconds": seconds, "cpu": cpu, "losses": losses}
    if profiled:
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            step(0)
        found["profile"] = _shares(profiler)
    return found


def _work(at: Path, scale: Scale, name: str, side: str) -> TrainWork:
    load, compiled = WORKLOADS[name], side == COMPILED
    inputs = {"start": at / "student"}
    inputs |= {f"view.{side}": at / side for side in ("chosen", "rejected")[: load.sides]}
    inputs |= {key: at / folder for key, folder in load.signals.items()}
    settings = {
        "formula": method_of(load.method, METHOD_FILE).formula,
        "training": {"lr": LR},
        "seed": 0,
        "precision": scale.precision,
        "hp": load.hp,
        "fused": True,
    }
    settings |= {"compile": True} if compiled else {}
    machine = Machine(head="auto" if compiled else side, device=scale.device)
    context = asdict(machine) | {"method": load.method, "method_file": METHOD_FILE}
    return TRAIN.work(settings, inputs, at, context)


def _shares(profiler: Any) -> dict[str, Any]:
    """The head's share of a step's time, and the operations that take most of it themselves."""
    events = profiler.key_averages()
    total = sum(e.self_cpu_time_total for e in events)
    largest = sorted(events, key=lambda e: -e.self_cpu_time_total)[:SHOWN]
    return {
        "head": sum(e.cpu_time_total for e in events if e.key in HEAD) / total,
        "operations": [[e.key, e.count, e.self_cpu_time_total / total] for e in largest],
    }
