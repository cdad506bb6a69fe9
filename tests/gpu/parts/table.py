"""Every row of a small suite on the GPU, beside the same rows on the CPU: what a table would show, and what
each training leaves behind in the process.
"""

import gc
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from tests.gpu.check import Check, Line
from tests.paths import ROOT

SUITE = "tests/tiny-all.yaml"  # every method of the registry, and the benchmarks that need no judge
SMALL_SUITE, SMALL_ROWS = "tests/tiny.yaml", ("SFT",)
WITHOUT = ("mt-bench", "alpaca-eval", "openllm", "implicit-reward")

Values = dict[str, float]  # "row | benchmark | which question" -> value


class Made(NamedTuple):
    """What a suite says, and lines of what is held after each of its trainings."""

    values: Values
    left: list[Line]


def table(check: Check) -> Iterator[Line]:
    """Both at the same time, each in a process of its own; a line a row: the mean of each benchmark on both
    sides, and the share of the questions with the same value.
    """
    import torch

    here = "cuda" if torch.cuda.is_available() else "cpu"
    asked = {side: {"device": side, "small": check.small} for side in dict.fromkeys((here, "cpu"))}
    running = {side: _started(check.folder / f"table-{side}", told) for side, told in asked.items()}
    made = {side: _ended(process) for side, process in running.items()}
    yield from made[here].left
    yield from compared(made[here].values, made["cpu"].values)


def compared(found: Values, expected: Values) -> Iterator[Line]:
    """A line for each row and benchmark."""
    if found.keys() != expected.keys():
        raise ValueError(f"other questions: {sorted(found.keys() ^ expected.keys())[:3]}")
    questions = defaultdict(list)
    for key in expected:
        questions[tuple(key.split(" | ")[:2])].append(key)
    for (row, benchmark), keys in questions.items():
        same = sum(found[k] == expected[k] for k in keys)
        means = {"found": fmean(found[k] for k in keys), "cpu": fmean(expected[k] for k in keys)}
        yield {"row": row, "benchmark": benchmark, **means, "same": same, "of": len(keys)}


def _started(folder: Path, asked: Line) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.gpu.parts.table", json.dumps({**asked, "folder": str(folder)})]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}  # models this small are slower on more
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)


def _ended(process: "subprocess.Popen[str]") -> Made:
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"a side of the table ended with exit code {process.returncode}")
    return Made(**json.loads(said.splitlines()[-1]))


def made(device: str, small: bool, folder: Path) -> Made:
    """What a suite says that is run on a device from an empty store."""
    import methods
    from harness.executors.options import Machine
    from harness.plan import plan as planning
    from harness.results.records import records
    from harness.store.store import Store
    from harness.train.costs import TRAIN
    from tests import suites
    from tests.gpu.measure import memory

    store = Store(folder / "store")
    suite = suites.load(
        str(ROOT / (SMALL_SUITE if small else SUITE)), [f"benchmarks.{n}=null" for n in WITHOUT]
    )
    only = SMALL_ROWS if small else ()
    machine = Machine(device=device, replies=str(folder / "replies"))
    plan = planning.plan(suite, methods.registry(()), machine, only=only, is_done=store.is_done)
    left = []
    for step in plan.steps:
        store.make(step)
        if step.kind is TRAIN:
            left.append({"after": step.label, "policies": _alive(), **memory()})
    values = {
        " | ".join(
            map(str, (r.method, r.benchmark, r.replicate, r.metric, r.question, r.turn, r.order))
        ): r.value
        for r in records(plan, store)
        if r.value is not None
    }
    return Made(values, left)


def _alive() -> int:
    """Policies that nobody has freed yet."""
    from harness.models.policy import Policy

    return sum(type(x) is Policy for x in gc.get_objects())


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    print(json.dumps(made(told["device"], told["small"], Path(told["folder"]))._asdict()))
