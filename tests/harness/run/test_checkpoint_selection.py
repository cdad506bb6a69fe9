"""A suite that selects checkpoints by a reward model, as `bench run` runs it."""

import json
from pathlib import Path

from tests.bench_command import bench
from tests.harness.signals.test_reward_model import reward_folder
from tests.paths import TINY

ONLY = ("--only", "DCKD", "--set", "benchmarks={reward: {max_tokens: 8}}")


def test_the_checkpoint_that_a_reward_model_likes_best_is_the_row(tmp_path: Path) -> None:
    """tiny has one epoch: a quarter of it makes four checkpoints."""
    model = reward_folder(tmp_path / "rm")
    selection = f"selection={{every: 0.25, model: {model}, max_tokens: 8}}"
    settings = (*ONLY, "--set", selection, "--set", f"benchmarks.reward.model={model}")
    done = bench("run", TINY, *settings, "--runs", str(tmp_path / "runs"), "--name", "tiny")
    assert done.returncode == 0, done.stderr

    (path,) = (tmp_path / "runs" / "store" / "select").glob("dckd-*/selection.json")
    chosen = json.loads(path.read_text())
    assert len(chosen["means"]) == 4 and chosen["means"][chosen["chosen"] - 1] == max(chosen["means"])
    found = [json.loads(r) for r in (tmp_path / "runs" / "tiny" / "results.jsonl").read_text().splitlines()]
    of_row = [r for r in found if r["method"] == "DCKD"]
    curve = {
        step: [r["value"] for r in of_row if (r["metric"], r["group"]) == ("checkpoint_reward", str(step))]
        for step in chosen["steps"]
    }
    means = [sum(values) / len(values) for values in curve.values()]
    assert [round(m, 6) for m in means] == [round(m, 6) for m in chosen["means"]]
    own = [r["value"] for r in of_row if r["metric"] == "reward"]
    assert round(sum(own) / len(own), 6) == round(max(chosen["means"]), 6)
    assert {r["judge"] for r in of_row} == {"rm"}
    assert "selected by reward" in (tmp_path / "runs" / "tiny" / "tables" / "training.md").read_text()


def test_a_step_that_does_not_divide_the_training_is_one_line(tmp_path: Path) -> None:
    model = reward_folder(tmp_path / "rm")
    done = bench("run", TINY, *ONLY, "--set", f"selection={{every: 0.3, model: {model}}}", "--plan")
    assert done.returncode == 2
    assert done.stderr.strip().endswith("selection.every: 0.3 epochs do not divide the 1.0 of DCKD")


def test_checkpoints_without_end_are_one_line(tmp_path: Path) -> None:
    model = reward_folder(tmp_path / "rm")
    done = bench("run", TINY, *ONLY, "--set", f"selection={{every: 1e-8, model: {model}}}", "--plan")
    assert done.returncode == 2
    assert "selection.every: 1e-08 epochs make 100,000,000 checkpoints of DCKD" in done.stderr
