"""AdamW with moments in 8 bits: near float32's steps, the same bytes after a kill, another id."""

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

import methods
from harness.executors.options import Machine
from harness.plan.plan import plan
from harness.run import preflight
from harness.train import step as train
from harness.train.costs import TRAIN
from tests import suites
from tests.bench_command import forked
from tests.harness.train.test_checkpoints import killed_after, last, run, same, undisturbed, work_of
from tests.harness.train.test_launcher import training_in_two
from tests.harness.train.test_train import inputs
from tests.paths import TINY

WIDE = 64  # hidden size: matrices of 4,096 and 8,192 numbers, which have their moments in 8 bits
EIGHT_BIT = {"optimizer": "adamw8bit"}
OF_METHODS = f"training.optimizer={EIGHT_BIT['optimizer']}"
OF_A_STAGE = f"pairs.tiny.teacher.dpo.optimizer={EIGHT_BIT['optimizer']}"


def moved(folder: Path, start: Path) -> torch.Tensor:
    """By how much each weight moved."""
    a, b = load_file(folder / "model.safetensors"), load_file(start / "model.safetensors")
    return torch.cat([(a[name] - b[name]).flatten() for name in a])


def test_its_steps_are_near_those_of_float32(tmp_path: Path) -> None:
    """After 60 steps what the weights moved by differs by 3.5 % of its length."""
    inputs(tmp_path, hidden=WIDE)
    works = [work_of(tmp_path, "DPO", name, t) for name, t in (("whole", {}), ("small", EIGHT_BIT))]
    for work in works:
        train.run(work)
    whole, small = (moved(work.out, tmp_path / "start") for work in works)
    off = float((whole - small).norm() / whole.norm())
    assert 0.01 < off < 0.07


def test_a_kill_costs_no_bit(tmp_path: Path) -> None:
    inputs(tmp_path, hidden=WIDE)
    whole = undisturbed(tmp_path, "DPO", EIGHT_BIT)
    work = work_of(tmp_path, "DPO", "killed", EIGHT_BIT)
    killed_after(work, 10, 0.0)
    assert 10 <= last(work.kept) < 60
    process = forked(run, work)
    process.join()
    assert process.exitcode == 0
    same(whole, work)


@pytest.mark.slow
def test_sharded_moments_are_those_of_the_shards_and_survive_a_kill(tmp_path: Path) -> None:
    """Halves of the larger matrices are whole blocks, those of the smaller are too small for codes."""
    inputs(tmp_path, hidden=WIDE)
    how = {"processes": 2, "shard": "fsdp2", "tokens": 60}
    one, whole = (
        work_of(tmp_path, "DPO", "one", EIGHT_BIT),
        work_of(tmp_path, "DPO", "whole", EIGHT_BIT, **how),
    )
    killed = work_of(tmp_path, "DPO", "killed", EIGHT_BIT, **how)
    train.run(one)
    run(whole)
    process, below = training_in_two(killed, 10)
    os.kill(process.pid, signal.SIGKILL)
    assert not psutil.wait_procs(below, timeout=60)[1] and last(killed.kept) < 60
    run(killed)
    same(whole, killed)
    a, b = (moved(work.out, tmp_path / "start") for work in (one, whole))
    assert 0 < float((a - b).norm() / a.norm()) < 0.07


def trainings(*overrides: str) -> dict[str, str]:
    """The id of each training of a suite, by its label."""
    suite = suites.load(TINY, list(overrides))
    steps = plan(suite, methods.registry(), Machine(), only=["SFT", "DPO"]).steps
    return {step.label: step.id for step in steps if step.kind is TRAIN}


def test_it_is_a_part_of_an_id_where_it_is_given() -> None:
    plain = trainings()
    assert trainings("training.optimizer=adamw") == plain
    last_stages = trainings(OF_METHODS)
    assert {label for label in plain if last_stages[label] != plain[label]} == {"SFT", "DPO"}
    one_method = trainings("methods.DPO.training={optimizer: adamw8bit}")
    assert {label for label in plain if one_method[label] != plain[label]} == {"DPO"}
    teacher = trainings(OF_A_STAGE)
    assert {label for label in plain if teacher[label] != plain[label]} == {"dpo teacher"}


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["training.optimizer=adamw8"], "optimizer: given 'adamw8'; input should be 'adamw' or 'adamw8bit'"),
        ([OF_METHODS, "engine.fused=true"], "SFT: optimizer: adamw8bit: engine.fused is of adamw alone"),
    ],
)
def test_what_is_not_there_is_one_line(overrides: list[str], told: str) -> None:
    with pytest.raises(ValueError) as refused:
        trainings(*overrides)
    assert told in str(refused.value)


def test_a_missing_package_is_told_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str) -> object:
        return None if name == "torchao" else find_spec(name)

    monkeypatch.setattr(preflight, "find_spec", without)
    steps = plan(suites.load(TINY, [OF_A_STAGE]), methods.registry(), Machine(), only=["SFT"]).steps
    preflight.check([step for step in steps if step.label != "dpo teacher"])
    with pytest.raises(ValueError, match=r"^dpo teacher: optimizer: .* pip install 'prefbench\[8bit\]'"):
        preflight.check(steps)
