"""A run's folder: what the harness wrote there goes when it is no longer true, what others wrote stays."""

from pathlib import Path

from tests.bench_command import bench
from tests.paths import TINY


def test_files_of_others_below_the_tables_stay_and_tables_that_are_no_more_go(copied: Path) -> None:
    tables = copied / "tiny" / "tables"
    (tables / "notes").mkdir()
    own = [tables / "notes" / "main.md", tables / "notes.md", tables / "pad.md"]
    for path in own:
        path.write_text("mine")
    assert (tables / "summaries.md").exists()

    named = ("mt-bench", "alpaca-eval", "rule", "openllm")
    fewer = [word for name in named for word in ("--set", f"benchmarks.{name}=null")]
    done = bench("run", TINY, "--runs", str(copied), *fewer, "--name", "tiny")

    assert done.returncode == 0, done.stderr
    assert not list(tables.glob("summaries.*")) and (tables / "main.md").exists()
    assert [path.read_text() for path in own] == ["mine"] * 3
