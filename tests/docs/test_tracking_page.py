"""docs/tracking.md: its command runs, and its suite is valid."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from harness.suite.parts.tracking import TRACKERS
from tests.bench_command import bench
from tests.paths import ROOT, TINY

PAGE = (ROOT / "docs" / "tracking.md").read_text()
(LINES,) = re.findall(r"```bash\n(.*?)```", PAGE, re.S)


@pytest.mark.parametrize("line", LINES.splitlines())
def test_every_command_of_the_page_is_understood(line: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    shutil.copy(TINY, tmp_path / "tiny.yaml")
    done = bench(*shlex.split(line)[1:], "--plan", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_pages_table_has_every_tracker() -> None:
    assert tuple(re.findall(r"^\| `(\w+)` \| `pip install 'prefbench\[\1\]'`", PAGE, re.M)) == TRACKERS
