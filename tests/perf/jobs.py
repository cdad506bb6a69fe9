"""The pocket comparison from an empty store with one and two jobs, with one seed and three; again where
nothing is to do; and what more jobs would make of it, by the seconds that its steps recorded.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import methods
from harness.executors.options import Machine
from harness.forecast.forecast import Job, schedule
from harness.plan import plan as planning
from harness.store.store import Store
from tests import suites
from tests.perf.markdown import table

SUITE = "pocket"
SEEDS = ("[0]", "[0,1,2]")
JOBS = (1, 2)
SIMULATED = (1, 2, 4, 8)
GOALS = {("[0]", 2): 220, ("[0,1,2]", 2): 450}  # seconds, by seeds and jobs


class Seconds(NamedTuple):
    """Of the command from an empty store, and of the same command once more."""

    empty: float
    again: float


def run(root: Path, machine: dict[str, Any]) -> None:
    """Write jobs.json after every run."""
    told: dict[str, Any] = {"machine": machine, "suite": SUITE, "measured": []}
    for seeds in SEEDS:
        for jobs in JOBS:
            with tempfile.TemporaryDirectory() as folder:
                words = ("--set", f"seeds={seeds}", "--jobs", str(jobs), "--runs", folder)
                took = Seconds(_seconds(*words), _seconds(*words))
                one = {"seeds": seeds, "jobs": jobs, **took._asdict()}
                # Steps that ran alone: side by side they share caches and memory, and take longer.
                if jobs == 1:
                    one["simulated"] = simulated(Path(folder), seeds)
            told["measured"].append(one)
            (root / "jobs.json").write_text(json.dumps(told, indent=1))


def tables(measured: Sequence[Mapping[str, Any]]) -> str:
    """What was measured; "" where nothing was."""
    rows, more = [], []
    for m in measured:
        seeds = f"`{m['seeds']}`"
        alone = next(x["empty"] for x in measured if x["seeds"] == m["seeds"] and x["jobs"] == 1)
        goal = GOALS.get((m["seeds"], m["jobs"]))
        told = f"{m['empty']:.0f}", f"<= {goal}" if goal else "-", f"{alone / m['empty']:.2f}"
        rows.append([seeds, str(m["jobs"]), *told, f"{m['again']:.1f}"])
        if "simulated" in m:
            more.append([seeds, *(f"{s:.0f}" for s in m["simulated"].values())])
    if not rows:
        return ""
    columns = ("seeds", "jobs", "s, empty store", "goal", "times one job", "s, nothing to do")
    heads = ("seeds", *(f"simulated s, {n} jobs" for n in SIMULATED))
    return f"{table(columns, rows)}\n{table(heads, more)}"


def simulated(runs: Path, seeds: str) -> dict[int, float]:
    """Seconds of the steps on so many CPUs, by what each recorded, the longest chain first."""
    store = Store(runs / "store")
    steps = planning.plan(suites.load(SUITE, [f"seeds={seeds}"]), methods.registry(), Machine()).steps
    jobs = [
        Job(s.id, store.record(store.make(s))["seconds"], tuple({x.id for x in s.sources.values()}), True)
        for s in steps
    ]
    return {count: schedule(jobs, count).makespan for count in SIMULATED}


def _seconds(*words: str) -> float:
    began = time.perf_counter()
    code = "from harness.cli.app import main; main()"
    subprocess.run([sys.executable, "-c", code, "run", SUITE, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
