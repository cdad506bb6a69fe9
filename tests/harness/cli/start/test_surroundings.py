"""What stands around a command: words, streams, the folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.start import surroundings
from tests.bench_command import COMMAND, ENV


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["methods", "--write", ""], "--write: given ''"),
        (["methods", "--write="], "--write: given ''"),
        (["suites", "keys", ""], "argument 3, after keys: given ''"),
        ([""], "argument 1, after bench: given ''"),
    ],
)
def test_a_word_that_says_nothing_is_refused_by_its_place(words: list[str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        surroundings.check(words)


def test_words_that_set_something_to_nothing_pass() -> None:
    surroundings.check(["run", "--set", "methods.SFT=", "--set=seeds=", "--set", ""])


def test_a_folder_that_is_gone_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(FileNotFoundError, match="the folder that this is run in is gone"):
        surroundings.check([])


@pytest.mark.parametrize(("closed", "code"), [("<&-", 2), ("2>&-", 2), ("<&- >&- 2>&-", 2)])
def test_closed_streams_change_no_exit_code(closed: str, code: int, tmp_path: Path) -> None:
    line = f'"$0" -c "$1" init {closed}'
    done = subprocess.run(
        ("bash", "-c", line, sys.executable, COMMAND[2]), cwd=tmp_path, env=ENV, check=False
    )
    assert done.returncode == code


def test_a_terminal_is_at_most_as_wide_as_any_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, left in (("80", "80"), ("1000", "1000"), ("1001", "1000"), ("9" * 5000, "1000"), ("x", "x")):
        monkeypatch.setenv("COLUMNS", given)
        surroundings.bound_width()
        assert os.environ["COLUMNS"] == left
    monkeypatch.delenv("COLUMNS")
    surroundings.bound_width()
    assert "COLUMNS" not in os.environ
