"""A sample of `make kill-test`: nothing is lost."""

import os
import subprocess
import sys

import pytest

from tests.paths import ROOT


@pytest.mark.parametrize(
    "kills",
    [
        ("--inline", "2", "--jobs", "2", "--ray", "0"),
        pytest.param(("--inline", "0", "--jobs", "0", "--ray", "1"), marks=pytest.mark.slow),
    ],
    ids=["here", "ray"],
)
def test_a_suite_survives_a_few_random_kills(kills: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "tests.kill_test", *kills, "--seed", "1", "--record", ""]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=900)
    count = sum(map(int, kills[1::2]))
    assert f"survived {count} / lost 0" in done.stdout, done.stdout + done.stderr
