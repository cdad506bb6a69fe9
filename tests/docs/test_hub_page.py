"""docs/hub.md: its commands and its code, one after the other."""

import re
import shlex
from pathlib import Path

import pytest

from tests.bench_command import bench
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "hub.md").read_text()


def test_the_pages_commands_and_code_run(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.S):
        for line in block.splitlines():
            done = bench(*shlex.split(line)[1:], cwd=tmp_path, BENCH_RUNS=str(tiny_run))
            assert done.returncode == 0, done.stderr
    assert (tmp_path / "tiny-adpa" / "README.md").is_file()
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(code.replace('split="train"', 'split="train", cache_dir="cache"'), found)
    assert len(found["records"]) > len(found["tables"]) / 10 > 1  # type: ignore[arg-type]
