"""Out of memory in a micro-batch: the same step in smaller ones, or a line that says what to set."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from torch.utils._python_dispatch import TorchDispatchMode

from harness.models.policy import Policy
from harness.suite.schema import Suite
from harness.train import step as train
from harness.train.costs import TRAIN
from harness.train.loop import Loop, set_up
from harness.train.micro_batches.room import NoRoom
from tests.harness.train.test_checkpoints import work_of
from tests.harness.train.test_launcher import SHORT, alike
from tests.harness.train.test_online import loop_of
from tests.harness.train.test_train import CONTEXT, SETTINGS, inputs
from tests.methods.synthetic import gradient_of


class Device(TorchDispatchMode):
    """A device that has no room for tensors of more than `most` rows, or at its n-th operation."""

    def __init__(self, most: int = 1 << 30, at: int = -1) -> None:
        super().__init__()
        self.most, self.at, self.run = most, at, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        said = func(*args, **(kwargs or {}))
        self.run += 1
        shape = said.shape if isinstance(said, torch.Tensor) else ()
        rows = math.prod(shape[:-1])
        if rows > self.most or self.run == self.at:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nAnd more.")
        return said


def dpo(folder: Path, tokens: int = 10_000) -> Loop:
    told = {**SETTINGS, "hp": {"beta": 0.5}}
    (folder / "out").mkdir(parents=True)
    work = TRAIN.work(told, inputs(folder), folder / "out", {**CONTEXT, "method": "DPO", "tokens": tokens})
    return set_up(work, work.inputs.start)[0]


def step_of(loop: Loop) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """The terms and the gradient of a step over all examples."""
    loop.policy.zero_grad()
    return loop.gradient(range(len(loop.examples))), gradient_of(loop.policy)


def assert_alike(one: Sequence[Any], two: Sequence[Any]) -> None:
    assert one[0] == pytest.approx(two[0], rel=1e-5)
    for name, weight in one[1].items():
        torch.testing.assert_close(two[1][name], weight, rtol=1e-4, atol=1e-6)


def test_a_step_that_runs_out_of_memory_has_the_gradient_of_an_undisturbed_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At any moment: in the first pass, in a backward pass, in a later micro-batch."""
    loop = dpo(tmp_path, tokens=160)
    undisturbed = step_of(loop)
    parts = len(loop.micro_batches(range(12)))
    with Device() as counting:
        step_of(loop)
    for n, share in enumerate((0.05, 0.3, 0.6, 0.95)):
        loop = dpo(tmp_path / str(n), tokens=160)
        with Device(at=int(share * counting.run)):
            assert_alike(step_of(loop), undisturbed)
        assert loop.room.halved == 1 and len(loop.micro_batches(range(12))) > parts
        assert capsys.readouterr().err.count("DPO: out of memory; from here on micro-batches have") == 1


def test_micro_batches_are_halved_until_there_is_room(tmp_path: Path) -> None:
    loop = dpo(tmp_path)
    undisturbed, (whole,) = step_of(loop), loop.micro_batches(range(12))
    most = loop.examples.positions(whole) // 3
    with Device(most):
        assert_alike(step_of(loop), undisturbed)
    assert loop.room.halved > 1 and loop.room.tokens <= most
    assert loop.measure(range(12))[0] == pytest.approx(undisturbed[0], rel=1e-5)


def test_a_live_teacher_counts_what_it_read_once(tmp_path: Path) -> None:
    loop = loop_of(tmp_path, "GKD")
    assert loop.sampler
    with loop.sampler.draw(loop.examples, range(8), "x") as buffer:
        found = []
        for at in (-1, 400):
            for frozen in loop.frozen:
                frozen.tokens = frozen.answered = 0
            drawn = Loop(loop.method, loop.hp, loop.policy, buffer, loop.accelerator, loop.room)
            with Device(at=at):
                drawn.gradient(range(8))
            found.append([(frozen.tokens, frozen.answered) for frozen in loop.frozen])
    assert loop.room.halved and found[0] == found[1]


def test_one_example_that_has_no_room_is_told_with_what_to_set(tmp_path: Path) -> None:
    """What the line names is there: a suite takes the keys."""
    loop = dpo(tmp_path)
    with Device(5), pytest.raises(ValueError, match=r"at one example of \d+ positions: engine") as told:
        step_of(loop)
    assert "Tried to allocate" in str(told.value) and "\n" not in str(told.value)
    assert {"engine", "precision", "max_length"} <= Suite.model_fields.keys()


def test_kept_logits_are_given_up_before_one_example_is_refused(tmp_path: Path) -> None:
    """Logits are wider than all else of this model."""
    loop = dpo(tmp_path, tokens=1)
    undisturbed, policy = step_of(loop), loop.policy
    assert isinstance(policy, Policy) and policy.budget.keep > 0
    with Device(at=60):
        terms, gradient = step_of(loop)
    assert (policy.budget.keep, loop.room.halved) == (0, 0)
    assert terms == undisturbed[0]
    assert all(torch.equal(gradient[name], undisturbed[1][name]) for name in gradient)


def test_a_training_tells_how_often_and_goes_on_in_smaller_micro_batches(tmp_path: Path) -> None:
    work, whole = work_of(tmp_path, "DPO", "small", SHORT), work_of(tmp_path, "DPO", "whole", SHORT)
    with Device(100):
        measured = train.run(work)
    undisturbed = train.run(whole)
    alike(whole, work)
    assert (measured["halved"] > 0, undisturbed["halved"]) == (True, 0)
    assert measured["tokens"] == undisturbed["tokens"] and measured["flops"] == undisturbed["flops"]


TIGHT = """
import torch
from dataclasses import replace
from methods import registry

def loss(batch, hp):
    if len(batch.chosen.mask) > 1:
        raise torch.OutOfMemoryError("CUDA out of memory.")
    return registry()["DPO"].loss(batch, hp)

METHOD = replace(registry()["DPO"], name="Tight", loss=loss)
"""


def test_a_process_that_others_wait_for_does_not_compute_its_step_anew_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = dpo(tmp_path)
    for state in (AcceleratorState, PartialState):
        monkeypatch.setitem(state._shared_state, "distributed_type", DistributedType.MULTI_GPU)
    whole = loop.examples.positions(range(12))
    with Device(whole // 2), pytest.raises(NoRoom) as told:
        loop.terms(range(12))
    assert told.value.tokens == whole // 2


@pytest.mark.slow
def test_several_processes_start_again_in_smaller_micro_batches_and_do_not_hang(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tight.py"
    file.write_text(TIGHT)
    whole = work_of(tmp_path, "DPO", "whole", SHORT)
    tight = work_of(tmp_path, "DPO", "tight", SHORT, processes=2)
    tight = replace(tight, context={**tight.context, "method": "Tight", "method_file": str(file)})
    train.run(whole)
    measured = train.run(tight)
    alike(whole, tight)
    assert (
        measured["halved"] == capfd.readouterr().err.count("Tight: out of memory; the training goes on") > 0
    )
