"""Where trainings run, as a suite and the command line say: never a part of an id."""

from pathlib import Path

import pytest

import methods
from harness.executors.options import Machine, RunOptions, TrainingOptions
from harness.plan import plan as planning
from harness.run import pipeline
from harness.store.step import Step
from harness.train.costs import TRAIN
from tests import suites
from tests.bench_command import bench
from tests.paths import TINY

STAGES = (
    "pairs.tiny.teacher.dpo.devices=4",
    "pairs.tiny.teacher.dpo.shard=fsdp2",
    "training.devices=2",
    "methods.DPO.training={devices: 8, shard: fsdp2}",
)


def trainings(*overrides: str, machine: Machine | None = None) -> dict[str, Step]:
    found = planning.plan(
        suites.load(TINY, overrides), methods.registry(), machine or Machine(), only=("SFT", "DPO")
    )
    return {step.label: step for step in found.steps if step.kind == TRAIN}


def placed(steps: dict[str, Step], label: str) -> tuple[int, str]:
    return steps[label].context["processes"], steps[label].context["shard"]


def test_each_stage_has_the_devices_that_the_suite_says_and_its_old_id() -> None:
    plain, found = trainings(), trainings(*STAGES)
    assert {s.id for s in plain.values()} == {s.id for s in found.values()}
    assert {placed(plain, label) for label in plain} == {(1, "")}
    assert placed(found, "dpo teacher") == (4, "fsdp2")
    assert placed(found, "DPO") == (8, "fsdp2")
    assert placed(found, "SFT") == (2, "")  # `training` is of last stages
    assert placed(found, "sft student") == (1, "")


def test_a_machine_with_fewer_devices_gives_those_that_it_has() -> None:
    found = trainings(*STAGES, machine=Machine(devices=2))
    assert placed(found, "DPO") == (2, "fsdp2")
    assert placed(trainings(*STAGES, machine=Machine(devices=1)), "DPO") == (1, "")


def test_the_command_line_says_how_many_whatever_the_suite_says(tmp_path: Path) -> None:
    """A config file says all of it; `--processes` the number alone."""
    four = trainings(*STAGES, machine=Machine(processes=4, devices=2))
    assert placed(four, "DPO") == (4, "fsdp2")
    assert placed(four, "SFT") == placed(four, "sft student") == (4, "")
    file = tmp_path / "ddp.yaml"
    file.write_text("distributed_type: MULTI_GPU\nnum_processes: 3\n")
    where = pipeline.machine(tmp_path, RunOptions(), TrainingOptions(accelerate_config=file))
    assert placed(trainings(*STAGES, machine=where), "DPO") == (3, "")
    file.write_text("distributed_type: FSDP\nfsdp_config: {fsdp_version: 2}\nnum_processes: 3\n")
    where = pipeline.machine(tmp_path, RunOptions(), TrainingOptions(accelerate_config=file, processes=2))
    assert placed(trainings(machine=where), "SFT") == (2, "fsdp2")


def test_weights_that_cannot_be_shared_are_one_line_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"methods.DPO.training: shard: fsdp2: needs `devices`, 2 or more"):
        trainings("methods.DPO={training: {shard: fsdp2}}")
    told = bench("run", TINY, "--only", "GKD", "--set", STAGES[2], "--set", "training.shard=fsdp2",
                 "--set", "methods.GKD.batches=2", "--runs", str(tmp_path))  # fmt: skip
    assert told.returncode == 2 and "GKD: shard: fsdp2: a method that samples from the policy" in told.stderr
    assert len(told.stderr.splitlines()) == 1 and not list(tmp_path.glob("store/*/*"))
