"""The scalar head of a method that reads state values: it learns beside the policy, at a rate and under a
gradient norm of its own, and for the first steps alone.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_scheduler

from harness.models.policy import Policy
from harness.train.accelerate_setup import number
from methods.api import Online, Training

Shape = Callable[[int], float]  # share of a learning rate at an optimizer step, from 0


def groups(policy: Policy, recipe: Online | None) -> list[dict[str, Any]]:
    """What is trained, as an optimizer takes it: the language model's weights, then those of the head."""
    of_model: dict[str, Any] = {"params": [w for w in policy.model.parameters() if w.requires_grad]}
    if recipe is None or policy.value is None:
        return [of_model]
    return [of_model, {"params": list(policy.value.parameters()), "lr": recipe.value_lr}]


def steps_alone(recipe: Online | None, steps: int) -> int:
    """The optimizer steps at the start that leave the language model as it is."""
    return round(recipe.value_alone * steps) if recipe else 0


def schedule(training: Training, recipe: Online | None, optimizer: Any, steps: int) -> LambdaLR:
    """The learning rates of both groups: the language model's begins where the head no longer learns alone,
    the head's at once and without a warm-up.
    """
    if recipe is None or recipe.value_lr is None:
        return _of(training, optimizer, training.warmup, steps)
    alone = steps_alone(recipe, steps)
    of_model = _shape(training, training.warmup, steps - alone)
    return LambdaLR(
        optimizer,
        [lambda step: of_model(step - alone) if step >= alone else 0.0, _shape(training, 0.0, steps)],
    )


def _of(training: Training, optimizer: Any, warmup: float, steps: int) -> LambdaLR:
    waves = {"num_cycles": training.cycles} if training.schedule == "cosine" else None
    found: LambdaLR = get_scheduler(training.schedule, optimizer, round(warmup * steps), steps, waves)
    return found


def _shape(training: Training, warmup: float, steps: int) -> Shape:
    unmoved = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    (shape,) = _of(training, unmoved, warmup, steps).lr_lambdas
    return shape


def clipped(accelerator: Accelerator, policy: nn.Module, limit: float) -> float:
    """The norm of all gradients, of which the head's are clipped for themselves: a value far off would
    otherwise leave the language model next to nothing of the limit.
    """
    plain = accelerator.unwrap_model(policy)
    if plain.value is None:
        return number(accelerator.clip_grad_norm_(policy.parameters(), limit))
    of_model = number(accelerator.clip_grad_norm_(plain.model.parameters(), limit))
    return math.hypot(of_model, number(nn.utils.clip_grad_norm_(plain.value.parameters(), limit)))


def drop_gradient(policy: Policy) -> None:
    """Leave the language model out of the next optimizer step: AdamW keeps no moments of what has no
    gradient.
    """
    for weight in policy.model.parameters():
        weight.grad = None
