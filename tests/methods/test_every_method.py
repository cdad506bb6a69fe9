"""Every entry of the registry, end to end on the shrunken world: data, signals, training, held-out loss."""

import json
import os
from math import isfinite
from typing import Any

import pytest

import methods
from tests.bench_command import bench
from tests.paths import ROOT

# Drawn once a step, as the entries have it, these would take longest.
FASTER = {"batches": 4}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Method -> its line of training.jsonl."""
    folder = tmp_path_factory.mktemp("every")
    entries = "".join(
        f'  "{m.name}": {json.dumps({k: v for k, v in FASTER.items() if k in vars(m.hparams)})}\n'
        for m in methods.BUILT_IN
    )
    suite = folder / "every.yaml"
    base = os.path.relpath(ROOT / "tests" / "tiny-all.yaml", folder)
    suite.write_text(f"extends: {base}\nname: every\nmethods:\n{entries}")
    done = bench("run", str(suite), "--runs", str(folder))
    assert done.returncode == 0, done.stderr
    lines = (folder / "every" / "training.jsonl").read_text().splitlines()
    return {row["method"]: row for row in map(json.loads, lines)}


def test_every_entry_trains_and_is_measured(rows: dict[str, Any]) -> None:
    assert list(rows) == [m.name for m in methods.BUILT_IN]
    for row in rows.values():
        assert row["steps"] > 0 and row["moved"] > 0.5, row
        assert isfinite(row["held_before"]) and isfinite(row["held_after"]), row


def test_what_starts_at_the_reference_starts_where_its_formula_says(rows: dict[str, Any]) -> None:
    """On held-out pairs too, whatever the model: ln 2 and its like."""
    for method in methods.BUILT_IN:
        if method.at_start:
            expected = sum(method.at_start(method.hparams).values())
            assert rows[method.name]["held_before"] == pytest.approx(expected, rel=1e-3), method.name


def test_the_release_of_adpa_is_warned_about_where_it_clips(rows: dict[str, Any]) -> None:
    ((name, before, after),) = rows["ADPA[release]"]["watched"]
    warned = rows["ADPA[release]"]["warnings"]
    assert name == "advantages clipped" and 0 < before == after < 1
    assert bool(warned) == (before > 0.5)
