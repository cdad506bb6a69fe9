"""Our side: the loop and the optimizer step that `harness.train.step` runs, on the world's files."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from harness.executors.options import Machine
from harness.models.policy import Policy
from harness.suite.method_file import method_of
from harness.train.costs import TRAIN
from harness.train.examples import TrainWork
from harness.train.loop import Loop, set_up
from tests.perf import world
from tests.perf.breakdown import kinds
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
    loop, optimizer = prepared(at, scale, name, side)

    def step(number: int) -> float:
        return sum(
            one_step(loop, optimizer, range(number * scale.batch, (number + 1) * scale.batch)).values()
        )

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


def prepared(
    at: Path, scale: Scale, name: str, side: str, live: Mapping[str, Path] | None = None
) -> tuple[Loop, Any]:
    """The loop of a workload and its optimizer; `live`: frozen models by role that run beside the policy, in
    the place of stored signals.
    """
    work = _work(at, scale, name, side, live)

    def adamw(policy: Policy, _: Any) -> torch.optim.Optimizer:
        return torch.optim.AdamW(policy.parameters(), lr=LR, weight_decay=0.0, fused=True)

    return set_up(work, work.inputs.start, adamw)


def one_step(loop: Loop, optimizer: Any, examples: Sequence[int]) -> dict[str, float]:
    """The terms of an optimizer step, once the device is done with it."""
    terms = loop.gradient(examples)
    loop.accelerator.clip_grad_norm_(loop.policy.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    synchronize()
    return terms


def _work(at: Path, scale: Scale, name: str, side: str, live: Mapping[str, Path] | None) -> TrainWork:
    load, compiled = WORKLOADS[name], side == COMPILED
    inputs = {"start": at / "student"}
    sides = zip(load.views, world.SIDES[: load.sides], strict=False)
    inputs |= {f"view.{view}": at / folder for view, folder in sides}
    stored = {key: at / folder for key, folder in load.signals.items()}
    inputs |= {f"live.{role}": folder for role, folder in live.items()} if live else stored
    settings = {
        "formula": method_of(load.method, METHOD_FILE).formula,
        "training": {"lr": LR},
        "seed": 0,
        "precision": scale.precision,
        "hp": load.hp,
        "fused": True,
    }
    settings |= {"compile": True} if compiled else {}
    settings |= {"teacher_dtype": scale.teacher_dtype} if live else {}
    machine = Machine(head="auto" if compiled else side, device=scale.device)
    context = asdict(machine) | {"method": load.method, "method_file": METHOD_FILE}
    return TRAIN.work(settings, inputs, at, context)


def _shares(profiler: Any) -> dict[str, Any]:
    """Of a step's time the share of the head, of each kind of operation, and of those that take most."""
    events = profiler.key_averages()
    total = sum(e.self_cpu_time_total for e in events)
    largest = sorted(events, key=lambda e: -e.self_cpu_time_total)[:SHOWN]
    return {
        "head": sum(e.cpu_time_total for e in events if e.key in HEAD) / total,
        "kinds": kinds({e.key: e.self_cpu_time_total for e in events}),
        "operations": [[e.key, e.count, e.self_cpu_time_total / total] for e in largest],
    }
