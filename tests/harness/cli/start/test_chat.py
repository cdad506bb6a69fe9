"""`bench chat`: a pipe's lines are turns, and each model has a conversation of its own."""

import subprocess
from pathlib import Path

from tests.bench_command import COMMAND, ENV, bench


def talked(runs: Path, said: str, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [*COMMAND, "chat", "tiny", *words, "--runs", str(runs), "--max-tokens", "8"]
    return subprocess.run(command, input=said, env=ENV, capture_output=True, text=True, timeout=300)


def test_two_rows_answer_each_line_and_begin_anew(tiny_run: Path) -> None:
    asked = "is a cat an animal ?"
    done = talked(tiny_run, f"{asked}\n\n{asked}\n/new\n{asked}", "ADPA", "DPO")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == 3 * ["ADPA", "DPO"]
    assert lines[4:] == lines[:2]  # greedy, so the first turn again has the first answer again


def test_a_row_that_is_not_there_is_one_line(tiny_run: Path) -> None:
    for words, told in ((("DOP",), "did you mean 'DPO'?"), (("DPO", "SFT", "ADPA"), "one or two methods")):
        done = bench("chat", "tiny", *words, "--runs", str(tiny_run))
        assert done.returncode == 2 and told in done.stderr and done.stderr.count("\n") == 1
