"""The command that other tests run: forked or not, it is the same."""

import subprocess
from importlib.util import find_spec

import pytest

from tests.bench_command import COMMAND, ENV, PRELOADED, bench
from tests.paths import ROOT


@pytest.mark.parametrize("words", [("methods",), ("report", "nothing")], ids=" ".join)
def test_a_forked_command_prints_and_ends_as_one_that_is_started(words: tuple[str, ...]) -> None:
    forked = bench(*words)
    started = subprocess.run([*COMMAND, *words], capture_output=True, text=True, cwd=ROOT, env=ENV)
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        started.returncode,
        started.stdout,
        started.stderr,
    )


@pytest.mark.parametrize("name", PRELOADED)
def test_what_is_imported_before_the_fork_is_there(name: str) -> None:
    assert find_spec(name)
