"""docs/quickstart.md, every command in order: from folders, pairs and a judge's endpoint to a table."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench_command import bench
from tests.benchmarks.openllm.small_tasks import write_rows
from tests.harness.endpoints import judging_server
from tests.harness.models.tiny_models import tiny_folder
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "quickstart.md").read_text()
URL = "http://127.0.0.1:8000/v1"
WORDS = "abcdefghij"


def commands() -> list[list[str]]:
    blocks = "".join(re.findall(r"```bash\n(.*?)```", PAGE, re.S))
    return [shlex.split(line) for line in blocks.splitlines()]


@pytest.fixture
def judge(tmp_path: Path) -> Iterator[judging_server.Running]:
    yield from judging_server.running(tmp_path / "requests.jsonl")


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """What the page says that one needs: two folders and sixty pairs."""
    for seed, who in enumerate(("teacher", "student")):
        tiny_folder(tmp_path / "models" / who, seed=seed)
    (tmp_path / "data").mkdir()
    pairs = [{"prompt": f"{v} {w}", "chosen": "x y", "rejected": "z"} for v in WORDS for w in "klmnop"]
    write_rows(tmp_path / "data" / "pairs.jsonl", pairs)
    return tmp_path


def walked(words: list[str], desk: Path, judge: judging_server.Running) -> str:
    typed = [judge.url if word == URL else word for word in words[1:]]
    done = bench(*typed, cwd=desk, MY_JUDGE_KEY=judging_server.KEY, BENCH_DATA=str(desk / "home"))
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def test_the_suite_is_written_and_can_be_planned(desk: Path, judge: judging_server.Running) -> None:
    init, plan = commands()[1:3]
    said = walked(init, desk, judge)
    assert "train pairs: 60 rows read; none dropped" in said
    assert "An example, as the student reads it:\n<user> a k <end> <assistant> x y <end>" in said
    assert "missing:" not in said
    assert "8 held-out prompts" in said
    assert [request["messages"][-1]["content"] for request in judge.requests()] == ["Say OK."]
    assert "ADPA" in walked(plan, desk, judge)


@pytest.mark.slow
def test_the_page_leads_to_a_table(desk: Path, judge: judging_server.Running) -> None:
    said = [walked(words, desk, judge) for words in commands()]
    table = (desk / "runs" / "mine" / "tables" / "main.md").read_text()
    for row in ("Teacher", "Student", "SFT", "DPO", "DCKD", "ADPA"):
        assert f"| {row} |" in table
    assert "judge my-judge" in table and "(n=8)" in table
    assert "ADPA" in said[4]
    assert len(judge.prompts()) > 8
