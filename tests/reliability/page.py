"""docs/reliability.md from what the tests of reliability found: `python -m tests.reliability.page`.

Each part keeps its rows in runs/reliability/*.json (records.py); `make fuzz` prints its own table, whose text
is read from runs/reliability/fuzz.txt.
"""

import json
from pathlib import Path
from typing import Any

from tests.paths import ROOT
from tests.reliability.records import FOLDER

PAGE = ROOT / "docs" / "reliability.md"
PARTS = {  # by the names of their records: title and command
    "kills": ("Killed inside random steps", "python -m tests.kill_test"),
    "moments": ("Killed inside every kind of step", "python -m tests.reliability.moments"),
    "full_disk": ("Full disks", "python -m tests.reliability.full_disk"),
    "soak": ("Runs one after the other", "make soak"),
    "load": ("Many judgments", "python -m tests.reliability.load"),
}
NOTES = {
    "soak": """
Objects are those that Python's collector knows, as whatever we would keep is. Of memory, what allocators keep
free is given back first; libraries hold what rises a little: safetensors 0.8.0 two integers of each tensor
that it reads, for which pages of Python's stay, vl-convert's engine what it compiled.
"""
}
FUZZ = "fuzz.txt"
HEAD = """# Reliability

What was done to runs, what happened then, and what was lost. The tests write this page from their own
output (`python -m tests.reliability.page`); none of its figures is typed by hand. What becomes of a training
that is lost, and what is refused, is in [training.md](training.md) and [evaluation.md](evaluation.md), how a
run goes on in [resuming.md](resuming.md).
"""
BAD_INPUTS = """## Bad inputs

`make fuzz` gives each case of `tests/fuzz/corpus/` as a command of its own: it must end in one line of at
most 300 characters and exit code 2, before any work. "failed before" counts those that did not when they were
added.
"""


def page(folder: Path) -> str:
    """The page of a folder of records."""
    parts, missing = [HEAD], []
    for name, (title, command) in PARTS.items():
        if (path := folder / f"{name}.json").exists():
            parts.append(_part(title, json.loads(path.read_text()), NOTES.get(name, "")))
        else:
            missing.append(f"`{command}`")
    if (path := folder / FUZZ).exists():
        parts.append(f"{BAD_INPUTS}\n{_fuzz(path.read_text())}")
    else:
        missing.append("`make fuzz`")
    if missing:
        parts.append(f"Not run for this page: {', '.join(missing)}.\n")
    return "\n".join(parts)


def _part(title: str, told: dict[str, Any], note: str) -> str:
    """A part as a table, with where its figures are from."""
    rows = [[row[name] for name in ("fault", "how", "happened", "lost")] for row in told["rows"]]
    rows = [[*row, f"`{told['command']}`"] for row in rows]
    names = ["fault", "how injected", "what happened", "what was lost", "command"]
    return f"## {title}\n\n{_source(told)}\n{note}\n{_table(names, rows)}"


def _source(told: dict[str, Any]) -> str:
    faults = f"; {len(told['faults'])} faults" if told["faults"] else ""
    return f"{told['seconds']:,} s on {told['on']}, at commit {told['of']}{faults}."


def _fuzz(text: str) -> str:
    """The table that `make fuzz` prints, and its last line."""
    lines = [line for line in text.splitlines() if line.count(" | ") == 4]
    last = [line for line in text.splitlines() if line.startswith("all: ")][-1]
    names, *rows = [line.split(" | ") for line in lines]
    return f"{_table(names, rows)}\n{last}\n"


def _table(names: list[str], rows: list[list[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in lines)


if __name__ == "__main__":
    PAGE.write_text(page(FOLDER))
