"""Selection: the checkpoint whose answers a reward model likes best becomes a model of its own."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from benchmarks.api import Sampling
from harness.common.tokenizer import load_tokenizer
from harness.models import loading
from harness.models.prepare import LINK, LinkSettings
from harness.signals.kinds import REWARDS, RewardInputs, RewardSettings
from harness.signals.rollouts import ROLLOUTS, RolloutInputs, RolloutSettings
from harness.store.step import NoInputs, Part, Source, Step
from harness.store.step_record import from_names, from_record
from harness.store.store import Store
from harness.train import select_checkpoint
from harness.train.costs import TRAIN, TrainInputs, TrainSettings
from harness.train.select_checkpoint import SELECT, SelectInputs, SelectSettings
from tests.benchmarks.openllm.small_tasks import write_rows
from tests.harness.models.tiny_models import tiny_folder
from tests.harness.signals.test_reward_model import reward_folder
from tests.harness.train.test_train import CONTEXT, SETTINGS, inputs

STEPS = {"1": 26, "2": 52, "3": 78}


def trained_folder(folder: Path) -> Path:
    """Three checkpoints, as a training step leaves them."""
    for seed, name in enumerate(STEPS):
        tiny_folder(folder / "checkpoints" / name, seed=seed)
    (folder / "checkpoints.json").write_text(json.dumps(STEPS))
    return folder


def rewards_folder(folder: Path, rewards: Sequence[float | None], first: int = 0) -> Path:
    folder.mkdir()
    rows = [{"row": row, "reward": value} for row, value in enumerate(rewards, first)]
    write_rows(folder / "rewards.jsonl", rows)
    return folder


def selected(
    folder: Path, rewards: Sequence[Sequence[float | None]], by: str = "reward"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """selection.json of a step on these rewards of three checkpoints, and what it measures."""
    given = {"trained": trained_folder(folder / "trained")}
    for n, of in enumerate(rewards, 1):
        given[f"rewards.{n}"] = rewards_folder(folder / f"rewards {n}", of)
    (folder / "out").mkdir()
    measured = select_checkpoint.run(SELECT.work({"by": by}, given, folder / "out", {}))
    return json.loads((folder / "out" / "selection.json").read_text()), measured


def test_the_checkpoint_with_the_highest_mean_becomes_the_model(tmp_path: Path) -> None:
    told, measured = selected(tmp_path, [[0.0, 1.0], [3.0, -0.5], [2.0, 0.0]])

    assert told == {
        **{"by": "reward", "chosen": 2, "step": 52, "rows": 2},
        **{"steps": [26, 52, 78], "means": [0.5, 1.25, 1.0]},
    }
    assert measured == {"chosen": 2, "step": 52, "of": 3, "rows": 2, "unscored": 0}
    kept = tmp_path / "trained" / "checkpoints" / "2"
    assert {p.name for p in kept.iterdir()} | {"selection.json"} == {
        p.name for p in (tmp_path / "out").iterdir()
    }
    assert (tmp_path / "out" / "model.safetensors").samefile(kept / "model.safetensors")
    loading.load(tmp_path / "out")
    load_tokenizer(tmp_path / "out")


def test_of_equal_checkpoints_the_earliest_is_chosen() -> None:
    assert select_checkpoint.best([0.5, 0.75, 0.75]) == 2
    assert select_checkpoint.best([1.0]) == 1
    assert select_checkpoint.best([-1.0, -2.0, -1.0]) == 1


def test_the_last_one_is_taken_where_the_suite_says_so_and_the_curve_is_kept(tmp_path: Path) -> None:
    told, _ = selected(tmp_path, [[2.0], [3.0], [1.0]], by="last")

    assert (told["chosen"], told["step"], told["means"]) == (3, 78, [2.0, 3.0, 1.0])
    final = load_file(tmp_path / "trained" / "checkpoints" / "3" / "model.safetensors")
    found = load_file(tmp_path / "out" / "model.safetensors")
    assert all((found[name] == weight).all() for name, weight in final.items())


def test_checkpoints_are_compared_on_the_prompts_that_all_have_a_reward_on(tmp_path: Path) -> None:
    """Row 1 would make the second the best; of it the third has no reward."""
    told, measured = selected(tmp_path, [[1.0, 0.0], [0.0, 9.0], [0.5, None]])

    assert told["means"] == [1.0, 0.0, 0.5] and told["chosen"] == 1
    assert (measured["rows"], measured["unscored"]) == (1, 1)


def test_nothing_is_chosen_where_no_prompt_is_common(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no held-out prompt has a scored answer of every checkpoint"):
        selected(tmp_path, [[1.0, None], [None, 1.0], [1.0, 1.0]])


def test_another_way_to_choose_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"selection\.by: 'rewards'; allowed: reward, last"):
        selected(tmp_path, [[1.0], [1.0], [1.0]], by="rewards")


def test_files_are_copied_where_they_cannot_be_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def across(source: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", across)
    selected(tmp_path, [[0.0], [1.0], [0.0]])
    kept = tmp_path / "trained" / "checkpoints" / "2" / "model.safetensors"
    assert not (tmp_path / "out" / "model.safetensors").samefile(kept)
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == kept.read_bytes()


GREEDY = RolloutSettings(Sampling(0.0, 1.0, 5), 1, drop_truncated=False, template=None, seed=0)
HOW = {**CONTEXT, "method": "DPO", "batch": 8}


def outside(folder: Path, kind: str) -> Step:
    """A folder as a step of the store."""
    return LINK.step(folder.name, LinkSettings(kind, str(folder)), NoInputs(), {"path": str(folder)})


def rows_of(folder: Path) -> Part:
    """A folder of sequences, as it stands in the store."""
    return Part(outside(folder, "data"), "files")


def training(folder: Path, checkpoints: int) -> tuple[Step, Step, Part]:
    """Training with checkpoints, its start, and its pairs."""
    given = inputs(folder)
    rows = [{"row": row, "prompt": [{"role": "user", "content": "a b"}]} for row in range(12)]
    write_rows(folder / "prompts.jsonl", rows)
    start = outside(given.pop("start"), "model")
    settings = from_record(TrainSettings, {**SETTINGS, "hp": {"beta": 0.5}, "checkpoints": checkpoints})
    read: dict[str, Source] = {"start": start, **{name: rows_of(path) for name, path in given.items()}}
    return TRAIN.step("DPO", settings, from_names(TrainInputs, read), HOW), start, rows_of(folder)


def of_checkpoint(trained: Step, n: int, start: Step, pairs: Part, judge: Step) -> Step:
    """The rewards of the n-th checkpoint's answers to the prompts of the pairs."""
    asked = RolloutInputs(Part(trained, f"checkpoints/{n}"), Part(pairs.step, f"{pairs.folder}/chosen"))
    said = ROLLOUTS.step("answers", GREEDY, asked, HOW, name=f"at-{n}")
    read = RewardInputs(model=judge, rollouts=said, pairs=pairs, tokenizer=start)
    return REWARDS.step("rewards", RewardSettings("float32"), read, HOW, name=f"at-{n}")


def make(step: Step, store: Store, made: dict[str, Path]) -> None:
    """A step and all it stands on, into `made` by id."""
    for source in step.sources.values():
        make(source, store, made)
    made[step.id] = store.make(step)


def test_a_training_is_scored_on_its_way_and_its_best_checkpoint_is_the_result(tmp_path: Path) -> None:
    """Training, answers, rewards and selection as steps of a store: four points, the highest is chosen."""
    trained, start, pairs = training(tmp_path / "files", checkpoints=4)
    judge, store = outside(reward_folder(tmp_path / "judge"), "model"), Store(tmp_path / "store")
    rewards = {str(n): of_checkpoint(trained, n, start, pairs, judge) for n in range(1, 5)}
    chosen = SELECT.step("best", SelectSettings("reward"), SelectInputs(trained, rewards))
    made: dict[str, Path] = {}
    make(chosen, store, made)

    found = json.loads((made[chosen.id] / "selection.json").read_text())
    measured = [store.record(made[step.id])["measured"]["mean"] for step in rewards.values()]
    assert found["means"] == pytest.approx(measured) and len(set(measured)) > 1
    assert found["chosen"] == measured.index(max(measured)) + 1
    kept = made[trained.id] / "checkpoints" / str(found["chosen"]) / "model.safetensors"
    assert (made[chosen.id] / "model.safetensors").read_bytes() == kept.read_bytes()
