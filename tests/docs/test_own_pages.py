"""The pages on what is one's own: every command as it stands there, in order, to the table that they end in.

Their `my_suite.yaml` extends the tiny suite in place of the pocket one; the judge is a server here.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench_command import ENV, bench
from tests.docs.pages import commands, furnish, page
from tests.harness.endpoints import judging_server

URL = "http://127.0.0.1:8000/v1"
TABLES = {  # page: the run, and the rows of its table
    "own-models": ("models", ("Teacher", "Student", "SFT", "DPO")),
    "own-data": ("own", ("Teacher", "Student", "SFT", "DPO")),
    "own-judge": ("brief", ("Teacher", "Student", "SFT", "DPO")),
    "own-method": ("mine", ("Teacher", "Student", "DPO", "my-loss")),
    "own-benchmark": ("words", ("Teacher", "Student", "SFT", "DPO")),
}


@pytest.fixture
def judge(tmp_path: Path) -> Iterator[judging_server.Running]:
    yield from judging_server.running(tmp_path / "requests.jsonl")


@pytest.fixture
def desk(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder with what the pages name; those that go on from the tiny suite find its steps made."""
    folder = tmp_path / "desk"
    folder.mkdir()
    furnish(folder)
    if "my_suite.yaml" in page(f"docs/{request.getfixturevalue('name')}.md"):
        made = request.getfixturevalue("tiny_run") / "store"
        shutil.copytree(made, folder / "runs" / "store", symlinks=True)
    return folder


def walked(words: list[str], desk: Path, judge: judging_server.Running) -> str:
    if words[0] == "python":
        command = [sys.executable, *words[1:], "-p", "no:cacheprovider"]
        done = subprocess.run(command, cwd=desk, env=ENV, capture_output=True, text=True)
    else:
        typed = [judge.url if word == URL else word for word in words[1:]]
        data = str(desk / "home")
        done = bench(*typed, cwd=desk, MY_JUDGE_KEY=judging_server.KEY, BENCH_DATA=data, COLUMNS="120")
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def ends(name: str) -> list[str]:
    """The rows of the table that a page ends in."""
    table = page(f"docs/{name}.md").rstrip().rpartition("\n\n| Method")[2]
    return re.findall(r"^\| ([^|]+?) \|", table.split("\n\n")[0], re.M)[1:]


@pytest.mark.parametrize("name", TABLES)
def test_the_page_leads_to_a_plan(name: str, desk: Path, judge: judging_server.Running) -> None:
    for words in commands(f"docs/{name}.md"):
        said = walked(words, desk, judge)
        if "--plan" in words:
            break
    assert "DPO" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_the_page_leads_to_its_table(name: str, desk: Path, judge: judging_server.Running) -> None:
    said = [walked(words, desk, judge) for words in commands(f"docs/{name}.md")]
    run, rows = TABLES[name]
    table = (desk / "runs" / run / "tables" / "main.md").read_text()
    for row in rows:
        assert f"| {row} |" in table and row in said[-1]
    assert ends(name) == list(rows)
    if "my_suite.yaml" not in page(f"docs/{name}.md"):  # of the page's own models, and of no larger world
        assert re.findall(r"^\| Method .*", page(f"docs/{name}.md"), re.M)[-1] in table
