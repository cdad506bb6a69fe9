"""The head behind state values learns beside the policy, at its own rate, and at first alone."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.train.examples import TrainWork
from harness.train.optimizing import value_head
from methods.api import Needs, Online, Reads, Training
from tests.harness.models.tiny_models import tiny_folder
from tests.harness.train.test_online import loop_of, work_of
from tests.harness.train.test_passes import trained


def sure(work: TrainWork) -> TrainWork:
    """The same with a student of 64 hidden units, and teachers of which the first knows what it wants: most
    responses have a reward below 0.
    """
    tiny_folder(work.inputs.start, hidden=64)
    for role, scale in (("teacher", 1.5), ("teacher_ref", 0.0)):
        file = work.inputs.live[role] / "model.safetensors"
        weights = load_file(file)
        weights["model.norm.weight"] *= scale
        save_file(weights, file, {"format": "pt"})
    return work


@pytest.mark.parametrize("method", ["DPPO[token]", "DPPO[sequence]"])
def test_the_value_learns_at_the_setting_that_ships(tmp_path: Path, method: str) -> None:
    """At ADPA's learning rate for the policy; a head that shared it would stay where it began."""
    _, told = trained(sure(work_of(tmp_path / "own", method)), lr=5e-7, epochs=20)
    _, shared = trained(sure(work_of(tmp_path / "shared", method, value_lr=5e-7)), lr=5e-7, epochs=2)
    assert told["after"]["value"] < 0.9 * told["before"]["value"]
    assert shared["after"]["value"] == pytest.approx(shared["before"]["value"], rel=1e-3)


def test_the_first_steps_leave_the_policy_as_it_is(tmp_path: Path) -> None:
    """All of them: the head alone has moved, and the model is the one that training started from."""
    work = sure(work_of(tmp_path, value_alone=1.0))
    _, told = trained(work, epochs=2)
    before, after = (load_file(at / "model.safetensors") for at in (work.inputs.start, work.out))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert told["moved"] == 0 and told["after"]["value"] < told["before"]["value"]


def rates(alone: float, steps: int = 10) -> list[list[float]]:
    """The learning rates of policy and head at each step: linear, the policy's after two of warm-up."""
    recipe, training = Online(value_lr=1e-2, value_alone=alone), Training(1.0, warmup=0.4, schedule="linear")
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": [weights[0]]}, {"params": [weights[1]], "lr": recipe.value_lr}]
    optimizer = torch.optim.AdamW(groups, lr=training.lr)
    schedule, found = value_head.schedule(training, recipe, optimizer, steps), []
    for _ in range(steps):
        found.append([float(rate) for rate in schedule.get_last_lr()])
        optimizer.step()
        schedule.step()
    return [list(of) for of in zip(*found, strict=True)]


def test_the_policys_rate_begins_where_the_head_no_longer_learns_alone() -> None:
    """Five steps alone, then two of warm-up and three down to nothing; the head's falls over all ten."""
    policy, head = rates(alone=0.5)
    assert policy == pytest.approx([0, 0, 0, 0, 0, 0, 1 / 2, 1, 2 / 3, 1 / 3])
    assert head == pytest.approx([1e-2 * (10 - k) / 10 for k in range(10)])


def test_a_value_far_off_leaves_the_policys_gradient_as_it_is(tmp_path: Path) -> None:
    """Each is clipped to a norm of 1 for itself; together a head at a norm of 100 would take all of it."""
    loop = loop_of(tmp_path)
    policy = loop.accelerator.unwrap_model(loop.policy)
    for weight in policy.parameters():
        weight.grad = torch.zeros_like(weight)
    policy.model.get_input_embeddings().weight.grad[0, 0] = 0.5
    policy.value.bias.grad.fill_(100.0)
    assert value_head.clipped(loop.accelerator, loop.policy, 1.0) == pytest.approx(100.00125)
    assert float(policy.model.get_input_embeddings().weight.grad[0, 0]) == 0.5
    assert float(policy.value.bias.grad) == pytest.approx(1.0)


def test_a_method_that_reads_state_values_says_how_they_are_learned() -> None:
    with pytest.raises(ValueError, match="state values are read, so `online` must say their `value_lr`"):
        Needs({"policy_rollout": Reads(values=("policy",))}, online=Online())
