"""The whole pocket comparison from an empty store, against its methods each alone from an empty store; then
both again where the teachers' checkpoints are there already.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SUITE = "pocket"
TEACHER = "Teacher"  # the row whose steps make the teachers' checkpoints


def _seconds(runs: Path, *options: str) -> float:
    began = time.perf_counter()
    code = "from harness.cli import main; main()"
    command = [sys.executable, "-c", code, "run", SUITE, "--runs", str(runs), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def rows() -> list[str]:
    """The methods of the suite, in its order."""
    from harness import suite

    return list(suite.load(SUITE, []).methods)


def run(root: Path, machine: dict[str, Any]) -> None:
    """Write comparison.json after every run, so that what was measured is not lost with the next."""
    told: dict[str, Any] = {"machine": machine, "suite": SUITE, "empty": {}, "with teachers": {}}
    with tempfile.TemporaryDirectory() as folder:
        teachers = Path(folder) / "teachers"
        told["teachers"] = _seconds(teachers, "--only", TEACHER)
        for start in ("empty", "with teachers"):
            for name in ("together", *rows()):
                runs = Path(folder) / "runs"
                if start == "with teachers":
                    shutil.copytree(teachers, runs)
                options = () if name == "together" else ("--only", name)
                told[start][name] = _seconds(runs, *options)
                if (start, name) == ("empty", "together"):  # its tables may be looked at
                    shutil.rmtree(root / "together", ignore_errors=True)
                    shutil.copytree(runs, root / "together")
                shutil.rmtree(runs)
                (root / "comparison.json").write_text(json.dumps(told, indent=1))
