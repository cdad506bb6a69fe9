"""What an official tool says of an export, asked in a process and an environment of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from benchmarks.referee import Referee, Ruling
from harness.common.suggest import nearest

SECONDS = 3600


@dataclass(frozen=True)
class Tools:
    """Where official tools are: the interpreter that imports them, and copies of repositories, by tool."""

    python: Path = Path(sys.executable)
    checkouts: Mapping[str, Path] = field(default_factory=dict)


class NotAudited(Exception):
    """Why a tool was not asked."""


def parse_checkouts(given: list[str], known: list[str]) -> dict[str, Path]:
    """TOOL=FOLDER, ... as a mapping; ValueError where a tool is not known or a folder is not there."""
    found = {}
    for text in given:
        tool, _, folder = text.partition("=")
        if tool not in known:
            raise ValueError(f"--checkout {text}: {nearest(tool, known)}")
        if not Path(folder).is_dir():
            raise ValueError(f"--checkout {text}: no folder {folder!r}")
        found[tool] = Path(folder).resolve()
    return found


def ruling(referee: Referee, export: Path, tools: Tools) -> Ruling:
    """All that the tool says of an export; NotAudited where it is not at hand, ValueError where it fails."""
    checkout = tools.checkouts.get(referee.tool)
    if referee.checkout and checkout is None:
        raise NotAudited(
            f"{referee.tool} is in no package: clone {referee.checkout} and name the copy, "
            f"--checkout {referee.tool}=FOLDER"
        )
    with TemporaryDirectory() as folder:
        out = Path(folder) / "ruling.json"
        # -I: nothing of ours can be imported, nor what a user's variables would put before the tool.
        command = [tools.python, "-I", referee.script.resolve(), export.resolve(), out]
        try:
            done = subprocess.run(
                [*map(str, command), *([str(checkout)] if checkout else [])],
                cwd=folder,
                env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ValueError(f"{referee.tool} was not done with {export} in {SECONDS} s") from None
        if done.returncode or not out.is_file():
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise ValueError(f"{referee.tool} could not read {export}: {last}")
        try:
            return Ruling.model_validate_json(out.read_bytes())
        except ValidationError as fault:
            raise ValueError(f"{referee.script}: {fault.errors()[0]['msg']}") from None
