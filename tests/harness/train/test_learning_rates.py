"""The learning rate over a stage's optimizer steps, beside torch's own schedules."""

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

import methods
from harness.suite.training import TrainingSpec
from harness.train.optimizing import value_head
from methods.api import Training


def optimizer(lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def over(steps: int, of: torch.optim.Optimizer, schedule: LRScheduler) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        of.step()
        schedule.step()
    return found


def test_the_recipe_of_dpkds_code_falls_over_20_of_30_epochs_and_rises_again() -> None:
    """T_max is 20 of 30 epochs, of 7 optimizer steps each; that code's least rate is 1e-7."""
    training, steps = methods.registry()["DPKD[token]"].training, 30 * 7
    assert (training.warmup, training.weight_decay, training.epochs) == (0.0, 1e-2, 30)
    ours, theirs = optimizer(training.lr), optimizer(training.lr)
    found = over(steps, ours, value_head.schedule(training, None, ours, steps))
    known = over(steps, theirs, CosineAnnealingLR(theirs, T_max=20 * 7, eta_min=1e-7))
    assert found == pytest.approx(known, abs=1.001e-7)
    assert found[0] == 5e-4 and min(found) == found[20 * 7] == 0
    assert 2.4e-4 < found[-1] < 2.5e-4


@pytest.mark.parametrize("schedule", ["linear", "constant"])
def test_a_schedule_that_a_suite_names_is_not_bent_by_a_published_recipe(schedule: str) -> None:
    published = methods.registry()["DPKD[token]"].training
    assert TrainingSpec(schedule=schedule).over(published).cycles == 0.5
    assert TrainingSpec(schedule="cosine").over(published).cycles == 0.5
    assert TrainingSpec(lr=1e-3).over(published).cycles == 0.75


def test_cycles_of_what_is_no_cosine_are_refused() -> None:
    with pytest.raises(ValueError, match=r"cycles: 0\.75 is of schedule cosine, not linear"):
        TrainingSpec(cycles=0.75).over(Training(lr=1e-3, schedule="linear"))
