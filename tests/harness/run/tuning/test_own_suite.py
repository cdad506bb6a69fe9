"""`bench tune` on models and data of one's own: a table, all trials, and a suite that `bench run` takes."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.evaluate import registry
from harness.suite import loading
from tests.bench_command import bench, start
from tests.harness.endpoints import judging_server
from tests.harness.run.tuning import desk
from tests.harness.signals.test_reward_model import reward_folder


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A desk on which the suite is tuned, scored on pairs of a file."""
    folder = desk.make(tmp_path_factory.mktemp("desk"))
    done = bench("tune", "mine.yaml", *SCORED, cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout)
    return folder


SCORED = ("--set", "tuning.score={benchmark: implicit-reward, data: data/others.jsonl}", "--name", "mine")


def trained(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("runs/store/train/*/model.safetensors")}


def trials(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "tuning.csv").read_text().splitlines()))


@pytest.mark.slow
def test_every_method_has_as_many_trials_and_its_best_is_told(own: Path) -> None:
    rows = trials(own / "runs/mine-tune")
    assert [row["method"] for row in rows] == ["SFT", "SFT", "DPO", "DPO"]
    assert [row["lr"] for row in rows[:2]] == ["0.0001", "0.01"]  # a tenth and ten times the suite's own
    for method in ("SFT", "DPO"):
        tried = [row for row in rows if row["method"] == method]
        (best,) = [row for row in tried if row["best"]]
        score = "implicit-reward_accuracy"
        assert float(best[score]) == max(float(row[score]) for row in tried)
        assert {row["status"] for row in tried} == {"ok"} and {row["n"] for row in tried} == {"9"}
    said = (own / "said").read_text()
    assert "on 9 validation questions of data/others.jsonl, seeds 0" in said
    assert "next: bench run runs/mine-tune/best.yaml" in said


@pytest.mark.slow
def test_the_best_settings_are_a_suite_that_trains_nothing_anew(own: Path) -> None:
    """Its models are those of the trials, and the trials stand beside its results for the page."""
    made = trained(own)
    assert len(made) == 4
    done = bench("run", "runs/mine-tune/best.yaml", cwd=own)
    assert done.returncode == 0, done.stderr
    assert trained(own) == made
    run = own / "runs" / "mine-tuned"
    assert (run / "tuning.csv").read_bytes() == (own / "runs/mine-tune/tuning.csv").read_bytes()
    assert "| DPO |" in (run / "tables" / "cost.md").read_text()
    (best,) = [row for row in trials(run) if row["best"] and row["method"] == "DPO"]
    held = loading.load(str(own / "runs/mine-tune/best.yaml"), [], registry.known()).methods["DPO"] or {}
    assert (held["training"]["lr"], held["beta"]) == (float(best["lr"]), float(best["value"]))


@pytest.mark.slow
def test_what_was_tried_is_not_tried_again(own: Path) -> None:
    """A random search of three begins with that of two; of the same search nothing is left to do."""
    drawn = ("--set", "tuning.search=random", "--set", "tuning.methods={}", "--only", "SFT", *SCORED[:2])
    counts = [len(trained(own))]
    for trials_each in (2, 2, 3):
        words = (*drawn, "--set", f"tuning.trials={trials_each}", "--name", "drawn")
        assert bench("tune", "mine.yaml", *words, cwd=own).returncode == 0
        counts.append(len(trained(own)))
    assert counts[1:] == [counts[0] + 2, counts[0] + 2, counts[0] + 3]


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_where_it_was(own: Path, tmp_path: Path) -> None:
    drawn = ("--set", "tuning={search: random, trials: 3, seed: 7}", "--only", "SFT", *SCORED[:2])
    before = trained(own)
    killed = start("tune", "mine.yaml", *drawn, "--name", "killed", folder=tmp_path, cwd=own)
    killed.wait_for("] SFT  ")
    killed.process.kill()
    killed.process.join()
    made = {path: path.stat().st_mtime_ns for path in own.glob("runs/store/train/*/model.safetensors")}
    assert len(before) < len(made) and not (own / "runs/killed-tune/tuning.csv").exists()
    done = bench("tune", "mine.yaml", *drawn, "--name", "killed", cwd=own)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert len(trained(own)) == len(before) + 3
    assert len(trials(own / "runs/killed-tune")) == 3


@pytest.mark.slow
def test_a_trial_that_fails_is_a_row_that_says_why(own: Path) -> None:
    grid = ("--only", "DPO", "--set", "tuning.methods.DPO={lr: [1e-3, 1e+30]}", *SCORED[:2], "--name", "nan")
    done = bench("tune", "mine.yaml", *grid, "--executor", "jobs", "--jobs", "2", cwd=own)
    assert done.returncode == 0, done.stderr
    good, bad = trials(own / "runs/nan-tune")
    assert good["best"] == "yes" and bad["implicit-reward_accuracy"] == bad["best"] == ""
    assert bad["status"].startswith("failed: DPO: ") and "lower lr?" in bad["status"]
    assert "2, 1 failed" in done.stdout

    grid = ("--only", "DPO", "--set", "tuning={trials: 1, methods: {DPO: {lr: [1e+30]}}}", *SCORED[:2])
    none = bench("tune", "mine.yaml", *grid, "--name", "none", "--executor", "jobs", cwd=own)
    assert none.returncode == 1
    assert none.stderr.startswith("bench: no trial of DPO has a score: failed: DPO: ")
    assert [row["best"] for row in trials(own / "runs/none-tune")] == [""]


@pytest.fixture
def judge(tmp_path: Path) -> Iterator[judging_server.Running]:
    yield from judging_server.running(tmp_path / "requests.jsonl")


@pytest.mark.slow
def test_a_judge_scores_on_validation_questions_and_json_is_all_that_is_printed(
    own: Path, judge: judging_server.Running
) -> None:
    entry = f"judges.mine={{model: judge, base_url: {judge.url}, api_key_env: MY_JUDGE_KEY}}"
    score = (
        "tuning.score={benchmark: mt-bench, data: data/validation, settings: {judge: mine, max_tokens: 4}}"
    )
    words = ("--set", entry, "--set", score, "--only", "SFT", "--name", "judged", "--json")
    done = bench("tune", "mine.yaml", *words, cwd=own, MY_JUDGE_KEY=judging_server.KEY)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["score"] == {"benchmark": "mt-bench", "metric": "score"}
    assert found["validation"] == {"place": "data/validation", "questions": 2, "trained": 2}
    assert [trial["n"] for trial in found["trials"]] == [2, 2]
    assert found["methods"][0]["trials"] == 2 and found["methods"][0]["best"] is not None
    assert all("c k ?" in prompt or "d l ?" in prompt for prompt in judge.prompts())


@pytest.mark.slow
def test_a_reward_model_scores_answers_to_pairs_that_are_held_out(own: Path) -> None:
    reward_folder(own / "models/reward")
    score = "tuning.score={benchmark: reward, hold_out: 6, settings: {model: models/reward, max_tokens: 4}}"
    done = bench("tune", "mine.yaml", "--set", score, "--only", "SFT", "--name", "liked", cwd=own)
    assert done.returncode == 0, done.stderr
    assert "on 6 validation questions of data/pairs.jsonl" in done.stdout
    first, second = trials(own / "runs/liked-tune")
    assert first["n"] == second["n"] == "6"
    assert (float(first["reward_reward"]) < float(second["reward_reward"])) == (second["best"] == "yes")
