"""Our side: the loop and the optimizer step that `harness.train` runs, on the world's files."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from harness.loop import set_up
from harness.setting import Machine
from harness.store import Work
from tests.perf.workloads import LR, WORKLOADS
from tests.perf.world import BATCH, STEPS

METHOD_FILE = str(Path(__file__).with_name("forward_kd.py"))
HEAD = ("_AtIds", "_AtIdsBackward", "_Run", "_RunBackward")  # the passes of methods/head.py and rows.py
SHOWN = 12  # operations of the profile


def run(at: Path, name: str, head: str, profiled: bool = False) -> dict[str, Any]:
    """Seconds and losses of every optimizer step; with `profiled` where the time of the last one went."""
    work = _work(at, name, head)

    def adamw(weights: Any) -> torch.optim.Optimizer:
        return torch.optim.AdamW(weights, lr=LR, weight_decay=0.0, fused=True)

    loop, optimizer = set_up(work, work.inputs["start"], adamw)

    def step(number: int) -> float:
        terms = loop.gradient(range(number * BATCH, (number + 1) * BATCH))
        loop.accelerator.clip_grad_norm_(loop.policy.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return sum(terms.values())

    seconds, cpu, losses = [], [], []
    for number in range(STEPS):
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


def _work(at: Path, name: str, head: str) -> Work:
    load = WORKLOADS[name]
    inputs = {"start": at / "student"}
    inputs |= {f"view.{side}": at / side for side in ("chosen", "rejected")[: load.sides]}
    inputs |= {key: at / folder for key, folder in load.signals.items()}
    settings = {"training": {"lr": LR}, "seed": 0, "precision": "no", "hp": load.hp, "fused": True}
    context = asdict(Machine(head=head)) | {"method": load.method, "method_file": METHOD_FILE}
    return Work(settings, inputs, at, context)


def _shares(profiler: Any) -> dict[str, Any]:
    """The head's share of a step's time, and the operations that take most of it themselves."""
    events = profiler.key_averages()
    total = sum(e.self_cpu_time_total for e in events)
    largest = sorted(events, key=lambda e: -e.self_cpu_time_total)[:SHOWN]
    return {
        "head": sum(e.cpu_time_total for e in events if e.key in HEAD) / total,
        "operations": [[e.key, e.count, e.self_cpu_time_total / total] for e in largest],
    }
