"""What a part of the tests of reliability found, as a JSON file that the page is made from.

runs/reliability/moments.json
    {"of": "3f9c1e2", "on": "2 CPUs, ...", "command": "python -m tests.reliability.moments", "seconds": 312,
     "rows": [{"fault": ..., "how": ..., "happened": ..., "lost": ...}], "faults": []}
"""

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.paths import ROOT

FOLDER = ROOT / "runs" / "reliability"


@dataclass(frozen=True)
class Row:
    """A fault, how it was injected, what happened then, and what was lost."""

    fault: str
    how: str
    happened: str
    lost: str


@dataclass(frozen=True)
class Found:
    """What a part found, by which command; `faults` are what must not have happened."""

    command: str
    seconds: int
    rows: list[Row]
    faults: list[str]


def option(parser: argparse.ArgumentParser) -> None:
    """Where a part keeps what it found."""
    told = "the folder that gets what was found; empty: it is not kept"
    parser.add_argument("--record", default=str(FOLDER), help=told)


def command(usual: str, executors: list[str], all_of_them: Iterable[str]) -> str:
    """The command of a part, with the executors where it was not run on all."""
    return usual if executors == [*all_of_them] else f"{usual} --executors {' '.join(executors)}"


def write(folder: str, part: str, told: Found) -> None:
    """Keep what a part found."""
    if not folder:
        return
    where = {"of": _commit(), "on": f"{os.cpu_count()} CPUs, Python {platform.python_version()}"}
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / f"{part}.json").write_text(json.dumps(where | asdict(told), indent=1) + "\n")


def _commit() -> str:
    told = ("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*")
    return subprocess.run(told, capture_output=True, text=True).stdout.strip() or "none"
