"""The README as a newcomer follows it: from a clone, line by line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import blocks, page
from tests.paths import ROOT

MINUTES = 60


def lines() -> list[str]:
    return "".join(blocks("README.md", "bash")).splitlines()


def cloned(folder: Path) -> Path:
    """This commit, with the environment of the tests in place of one that `make install` would fill."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git: nothing to clone")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (folder / ".venv" / "installed").touch()
    return folder


def run(line: str, clone: Path) -> "subprocess.CompletedProcess[str]":
    """A line as it is typed; the path says that the clone is meant, and not what is installed."""
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("BENCH_", "PYTEST_"))},
        "PYTHONPATH": str(clone),
        "HF_HUB_OFFLINE": "1",
        # Whoever runs this runs the other tests too, and not one inside the other.
        "PYTEST_ADDOPTS": "tests/docs/test_design_page.py",
    }
    command = ["bash", "-euc", line]
    return subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True, timeout=MINUTES * 60)


def test_the_readmes_few_commands_are_those_that_the_clone_is_asked_for() -> None:
    assert [line.split("#")[0].split() for line in lines()][:2] == [["make", "run"], ["make", "test"]]
    assert len(lines()) <= 8


@pytest.mark.slow
def test_the_readmes_commands_work_one_after_the_other_on_a_fresh_clone(tmp_path: Path) -> None:
    """Each line as it stands, `make run` with the whole comparison: some six minutes on two quiet cores.

    Two things are not as on a new machine: nothing is installed, and of `make test` one file is run.
    """
    clone = cloned(tmp_path / "clone")
    where = run(".venv/bin/python -c 'import harness; print(harness.__file__)'", clone)
    assert where.stdout.startswith(str(clone)), where
    for line in lines():
        done = run(line, clone)
        assert done.returncode == 0, f"{line}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    table = (clone / "runs" / "pocket" / "tables" / "main.md").read_text()
    told = page("README.md").partition("<!-- table:begin -->")[2].partition("<!-- table:end -->")[0]
    rows = [row.split("|")[1] for row in told.splitlines() if row.startswith("| ")]
    assert rows == [row.split("|")[1] for row in table.splitlines() if row.startswith("| ")]
    assert (clone / ".site" / "index.html").is_file()
