"""Trainings in several processes on gloo: the numbers of one, and nothing that outlives the parent."""

import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from harness.common.underway import news
from harness.train import accelerate_setup
from harness.train import step as train
from harness.train.checkpoints import states
from harness.train.costs import TRAIN
from harness.train.examples import TrainWork
from tests.bench_command import COMMAND, ENV, bench, forked
from tests.harness.train.test_checkpoints import run, same, work_of
from tests.harness.train.test_train import SETTINGS
from tests.paths import ROOT, TINY

SHORT = {"epochs": 4}  # 12 optimizer steps
# What `accelerate config` writes where every question about FSDP is answered by Return; two processes.
SHARDED = """\
compute_environment: LOCAL_MACHINE
debug: false
distributed_type: FSDP
downcast_bf16: 'no'
enable_cpu_affinity: false
fsdp_config:
  fsdp_activation_checkpointing: false
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_cpu_ram_efficient_loading: true
  fsdp_offload_params: false
  fsdp_reshard_after_forward: true
  fsdp_state_dict_type: SHARDED_STATE_DICT
  fsdp_version: 2
machine_rank: 0
main_training_function: main
mixed_precision: 'no'
num_machines: 1
num_processes: 2
rdzv_backend: static
same_network: true
tpu_env: []
tpu_use_cluster: false
tpu_use_sudo: false
use_cpu: false
"""


def metrics(work: TrainWork) -> list[dict[str, float]]:
    return [json.loads(line) for line in (work.out / "metrics.jsonl").read_text().splitlines()]


def alike(one: TrainWork, several: TrainWork) -> None:
    """Losses to 1e-4 (a loss of 1e-3 is a difference of log-probs of -30), weights to 1e-5, both absolute
    1e-6: float32 sums in another order, which AdamW amplifies.
    """
    assert len(metrics(one)) == len(metrics(several)) > 0
    for a, b in zip(metrics(one), metrics(several), strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-6)
    for name in ("model.safetensors", "checkpoints/1/model.safetensors"):
        a, b = load_file(one.out / name), load_file(several.out / name)
        assert a.keys() == b.keys()
        for key in a:
            torch.testing.assert_close(a[key], b[key], rtol=1e-5, atol=1e-6)
    assert {p.name for p in one.out.iterdir()} == {p.name for p in several.out.iterdir()}


COUNTS = ("steps", "tokens", "examples", "drawn", "truncated", "flops", "parameters")


@pytest.mark.parametrize(
    "method, count, batch",
    [
        ("DPO", 2, 4),
        pytest.param("DPO", 4, 3, marks=pytest.mark.slow),  # one of them has nothing to do
        pytest.param("KTO", 2, 5, marks=pytest.mark.slow),
        pytest.param("GKD", 2, 4, marks=pytest.mark.slow),
        pytest.param("DPPO[token]", 4, 4, marks=pytest.mark.slow),
    ],
)
def test_any_number_of_processes_takes_the_steps_of_one(
    tmp_path: Path, method: str, count: int, batch: int
) -> None:
    training = {**SHORT, "batch_size": batch}
    one = work_of(tmp_path, method, "one", training)
    several = work_of(tmp_path, method, "several", training, processes=count, tokens=60)
    alone, together = train.run(one), train.run(several)
    assert together["processes"] == count
    assert {k: alone[k] for k in COUNTS} == {k: together[k] for k in COUNTS}
    alike(one, several)


def sharded(folder: Path, out: str, method: str = "DPO", **training: Any) -> TrainWork:
    config = folder / "fsdp.yaml"
    config.write_text(SHARDED)
    return work_of(
        folder, method, out, {**SHORT, **training}, processes=0, accelerate_config=str(config), tokens=60
    )


@pytest.mark.slow
def test_bf16_rounds_sharded_weights_as_it_does_whole_ones(tmp_path: Path) -> None:
    """As far as sums in another order allow, and farther from what float32 gives."""
    works = [work_of(tmp_path, "DPO", name, SHORT) for name in ("exact", "whole")]
    works += [sharded(tmp_path, "shards")]
    exact, whole, shards = (
        replace(work, settings=replace(work.settings, precision=precision))
        for work, precision in zip(works, ("no", "bf16", "bf16"), strict=True)
    )
    for work in (exact, whole, shards):
        train.run(work)
    found = [load_file(work.out / "model.safetensors") for work in (exact, whole, shards)]
    off = [sum(float((a[n] - found[1][n]).square().sum()) for n in a) for a in found]
    assert off[2] < 0.1 * off[0]


@pytest.mark.slow
@pytest.mark.parametrize("said_by", ["a file", "the suite"])
def test_sharded_weights_give_the_model_of_whole_ones(tmp_path: Path, said_by: str) -> None:
    """Of a student whose head is its embedding; the file has the weights put anew into an empty model."""
    one, several = work_of(tmp_path, "DPO", "one", SHORT), sharded(tmp_path, "several")
    if said_by == "the suite":
        several = work_of(tmp_path, "DPO", "several", SHORT, processes=2, shard="fsdp2", tokens=60)
    train.run(one)
    train.run(several)
    assert list((several.kept or tmp_path).glob("state-*/weights-1.safetensors")), "it was not sharded"
    alike(one, several)


def test_what_cannot_be_launched_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.yaml"
    settings, context = {**SETTINGS, "hp": {}}, {"accelerate_config": str(config)}
    for text, told in (
        ("distributed_type: DEEPSPEED", "DeepSpeed: accelerate steps its optimizer in each backward pass"),
        ("- a", "no distributed_type"),
        ("a: [", "not YAML"),
        ("distributed_type: FSDP\nfsdp_config: {fsdp_version: 1}", "version 1 is not supported"),
        (SHARDED + "parallelism_config: {parallelism_config_tp_size: 2}", "tp_size: 2; it must be 1"),
    ):
        config.write_text(text)
        with pytest.raises(ValueError, match=told):
            train.run(TRAIN.work(settings, {"start": tmp_path}, tmp_path, context))
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(ValueError, match="DeepSpeed: accelerate steps"):
        accelerate_setup.accelerator_of("no", "cpu", online=False)


def test_a_file_that_no_training_can_be_launched_by_is_told_before_any_work(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(SHARDED.replace("fsdp_version: 2", "fsdp_version: 1"))
    runs = tmp_path / "runs"
    told = bench("run", TINY, "--only", "SFT", "--accelerate-config", str(config), "--runs", str(runs))
    assert told.returncode == 2 and told.stderr.startswith("bench: FSDP: version 1 is not supported")
    assert not list(runs.glob("store/*/*"))


@pytest.mark.slow
def test_an_online_method_is_not_sharded(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs whole weights in every process"):
        train.run(sharded(tmp_path, "out", "GKD"))


@pytest.mark.slow
def test_a_fault_of_a_process_is_the_fault_of_the_step(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"DPO: seed 0: step [0-9]+ of [0-9]+: .* lower lr"):
        train.run(work_of(tmp_path, "DPO", "out", {"lr": 1e30}, processes=2))


def ranks(pid: int) -> list[psutil.Process]:
    """The training processes below one, launchers left out."""
    below = psutil.Process(pid).children(recursive=True)
    return [p for p in below if "RANK" in _environment(p)]


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def training_in_two(work: TrainWork, steps: int) -> tuple[Any, list[psutil.Process]]:
    """A started training of two processes once it has a checkpoint of that many steps or more."""
    process = forked(run, work)
    assert work.kept
    while not [s for s in states(work.kept) if int(s.name.removeprefix("state-")) >= steps]:
        assert process.exitcode is None
        time.sleep(0.01)
    return process, psutil.Process(process.pid).children(recursive=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whole", "sharded"])
def test_processes_end_with_their_parent_and_their_training_goes_on(tmp_path: Path, kind: str) -> None:
    def work(out: str) -> TrainWork:
        if kind == "sharded":
            return sharded(tmp_path, out, epochs=40)
        return work_of(tmp_path, "DPO", out, {"epochs": 40}, processes=2)

    whole, cut = work("whole"), work("cut")
    first = forked(run, whole)
    first.join()
    assert first.exitcode == 0
    parent, below = training_in_two(cut, 4)
    assert len([p for p in below if "RANK" in _environment(p)]) == 2
    os.kill(parent.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(below, timeout=60)
    assert not alive
    parent.join()
    again = forked(run, cut)
    again.join()
    assert again.exitcode == 0
    same(whole, cut)


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_step_with_the_place_of_its_log(tmp_path: Path) -> None:
    runs, told = tmp_path / "runs", subprocess.PIPE
    words = ["run", "tests/tiny.yaml", "--runs", str(runs), "--only", "SFT", "--processes", "2"]
    words += ["--set", "pairs.tiny.teacher.pretrain.epochs=200"]
    child = subprocess.Popen([*COMMAND, *words], cwd=ROOT, env=ENV, stdout=told, stderr=told, text=True)
    while not list(runs.glob("store/partial/*/metrics.jsonl")):
        assert child.poll() is None
        time.sleep(0.01)
    ranks(child.pid)[1].kill()
    _, errors = child.communicate(timeout=120)

    assert child.returncode == 1 and len(errors.strip().splitlines()) == 1
    log = errors.strip().rpartition("log: ")[2]
    assert "the processes of a training ended" in errors and Path(log).is_file()


@pytest.mark.slow
def test_sigterm_to_the_run_reaches_its_processes(tmp_path: Path) -> None:
    told = subprocess.PIPE
    words = ["run", "tests/tiny.yaml", "--runs", str(tmp_path), "--only", "SFT", "--processes", "2"]
    words += ["--set", "pairs.tiny.teacher.pretrain.epochs=400"]
    child = subprocess.Popen([*COMMAND, *words], cwd=ROOT, env=ENV, stdout=told, stderr=told, text=True)
    told_inside = ""
    while ", loss " not in told_inside:  # of the first process, to this one
        assert child.poll() is None
        time.sleep(0.01)
        said = [news.read(path) for path in tmp_path.glob("store/running/*.json")]
        told_inside = next((found.text for found in said if found), "")
    assert told_inside.startswith("optimizer step ")
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=120)

    assert child.returncode == 75
    (state,) = tmp_path.glob("store/unfinished/*/state-*")
    step = state.name.removeprefix("state-")
    assert errors.strip() == f"bench: stopped by SIGTERM after step {step}; the same command goes on"
