"""What a training's log tells beside its loss, by hand."""

import pytest
import torch
from accelerate import Accelerator

from harness.train.optimizing.on_the_way import Told, means
from methods.batch import Batch, View
from methods.formulas import teacher_kl

MASK = torch.tensor([[True, True], [True, False]])


def view(policy: list[list[float]], ref: list[list[float]], mask: torch.Tensor = MASK) -> View:
    logps = {"policy": torch.tensor(policy), "ref": torch.tensor(ref)}
    return View(mask, 3, {teacher_kl: torch.tensor([[0.3, 0.6], [0.9, 99.0]])}, logps)


CHOSEN = view([[-1.0, -2.0], [-0.5, -9.0]], [[-2.0, -2.0], [-1.5, -9.0]])
REJECTED = view([[-3.0, -1.0], [-2.5, -9.0]], [[-2.0, -1.0], [-2.0, -9.0]])


def test_margins_and_means_are_those_of_the_loss_s_numbers() -> None:
    """Chosen -3 and -0.5, rejected -4 and -2.5: margins 1 and 2. Log-ratios 1 and 1 less -1 and -0.5."""
    found = means(Batch({"chosen": CHOSEN, "rejected": REJECTED}, 2))
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {
            "chosen.teacher_kl": 0.6,
            "chosen.log_ratio": 1.0,
            "rejected.teacher_kl": 0.6,
            "rejected.log_ratio": -0.75,
            "margin": 1.5,
            "reward_margin": 1.75,
        }
    )


def test_the_policy_s_own_responses_estimate_its_kl_and_entropy_per_token() -> None:
    """(1 + 0 + 1) / 3 and (1 + 2 + 0.5) / 3; what stands at masked positions is in nothing."""
    found = means(Batch({"policy_rollout": CHOSEN}, 2))
    assert float(found["policy_rollout.entropy"]) == pytest.approx(3.5 / 3)
    assert float(found["policy_rollout.kl_ref"]) == pytest.approx(2 / 3)
    assert "policy_rollout.log_ratio" not in found


def test_micro_batches_add_up_and_an_empty_one_counts_nothing() -> None:
    whole, told = means(Batch({"chosen": CHOSEN, "rejected": REJECTED}, 2)), Told(wanted=True)
    for row in range(2):
        parts = {}
        for name, of in (("chosen", CHOSEN), ("rejected", REJECTED)):
            logps = {role: x[[row]] for role, x in of.token_logps.items()}
            parts[name] = View(of.mask[[row]], 3, {s: x[[row]] for s, x in of.statistics.items()}, logps)
        told.add(Batch(parts, 2), empty=False)
        told.add(Batch(parts, 2), empty=True)
    added = told.means(Accelerator(cpu=True))
    assert added == pytest.approx({name: float(value) for name, value in whole.items()})
