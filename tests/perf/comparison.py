"""The whole pocket comparison from an empty store, against its methods each alone from an empty store; then
both again where the teachers' checkpoints are there already.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.executors import scheduler
from harness.executors.this_machine.inline import Inline
from harness.plan import plan as planning
from harness.run import pipeline
from harness.run.progress import PlainProgress
from harness.store.step import Step
from harness.store.store import Store
from tests import suites

SUITE = "pocket"
TEACHER = "Teacher"  # the row whose steps make the teachers' checkpoints


def _seconds(runs: Path, *options: str) -> float:
    began = time.perf_counter()
    code = "from harness.cli.app import main; main()"
    words = [sys.executable, "-c", code, "run", SUITE, "--runs", str(runs), *options]
    env = {**os.environ, "BENCH_EXECUTOR": "inline"}
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env=env)
    return time.perf_counter() - began


def rows() -> list[str]:
    """The methods of the suite, in its order."""
    return list(suites.load(SUITE, []).methods)


def make_teachers(runs: Path) -> None:
    """A store that holds the teachers' checkpoints and what they stand on."""
    store = Store(runs / "store")
    plan = pipeline.make_plan(suites.load(SUITE, []), [], store, pipeline.machine(runs), None)
    sources = [c.source for c in plan.cells if c.method == TEACHER and isinstance(c.source, Step)]
    steps = planning.ordered(sources)
    scheduler.run(steps, store, PlainProgress(len(steps)), Inline(store))


def run(root: Path, machine: dict[str, Any]) -> None:
    """Write comparison.json after every run, so that what was measured is not lost with the next."""
    told: dict[str, Any] = {"machine": machine, "suite": SUITE, "empty": {}, "with teachers": {}}
    together = [("empty", "together"), ("with teachers", "together")]
    alone = [(start, name) for start in ("with teachers", "empty") for name in rows()]
    with tempfile.TemporaryDirectory() as folder:
        teachers, runs = Path(folder) / "teachers", Path(folder) / "runs"
        make_teachers(teachers)
        for start, name in (*together, *alone):
            if start == "with teachers":
                shutil.copytree(teachers, runs)
            told[start][name] = _seconds(runs, *(() if name == "together" else ("--only", name)))
            (root / "comparison.json").write_text(json.dumps(told, indent=1))
            shutil.rmtree(runs)
