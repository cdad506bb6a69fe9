"""docs/scale.md: its tables are what the command gives, and its commands run."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.app import app
from tests.harness.forecast import scale_page
from tests.harness.plan.test_presets import offline

PAGE = scale_page.PAGE.read_text()
__all__ = ["offline"]


def block(name: str) -> list[str]:
    (found,) = re.findall(f"<!-- {name}:begin -->\n(.*)<!-- {name}:end -->", PAGE, re.S)
    return found.splitlines()


def commands() -> list[list[str]]:
    lines = "\n".join(re.findall(r"```bash\n(.*?)```", PAGE, re.S)).splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.mark.usefixtures("offline")
def test_the_estimated_tables_are_what_the_command_gives() -> None:
    """Offline and without data, as the page says."""
    assert block("costs") == list(scale_page.costs())


def test_the_measured_table_stands_in_the_page() -> None:
    rows = {line.split()[0]: line.split() for line in block("measured")}
    assert rows["train"][1] == "19" and rows["train"][4] == "1.00"
    assert rows["all"][1] == "178"


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_of_the_page_runs(words: list[str], tmp_path: Path) -> None:
    """A run as a plan: what it does is proved elsewhere."""
    dry = [] if {"--plan", "--check"} & set(words) else ["--plan"]
    done = CliRunner().invoke(app, [*words[1:], *dry, "--runs", str(tmp_path)])
    assert done.exit_code == 0, done.output
