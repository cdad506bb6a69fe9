"""The commands of the README and of docs/reports.md, and the README's method, run as they stand there."""

import gzip
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.bench_command import bench
from tests.harness.models.tiny_models import tiny_folder
from tests.paths import ROOT, TINY

README, REPORTS = ((ROOT / name).read_text() for name in ("README.md", "docs/reports.md"))


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.S)


def commands() -> list[list[str]]:
    lines = "\n".join([*blocks("bash"), *blocks("bash", REPORTS)]).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith("bench")]


def test_the_method_of_the_readme_puts_its_row_into_the_table(copied: Path, tmp_path: Path) -> None:
    source = blocks("python")[0]
    assert len(source.splitlines()) <= 40
    (tmp_path / "hinge.py").write_text(source)
    words = ("--method-file", str(tmp_path / "hinge.py"), "--only", "Hinge")
    done = bench("run", TINY, "--runs", str(copied), *words)

    assert done.returncode == 0, done.stderr
    assert "| Hinge" in (copied / "tiny" / "tables" / "main.md").read_text()


@pytest.mark.parametrize("page", ["README.md", "docs/parity.md", "docs/pocket-all.md"])
def test_what_make_is_asked_for_in_the_pages_it_can_make(page: str) -> None:
    """Not run here: it installs, or takes minutes."""
    for target in re.findall(r"^\s*make ([\w-]+)", (ROOT / page).read_text(), re.M):
        dry = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert dry.returncode == 0, dry.stderr


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README's commands name."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copy(TINY, folder / "my_suite.yaml")
    for name, source in zip(("hinge", "brief", "brevity"), blocks("python"), strict=True):
        (folder / f"{name}.py").write_text(source)
    for who in ("teacher", "student"):
        tiny_folder(folder / "models" / who)
    (folder / "data" / "openllm").mkdir(parents=True)
    (folder / "data" / "openllm" / "rows.jsonl").write_text("{}")
    (folder / "data" / "alpaca.json").write_text('[{"instruction": "a", "output": "b"}]')
    with gzip.open(folder / "data" / "hh.jsonl.gz", "wt") as f:
        # More than real-text skips: a plan counts the rows that are left.
        f.write('{"prompt": "a", "chosen": "b", "rejected": "c"}\n' * 50)
    return folder


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words)[:60])
def test_every_command_of_the_readme_runs(words: list[str], desk: Path) -> None:
    """`bench run` as a plan, `bench tune` as far as its help: what they do is proved elsewhere, and takes
    minutes.
    """
    dry = {
        "run": ["--plan"],
        "tune": ["--help"],
        "methods": [],
        "eval": [],
        "report": ["--help"],
        "compare": ["--help"],
        "audit": ["--help"],
        "view": ["--help"],
        "show": ["--help"],
        "suites": [],
        "runs": [],
        "doctor": [],
        "init": [],
        "chat": ["--help"],
        "new-method": [],
        "new-benchmark": [],
    }[words[1]]
    dry = [] if "--estimate" in words else dry
    done = bench(*words[1:], *dry, cwd=desk, BENCH_RUNS=str(desk / "runs"))
    assert done.returncode == 0, done.stderr
