"""A finished run is shown again without work where all is as it was, and made anew where anything is not."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.run.results import SCREEN, STAMP, code_hash
from reports import terminal
from tests.bench_command import COMMAND, ENV, bench
from tests.paths import TINY

PRICES = "some-model: {input: 1.0, output: 2.0}\n"


def written(runs: Path) -> dict[str, tuple[int, int]]:
    """Every file of a run, by its inode and time: what is written again is another file."""
    files = [path for path in (runs / "tiny").rglob("*") if path.is_file()]
    return {str(p.relative_to(runs)): (p.stat().st_ino, p.stat().st_mtime_ns) for p in files}


def test_a_rerun_without_work_prints_the_same_and_writes_nothing(copied: Path) -> None:
    first = bench("run", TINY, "--runs", str(copied), "--set", "methods.DPO.beta=0.1")
    assert first.returncode == 0, first.stderr
    before = written(copied)

    again = bench("run", TINY, "--runs", str(copied), "--set", "methods.DPO.beta=0.1")

    assert again.stdout == first.stdout and "Results: tiny" in again.stdout
    assert written(copied) == before
    screen = terminal.loaded((copied / "tiny" / SCREEN).read_text())
    assert terminal.text(screen, [copied / "tiny"]) in again.stdout
    assert "\x1b[1m" in terminal.text(screen, [copied / "tiny"], styled=True)


def edit_a_table_and_delete_an_export(runs: Path) -> None:
    with (runs / "tiny" / "tables" / "main.md").open("a") as table:
        table.write("a number of mine\n")
    next((runs / "tiny" / "exports" / "mt-bench").rglob("*.jsonl")).unlink()


def make_an_artifact_again(runs: Path) -> None:
    os.utime(next((runs / "store" / "judgments").glob("*/RECORD.json")))


def price_a_model(runs: Path) -> None:
    (runs / "prices.yaml").write_text(PRICES)


def cut_short(runs: Path) -> None:
    """As a kill leaves a folder, between the first file and the last."""
    stamp = runs / "tiny" / STAMP
    stamp.write_text(json.dumps({"of": "", "files": {}, "tables": json.loads(stamp.read_text())["tables"]}))


@pytest.mark.parametrize(
    "change", [edit_a_table_and_delete_an_export, make_an_artifact_again, price_a_model, cut_short]
)
def test_a_change_of_anything_makes_all_anew(copied: Path, change: Callable[[Path], None]) -> None:
    before = written(copied)
    whole = {path: (copied / path).read_bytes() for path in before if not path.endswith(STAMP)}
    change(copied)

    prices = ["--prices", str(copied / "prices.yaml")] if (copied / "prices.yaml").exists() else []
    done = bench("run", TINY, "--runs", str(copied), *prices)

    assert done.returncode == 0, done.stderr
    assert written(copied)[f"tiny/{STAMP}"] != before[f"tiny/{STAMP}"]
    assert {path: (copied / path).read_bytes() for path in whole} == whole


def test_code_is_known_by_its_bytes_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "of_a_stranger" / "deep"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("")
    (package / "table.py").write_text("TITLE = 1\n")
    (tmp_path / "alone.py").write_text("TITLE = 1\n")
    hashes = [code_hash(["of_a_stranger", "alone"])]
    for path in (package / "table.py", tmp_path / "alone.py"):
        path.write_text("TITLE = 2\n")
        hashes.append(code_hash(["of_a_stranger", "alone"]))
    assert len(set(hashes)) == 3


def test_a_rerun_without_work_imports_nothing_that_draws_or_computes(copied: Path) -> None:
    python, flag, code = COMMAND
    told = f"import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); {code}"
    command = [python, flag, told, "run", TINY, "--runs", str(copied)]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=300, check=True)
    assert "Results: tiny" in done.stdout
    loaded = {module.partition(".")[0] for module in done.stderr.split()}
    assert "numpy" in loaded
    assert not loaded & {"torch", "transformers", "datasets", "accelerate"}
    assert not loaded & {"pandas", "scipy", "jinja2", "vl_convert", "ray"}
