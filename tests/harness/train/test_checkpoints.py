"""Trainings that are killed: what comes out is what an undisturbed one gives, byte for byte."""

import json
import os
import random
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.common.files import sha256
from harness.executors.options import CheckpointInterval
from harness.store.append_log import line_of, row_of
from harness.store.integrity import DROPPED, checksums
from harness.train import checkpoints
from harness.train import step as train
from harness.train.checkpoints import HOW, states
from harness.train.costs import TRAIN
from harness.train.examples import TrainWork
from tests.bench_command import forked, lines_told, start
from tests.harness.models.tiny_models import tiny_folder
from tests.harness.train.test_online import SETTINGS as ONLINE
from tests.harness.train.test_train import CONTEXT, SETTINGS, inputs

TRAINING = {"lr": 3e-3, "epochs": 20, "batch_size": 4}
RESULTS = ("model.safetensors", "metrics.jsonl", "training.json")
METHODS: dict[str, dict[str, Any]] = {
    "SFT": {},
    "DPO": {"beta": 0.5},
    "KTO": {},  # has step_stats
    "DPPO[token]": {"batches": 2, "passes": 3},  # draws buffers, and has a value head and step_stats
    "GKD": {},
}
IN_CI = ("DPO", "DPPO[token]")


def work_of(
    folder: Path, method: str, out: str, training: dict[str, Any] | None = None, **context: Any
) -> TrainWork:
    """A training of 60 optimizer steps."""
    given = inputs(folder) if not (folder / "start").exists() else None
    if given is None:
        views = {f"view.{side}": folder / side for side in ("chosen", "rejected")}
        refs = {f"signal.{side}.ref": folder / f"ref_{side}" for side in ("chosen", "rejected")}
        given = {"start": folder / "start", **views, **refs}
    given |= {
        "view.mismatched": given["view.rejected"],
        "signal.mismatched.ref": given["signal.rejected.ref"],
    }
    passes = METHODS[method].get("passes", 1)
    training = {**TRAINING, **(training or {})}
    training["epochs"] /= passes  # of prompts, each of which makes as many steps
    settings = {**SETTINGS, "training": training, "checkpoints": 3}
    settings["hp"] = METHODS[method]
    if method in ("DPPO[token]", "GKD"):
        live = {f"live.{role}": folder / role for role in ("teacher", "teacher_ref")}
        for seed, path in enumerate(live.values(), 5):  # two, or DPPO would whiten noise
            if not path.exists():
                tiny_folder(path, hidden=24, seed=seed)
        given = {k: v for k, v in given.items() if not k.startswith("signal.")}
        given |= {**live, "live.ref": folder / "start", "view.policy_rollout": folder / "chosen"}
        settings = {**ONLINE, **settings, "passes": passes}
    where = folder / out / "out"
    where.mkdir(parents=True, exist_ok=True)
    told = {**CONTEXT, "batch": 4, "checkpoint_every": "2", **context, "method": method}
    return TRAIN.work(settings, given, where, told, folder / out / "kept")


def run(work: TrainWork) -> None:
    """A training in a process of its own, with one thread."""
    torch.set_num_threads(1)
    (work.out / "measured.json").write_text(json.dumps(train.run(work)))


def run_until(work: TrainWork, steps: int, wait: float) -> None:
    """The same, which ends some moment after a checkpoint of a step was written, whatever it does then: by a
    timer of its own, so that it does not come to its end first where the machine is busy.
    """
    save = checkpoints.Checkpoints._save

    def saving(self: checkpoints.Checkpoints, folder: Path) -> None:
        save(self, folder)
        if self.progress.step >= steps:
            signal.setitimer(signal.ITIMER_REAL, max(wait, 1e-6))

    checkpoints.Checkpoints._save = saving  # type: ignore[method-assign]
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends a process as SIGKILL does
    run(work)


def last(folder: Path | None) -> int:
    assert folder
    found = states(folder)
    return int(found[-1].name.removeprefix("state-")) if found else 0


def killed_after(work: TrainWork, steps: int, wait: float) -> None:
    """Kill a training some moment after the checkpoint of a step, or of the next one, was written."""
    process = forked(run_until, work, steps, wait)
    process.join()
    assert process.exitcode == -signal.SIGALRM


def undisturbed(folder: Path, method: str, training: dict[str, Any] | None = None) -> TrainWork:
    work = work_of(folder, method, "undisturbed", training, checkpoint_every="1000")
    process = forked(run, work)
    process.join()
    assert process.exitcode == 0 and not states(work.kept or folder)
    return work


def same(one: TrainWork, two: TrainWork) -> None:
    for name in RESULTS:
        assert (one.out / name).read_bytes() == (two.out / name).read_bytes(), name
    for name in ("1", "2", "3"):
        model = f"checkpoints/{name}/model.safetensors"
        assert (one.out / model).read_bytes() == (two.out / model).read_bytes(), model
    told = [json.loads((work.out / "measured.json").read_text()) for work in (one, two)]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "method", [m if m in IN_CI else pytest.param(m, marks=pytest.mark.slow) for m in METHODS]
)
def test_a_training_that_is_killed_goes_on_to_the_same_bytes(tmp_path: Path, method: str) -> None:
    """Two kills at random steps; what each wrote beside its checkpoints is lost, as `Store` would do."""
    whole, chance = undisturbed(tmp_path, method), random.Random()
    work = work_of(tmp_path, method, "killed")
    for least in (6, 36):
        killed_after(work, least + chance.randrange(10), chance.random() / 50)
        reached = last(work.kept)
        assert least <= reached < 60
        for path in [p for p in work.out.iterdir() if p.is_file()]:
            path.unlink()
    process = forked(run, work)
    process.join()
    assert process.exitcode == 0 and reached >= 36
    same(whole, work)


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path: Path) -> None:
    work = work_of(tmp_path, "DPO", "killed")
    killed_after(work, 10, 0.0)
    assert work.kept
    torn = work.kept / "writing"
    torn.mkdir(exist_ok=True)
    (torn / "model.safetensors").write_bytes(b"torn")
    before = last(work.kept)
    assert before >= 10
    process = forked(run, work)
    process.join()
    assert process.exitcode == 0
    same(undisturbed(tmp_path, "DPO"), work)


def flip(path: Path) -> None:
    """One bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def test_a_damaged_checkpoint_is_told_and_the_training_goes_on_at_the_one_before(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    work = work_of(tmp_path, "DPO", "damaged")
    killed_after(work, 10, 0.0)
    assert work.kept
    former = states(work.kept)[-1]
    shutil.copytree(former, tmp_path / "former")
    killed_after(work, last(work.kept) + 14, 0.0)  # behind the first model that is kept on the way
    shutil.copytree(work.kept, tmp_path / "whole")
    for older in states(tmp_path / "whole")[:-1]:  # the kill may have come before it was removed
        shutil.rmtree(older)

    damages: dict[str, Callable[[Path], None]] = {
        "state-{}/weights-0.safetensors": flip,
        "state-{}/optimizer-0.safetensors": truncate,
        "state-{}/state-0.json": flip,
        "state-{}/random-0.safetensors": Path.unlink,
        "state-{}/how.json": flip,
        "models/1/model.safetensors": flip,
    }
    for name, damage in damages.items():
        shutil.rmtree(work.kept)
        shutil.copytree(tmp_path / "whole", work.kept)
        number = last(work.kept)
        damage(work.kept / name.format(number))
        checkpoints.drop_damaged(work.kept)
        assert not states(work.kept), name
        (line,) = (work.kept / DROPPED).read_text().splitlines()
        assert line.startswith(f"unfinished state-{number}: ")
        assert name.partition("/")[2].removeprefix("1/") in line and line in capfd.readouterr().err.replace(
            "bench: damaged, so it is not used: " + str(work.kept) + "/", "unfinished "
        )

    shutil.rmtree(work.kept)
    shutil.copytree(tmp_path / "whole", work.kept)
    flip(states(work.kept)[-1] / "weights-0.safetensors")
    shutil.copytree(tmp_path / "former", work.kept / former.name)
    process = forked(run, work)
    process.join()
    assert process.exitcode == 0
    assert [p.read_text().count("\n") for p in work.kept.glob(DROPPED)] == [1]
    same(undisturbed(tmp_path, "DPO"), work)


class Code:
    """What a pickle runs where it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("checked", [True, False])
def test_pickles_of_an_older_version_are_told_and_not_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], checked: bool
) -> None:
    """A store that others write to: the state of accelerate, whose files run code, with right checksums."""
    work, marker = work_of(tmp_path, "DPO", "old"), tmp_path / "marker"
    killed_after(work, 10, 0.0)
    assert work.kept
    state = states(work.kept)[-1]
    for name in ("custom_checkpoint_0.pkl", "optimizer.bin", "random_states_0.pkl", "scheduler.bin"):
        torch.save(Code(marker), state / name)
    (state / HOW).unlink()
    how: dict[str, Any] = {"sharding": "whole weights"}
    if checked:
        how |= {"files": checksums(state), "models": {}}
    (state / HOW).write_text(line_of(how))
    run(work)
    assert not marker.exists()
    assert f"{state} is of an older version and holds pickles, which are not read" in capfd.readouterr().err
    same(undisturbed(tmp_path, "DPO"), work)


@pytest.mark.parametrize("damage", ["pickle", "names", "shapes"])
def test_a_checkpoint_that_is_not_of_the_training_is_one_line(tmp_path: Path, damage: str) -> None:
    """Whoever can write to a store can write the right checksums as well."""
    work, marker = work_of(tmp_path, "DPO", "altered"), tmp_path / "marker"
    killed_after(work, 10, 0.0)
    assert work.kept
    state = states(work.kept)[-1]
    weights = state / "weights-0.safetensors"
    if damage == "pickle":
        torch.save(Code(marker), weights)
    else:
        name, tensor = next(iter(load_file(weights).items()))
        save_file({name: tensor[:1]} if damage == "shapes" else {"other": tensor}, weights)
    how = row_of((state / HOW).read_bytes())
    how["files"] = {name: sha256(state / name) for name in how["files"]}
    (state / HOW).write_text(line_of(how))
    with pytest.raises(
        ValueError, match=rf"^{state}: not the state of this training \([^\n]*remove the folder"
    ):
        train.run(work)
    assert not marker.exists()


def limited(work: TrainWork) -> None:
    """A training that can write no file of more than 8 KB; its weights have some 23."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))
    try:
        run(work)
    except OSError as e:
        (work.out / "told").write_text(str(e))


@pytest.mark.slow
def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(tmp_path: Path) -> None:
    work = work_of(tmp_path, "DPO", "full")
    killed_after(work, 10, 0.0)
    before = last(work.kept)
    process = forked(limited, work)
    process.join()
    assert "a checkpoint could not be written" in (work.out / "told").read_text()
    assert last(work.kept) == before
    (work.out / "told").unlink()
    process = forked(run, work)
    process.join()
    same(undisturbed(tmp_path, "DPO"), work)


def test_every_generator_of_random_numbers_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """accelerate keeps silent where it can't restore one."""
    drawn: list[tuple[float, float, float]] = []
    save, load = checkpoints.Checkpoints._save, checkpoints.Checkpoints._load

    def draw() -> None:
        drawn.append((random.random(), float(np.random.rand()), float(torch.rand(()))))

    def saving(self: checkpoints.Checkpoints, folder: Path) -> None:
        save(self, folder)
        draw()

    def loading(self: checkpoints.Checkpoints, folder: Path) -> None:
        load(self, folder)
        draw()

    monkeypatch.setattr(checkpoints.Checkpoints, "_save", saving)
    monkeypatch.setattr(checkpoints.Checkpoints, "_load", loading)
    work = work_of(tmp_path, "DPO", "out", checkpoint_every="59")
    train.run(work)
    assert work.kept
    shutil.move(work.out / "checkpoints", work.kept / "models")  # as a kill would have left them
    train.run(work)
    first_load, saved, second_load = drawn
    assert saved == second_load != first_load


@pytest.mark.parametrize(
    "text, every",
    [
        ("200", CheckpointInterval(steps=200)),
        ("5m", CheckpointInterval(seconds=300)),
        ("0.5m", CheckpointInterval(seconds=30)),
    ],
)
def test_how_often_a_checkpoint_is_written_is_steps_or_minutes(text: str, every: CheckpointInterval) -> None:
    assert CheckpointInterval.parse(text) == every


@pytest.mark.parametrize("text", ["", "0", "-1", "m", "5s", "nanm", "infm", "1.5", "0m"])
def test_another_way_to_say_it_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="optimizer steps such as 200, or minutes such as 5m"):
        CheckpointInterval.parse(text)


def test_a_run_that_gets_sigterm_writes_a_checkpoint_and_asks_to_be_started_again(tmp_path: Path) -> None:
    """SIGTERM to `bench run` in the teacher's longest stage: one line, code 75, and a checkpoint."""
    words = ["run", "tests/tiny.yaml", "--runs", str(tmp_path), "--only", "SFT"]
    words += ["--set", "pairs.tiny.teacher.pretrain.epochs=200"]
    running = start(*words, folder=tmp_path)
    running.wait_until(lambda: lines_told(tmp_path) > 2)
    running.process.terminate()
    stopped = running.ended()

    assert stopped.returncode == 75, stopped.stderr
    (state,) = tmp_path.glob("store/unfinished/*/state-*")
    step = state.name.removeprefix("state-")
    assert stopped.stderr.strip() == f"bench: stopped by SIGTERM after step {step}; the same command goes on"
    assert not list(tmp_path.glob("store/partial/*"))
