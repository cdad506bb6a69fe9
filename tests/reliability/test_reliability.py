"""Samples of `make kill-test` and `make soak`, and the page that is made of what they find."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.reliability import page, records
from tests.reliability.hook.sitecustomize import SPEC
from tests.reliability.hook.sitecustomize import __file__ as hook
from tests.reliability.soak import Sample, slope, trends

STEP = "0123456789ab"
WRITES = """
from pathlib import Path
folder = Path("partial/0123456789ab.host.1")
folder.mkdir(parents=True)
for name in "abc":
    (folder / name).write_text(name)
    (folder / name).read_text()
"""
FUZZ = """something: traceback
border | cases | faults | failed before | fail now
yaml | 9 | 4 | 3 | 0
all: 9 cases over 4 pairs
"""


def module(name: str, *words: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", f"tests.reliability.{name}", *words]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=900)


def test_a_process_is_killed_before_its_chosen_write_and_once(tmp_path: Path) -> None:
    """Its folder is made, whose parent lacked, then "a" and "b" written; the next process is left alone."""
    spec = {"at": {STEP: 2}, "killed": str(tmp_path), "log": None}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    env = {**os.environ, "PYTHONPATH": str(Path(hook).parent), SPEC: str(tmp_path / "spec.json")}
    command = [sys.executable, "-c", WRITES]
    first = subprocess.run(command, cwd=tmp_path, env=env)
    assert first.returncode == -signal.SIGKILL
    assert [path.name for path in sorted(tmp_path.glob("partial/*/*"))] == ["a"]
    again = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert "FileExistsError" in again.stderr, "its own fault, of the folder"


def test_what_rises_is_told_and_what_wavers_is_not() -> None:
    assert slope([1, 3, 5, 7]) == 2 and slope([4.0]) == 0
    wavers = [Sample(600 + i % 3, 200, 9000, 40 + i % 2, 9, 3, 0) for i in range(20)]
    assert [t.name for t in trends(wavers) if not t.flat] == []
    leaks = [Sample(600 + 2.5 * i, 200, 9000, 40 + i, 9, 3, 0) for i in range(20)]
    rise = {t.name: t.slope for t in trends(leaks) if not t.flat}  # two runs a sample
    assert rise == pytest.approx({"memory of the process, MiB": 1.25, "open handles": 0.5})


def test_the_page_is_made_of_what_the_parts_found(tmp_path: Path) -> None:
    row = records.Row("disk full", "a | tmpfs", "one line", "0 steps")
    records.write(str(tmp_path), "full_disk", records.Found("make x", 1234, [row], []))
    (tmp_path / "fuzz.txt").write_text(FUZZ)
    text = page.page(tmp_path)
    assert "\n1,234 s on " in text and ", at commit " in text
    assert "| disk full | a \\| tmpfs | one line | 0 steps | `make x` |" in text
    assert "| yaml | 9 | 4 | 3 | 0 |" in text and "\nall: 9 cases over 4 pairs\n" in text
    assert "Not run for this page: `python -m tests.kill_test`, " in text and "`make fuzz`" not in text[-200:]


@pytest.mark.slow
def test_a_judges_check_survives_a_kill_at_its_first_write() -> None:
    done = module("moments", "--executors", "inline", "--moments", "first", "--only", "check", "--record", "")
    assert "kills inside 2 kinds on inline: 0 lost" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_run_survives_a_disk_that_is_full_again_and_again() -> None:
    done = module("full_disk", "--executors", "inline", "--step", "768", "--record", "")
    assert "full disks on inline: 0 lost" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_a_minute_of_runs_leaves_no_handle_thread_or_file_behind() -> None:
    """Of memory and objects so few runs say little: what libraries load and keep comes first."""
    lines = module("soak", "--minutes", "1", "--record", "").stdout.splitlines()
    counted = [line for line in lines if re.match("(open|threads|processes|temporary).* a run ", line)]
    assert len(counted) == 4 and not [line for line in counted if line.endswith("RISES")], lines
