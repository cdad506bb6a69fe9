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
from tests.perf import sharing
from tests.perf.markdown import table

SUITE = "pocket"
RUNS = (("[0]", 1), ("[0]", 2), ("[0,1,2]", 2))  # seeds and jobs
SIMULATED = (1, 2, 4, 8)
GOALS = {("[0]", 2): 220, ("[0,1,2]", 2): 450}  # seconds, by seeds and jobs


class Seconds(NamedTuple):
    """Of the command from an empty store, and of the same command once more."""

    empty: float
    again: float


def run(root: Path, machine: dict[str, Any]) -> None:
    """Write jobs.json after every run."""
    told: dict[str, Any] = {"machine": machine, "suite": SUITE, "measured": []}
    for seeds, jobs in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            words = ("--set", f"seeds={seeds}", "--jobs", str(jobs), "--runs", folder)
            took = Seconds(_seconds(*words), _seconds(*words))
            one = {"seeds": seeds, "jobs": jobs, **recorded(Path(folder), seeds)}
        told["measured"].append(one | took._asdict())
        (root / "jobs.json").write_text(json.dumps(told, indent=1))


def tables(measured: Sequence[Mapping[str, Any]]) -> str:
    """What was measured; "" where nothing was."""
    rows = []
    for m in measured:
        goal = GOALS.get((m["seeds"], m["jobs"]))
        told = f"`{m['seeds']}`", str(m["jobs"]), f"{m['empty']:.0f}", f"<= {goal}" if goal else "-"
        rows.append([*told, f"{m['again']:.1f}", *(f"{s:.0f}" for s in m["simulated"].values())])
    simulated = (f"simulated, {n}" for n in SIMULATED)
    columns = ("seeds", "jobs", "s, empty store", "goal", "s, nothing to do", *simulated)
    return table(columns, rows) if rows else ""


def recorded(runs: Path, seeds: str) -> dict[str, Any]:
    """Of the seconds that each step recorded: all on so many CPUs, the longest chain first, and what methods
    save by standing in one run.
    """
    store, suite = Store(runs / "store"), suites.load(SUITE, [f"seeds={seeds}"])
    steps = planning.plan(suite, methods.registry(), Machine()).steps
    seconds = {s.id: store.record(store.make(s))["seconds"] for s in steps}
    jobs = [Job(s.id, seconds[s.id], tuple({x.id for x in s.sources.values()}), True) for s in steps]
    simulated = {count: schedule(jobs, count).makespan for count in SIMULATED}
    return {"simulated": simulated, "shared": sharing.measured(suite, seconds)}


def _seconds(*words: str) -> float:
    began = time.perf_counter()
    code = "from harness.cli.app import main; main()"
    subprocess.run([sys.executable, "-c", code, "run", SUITE, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
