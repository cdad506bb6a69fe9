"""`bench tune`: every trial, side by side, with the bytes of one after the other."""

import csv
import shutil
from pathlib import Path

import methods
from harness.run.tuning.tune import side_by_side
from tests.bench_command import bench
from tests.paths import TINY

GRID = "tuning.methods={DCKD: {lr: [1e-3, 1e-2]}, ADPA+: {gamma_beta: [0.1, 1.0]}}"


def test_trials_side_by_side_are_those_one_after_the_other(tiny_run: Path, tmp_path: Path) -> None:
    """ADPA+ starts from the better of DCKD's two; the models and the table are the same."""
    tables, made = [], []
    for executor in (("inline",), ("jobs", "--jobs", "2")):
        runs = shutil.copytree(tiny_run, tmp_path / executor[0], symlinks=True)
        words = ("--only", "DCKD", "--only", "ADPA+", "--set", GRID, "--runs", str(runs))
        out = tmp_path / f"{executor[0]}.csv"
        ended = bench("tune", TINY, *words, "--out", str(out), "--executor", *executor)
        assert ended.returncode == 0, ended.stderr
        tables.append(out.read_bytes())
        weights = runs.glob("store/train/*/model.safetensors")
        made.append({path.parent.name: path.read_bytes() for path in weights})
    assert tables[0] == tables[1]
    assert made[0] == made[1] and len(made[0]) > len(list(tiny_run.glob("store/train/*/model.safetensors")))

    rows = list(csv.DictReader(tables[0].decode().splitlines()))
    tried = [(row["method"], row["lr"], row["value"]) for row in rows]
    assert tried == [
        *(("DCKD", lr, "") for lr in ("0.001", "0.01")),
        *(("ADPA+", "", beta) for beta in ("0.1", "1.0")),
    ]
    assert [row["method"] for row in rows if row["best"]] == ["DCKD", "ADPA+"]


def test_a_method_waits_for_what_it_starts_from() -> None:
    groups = side_by_side(["DPO", "ADPA+", "DCKD", "ADPA"], methods.registry())
    assert groups == [["DPO", "DCKD", "ADPA"], ["ADPA+"]]
