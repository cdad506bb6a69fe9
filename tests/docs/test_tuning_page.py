"""docs/tuning.md: its suite and every command in order, as they stand there."""

import re
import shlex
from pathlib import Path

import pytest

from harness.common.input import yaml_text
from harness.suite.tuning.section import Score
from harness.suite.validation import validated
from tests.bench_command import bench
from tests.harness.run.tuning import desk
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "tuning.md").read_text()
SUITE, SCORES = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
COMMANDS = [
    shlex.split(line, comments=True)[1:]
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.S)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A desk with the page's suite over one's own."""
    without = {key: value for key, value in desk.SUITE.items() if key != "tuning"}
    folder = desk.make(tmp_path_factory.mktemp("desk"), without | {"methods": {"DPO": {}, "DCKD": {}}})
    (folder / "mine.yaml").rename(folder / "my_suite.yaml")
    (folder / "tuned.yaml").write_text(SUITE)
    return folder


def test_its_suite_is_planned_with_as_many_trials_of_each_method(own: Path) -> None:
    done = bench(*COMMANDS[0], cwd=own)
    assert done.returncode == 0, done.stderr
    assert "DPO: 3 trials\nDCKD: 3 trials\n" in done.stdout


def test_its_scores_are_understood() -> None:
    for line in SCORES.splitlines():
        validated(Score, yaml_text.parse(line, "page")["score"], "page")


@pytest.mark.slow
def test_the_page_leads_from_folders_to_a_table(own: Path) -> None:
    for words in COMMANDS:
        done = bench(*words, cwd=own, BENCH_EXECUTOR="jobs")
        assert done.returncode == 0, f"{words}: {done.stderr}"
    assert "| DCKD |" in (own / "runs/mine-tuned/tables/cost.md").read_text()
    assert (own / "runs/mine-tuned/tuning.csv").is_file()
