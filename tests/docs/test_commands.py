"""The commands of the pages are understood; nothing that takes minutes is done.

The pages that are walks have tests of their own, which do what they say.
"""

import gzip
import re
import subprocess
from pathlib import Path

import pytest

from harness.cli.app import app
from tests.bench_command import bench
from tests.docs.pages import blocks, commands, furnish
from tests.paths import ROOT, TINY

PAGES = ("README.md", "docs/commands.md", "docs/reports.md", "docs/real-text.md")
FOR_OTHER_MACHINES = ("docs/scale.md", "docs/executors.md", "docs/resuming.md")  # clusters, GPUs
NOTHING: list[str] = []
HELP = ["--help"]
# `bench run` as a plan, what reads a finished run as far as its help.
DRY = {
    **dict.fromkeys(
        ["tune", "report", "compare", "audit", "view", "show", "chat", "why", "export", "push"], HELP
    ),
    **dict.fromkeys(["methods", "suites", "runs", "doctor", "init", "new-method", "new-benchmark"], NOTHING),
    **dict.fromkeys(["eval", "store", "data"], NOTHING),
    "run": ["--plan"],
}


def typed() -> list[list[str]]:
    """Every command `bench` of the pages, once."""
    found = [words for page in PAGES for words in commands(page) if words[0].endswith("bench")]
    return [list(words) for words in dict.fromkeys(tuple(words[1:]) for words in found)]


def test_every_command_has_a_line_on_its_page() -> None:
    """A new command of `bench` is shown on docs/commands.md."""
    single = [c.name or c.callback.__name__.replace("_", "-") for c in app.registered_commands if c.callback]
    groups = [group.name for group in app.registered_groups]
    shown = {words[1] for words in commands("docs/commands.md")}
    assert {*single, *groups} == shown


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the commands name."""
    folder = tmp_path_factory.mktemp("desk")
    furnish(folder)
    (folder / "data" / "openllm" / "rows.jsonl").write_text("{}")
    with gzip.open(folder / "data" / "hh.jsonl.gz", "wt") as f:
        # More than real-text skips: a plan counts the rows that are left.
        f.write('{"prompt": "a", "chosen": "b", "rejected": "c"}\n' * 50)
    return folder


@pytest.mark.parametrize("words", typed(), ids=lambda words: " ".join(words)[:60])
def test_every_command_of_the_pages_is_understood(words: list[str], desk: Path) -> None:
    asked = [] if {"--estimate", "--plan", "--help"} & set(words) else DRY[words[0]]
    done = bench(*words, *asked, cwd=desk, BENCH_RUNS=str(desk / "runs"))
    assert done.returncode == 0, done.stderr


def elsewhere() -> list[list[str]]:
    """The commands of pages on other machines, as far as the shell takes them for words of bench."""
    found = [words for page in FOR_OTHER_MACHINES for words in commands(page) if words[0] == "bench"]
    typed = [words[1 : words.index("&")] if "&" in words else words[1:] for words in found]
    return [list(words) for words in dict.fromkeys(map(tuple, typed))]


@pytest.mark.parametrize("words", elsewhere(), ids=lambda words: " ".join(words)[:60])
def test_every_command_for_another_machine_has_options_that_there_are(words: list[str]) -> None:
    done = bench(*words, *HELP)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", ["README.md", "docs/parity.md", "docs/pocket-all.md", "CONTRIBUTING.md"])
def test_what_make_is_asked_for_in_the_pages_it_can_make(page: str) -> None:
    """Not run here: it installs, or takes minutes."""
    for target in re.findall(r"^\s*make ([\w-]+)", (ROOT / page).read_text(), re.M):
        dry = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert dry.returncode == 0, dry.stderr


def test_the_method_of_its_page_puts_its_row_into_the_table(copied: Path, tmp_path: Path) -> None:
    (source,) = blocks("docs/own-method.md", "python")
    assert len(source.splitlines()) <= 40
    (tmp_path / "hinge.py").write_text(source)
    words = ("--method-file", str(tmp_path / "hinge.py"), "--only", "Hinge")
    done = bench("run", TINY, "--runs", str(copied), *words)

    assert done.returncode == 0, done.stderr
    assert "| Hinge" in (copied / "tiny" / "tables" / "main.md").read_text()
