"""`bench init` refuses what no run could use, a line for each fault, and leaves nothing half-written."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.bench_command import COMMAND, ENV, bench
from tests.benchmarks.openllm.small_tasks import write_rows
from tests.harness.models.tiny_models import tiny_folder


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    tiny_folder(folder / "student")
    write_rows(folder / "pairs.jsonl", [{"prompt": w, "chosen": "x", "rejected": "y"} for w in "abcd"])
    write_rows(folder / "wrong.jsonl", [{"question": "a", "chosen": "x"}])
    return folder


def test_each_fault_is_a_line_and_nothing_is_written(desk: Path) -> None:
    names = ("--teacher", "./teachr", "--student", "student", "--preference", "wrong.jsonl")
    done = bench("init", *names, "--methods", "DPO,ADAP", "--bench", "mt-bench", cwd=desk)
    assert done.returncode == 2 and not done.stdout
    lines = done.stderr.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["--teacher", "--preference", "--methods", "--bench"]
    assert "no folder ./teachr" in lines[0] and "wrong.jsonl has columns question, chosen" in lines[1]
    assert "did you mean 'ADPA'?" in lines[2] and "needs --judge" in lines[3]
    assert not list(desk.glob("*.yaml"))


def test_what_is_missing_is_named_where_nobody_can_be_asked(desk: Path) -> None:
    done = bench("init", "--student", "student", cwd=desk)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--teacher, --preference missing" in done.stderr


def test_no_file_is_taken_the_place_of(desk: Path) -> None:
    (desk / "there.yaml").write_text("mine")
    done = bench("init", "--out", "there.yaml", cwd=desk)
    assert done.returncode == 2 and "there.yaml is there already" in done.stderr
    assert (desk / "there.yaml").read_text() == "mine"
    (desk / "there.yaml").unlink()


def test_what_is_not_here_waits_in_a_comment(desk: Path) -> None:
    names = ("--teacher", "student", "--student", "student", "--preference", "pairs.jsonl")
    judge = ("--judge", "gpt-4o", "--bench", "mt-bench", "--out", "waits.yaml")
    done = bench("init", *names, *judge, cwd=desk, BENCH_DATA=str(desk), OPENAI_API_KEY="")
    assert done.returncode == 0, done.stderr
    missing = [line for line in done.stdout.splitlines() if line.startswith("missing: ")]
    assert "OPENAI_API_KEY" in missing[0] and "bench data fetch mt-bench" in missing[1]
    written = (desk / "waits.yaml").read_text()
    assert '\n  # mt-bench: {"judge": "gpt-4o"' in written and '"limit": 2' in written


@pytest.mark.slow
def test_at_a_terminal_it_asks(desk: Path) -> None:
    ours, theirs = pty.openpty()
    command = [*COMMAND, "init", "--out", "asked.yaml"]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, cwd=desk, env=ENV) as running:
        os.write(ours, b"student\nstudent\npairs.jsonl\n\n\n\n")
        said, _ = running.communicate(timeout=300)
    assert running.returncode == 0 and b"The teacher, a folder or hub id" in said
    assert 'base: "student"' in (desk / "asked.yaml").read_text()
