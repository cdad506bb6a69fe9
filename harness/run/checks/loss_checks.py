"""What a loss should be: the same of one batch each time, and the sum of what it is of micro-batches.

    Hinge's loss: x is 1.5 of two examples at once and 3 of one after the other

How many examples stand in a micro-batch hangs on lengths and on memory, so a loss that divides by what is
there (`.mean()`) has another gradient on another machine, and none of them is the one that was written down.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from methods.batch import Batch, Terms, View

ROUNDING = 1e-4  # of a number, or of the largest of a gradient: float32 sums in another order
SMALL = 1e-2  # below it a number may be what is left of larger ones, and rounding as large as it is

Loss = Callable[[Batch, Any], Terms]
Key = TypeVar("Key")


def check(where: str, loss: Loss, hp: Any, step: Batch, weights: Tensor) -> None:
    """ValueError for a loss that says other things the next time, or of an optimizer step's examples one by
    one; `weights` are what its gradient goes to.
    """
    terms, again = loss(step, hp), loss(step, hp)
    for name, value in terms.items():
        if name in again and not _alike(value, again[name]):
            raise ValueError(
                f"{where}'s loss: {name} is {value:.6g} and then {again[name]:.6g} of one batch; the same "
                "each time, by nothing but its batch and settings: nobody could train so again"
            )
    parts = [loss(_example(step, i), hp) for i in range(step.step_examples)]
    for name, value in terms.items():
        if (found := [part[name] for part in parts if name in part]) and not _alike(value, _sum(found)):
            raise ValueError(f"{where}'s loss: {name} is {value:.6g} {_apart(f'{_sum(found):.6g}')}")
    at_once, by_one = (
        torch.autograd.grad(total, weights, retain_graph=True)[0]
        for total in (_sum(terms.values()), _sum([value for part in parts for value in part.values()]))
    )
    if not _alike(at_once, by_one):
        raise ValueError(f"{where}'s loss has one gradient {_apart('another')}")


def _apart(other: str) -> str:
    return (
        f"of two examples at once and {other} of one after the other: divide by the counts of the whole step "
        "(example_mean, token_mean), not by what is there (.mean())"
    )


def _sum(values: Any) -> Tensor:
    return torch.stack([value.float() for value in values]).sum()


def _alike(a: Tensor, b: Tensor) -> bool:
    """Whether two are the same but for rounding, of numbers that are not finite too."""
    largest = max(SMALL, float(a.detach().float().abs().nan_to_num(0, 0, 0).max()))
    return torch.allclose(a.float(), b.float(), rtol=ROUNDING, atol=ROUNDING * largest, equal_nan=True)


def _example(step: Batch, i: int) -> Batch:
    """One example as a micro-batch of the step: no longer than its own responses, and the step's counts."""
    return replace(
        step, views={name: _rows(view, i, step.step_examples) for name, view in step.views.items()}
    )


def _rows(view: View, i: int, examples: int) -> View:
    each = len(view.mask) // examples
    rows = slice(i * each, (i + 1) * each)
    longest = int(view.mask[rows].sum(-1).max())

    def of(held: Mapping[Key, Tensor]) -> dict[Key, Tensor]:
        return {
            key: values[rows, :longest] if values.dim() > 1 else values[rows] for key, values in held.items()
        }

    return replace(
        view,
        mask=view.mask[rows, :longest],
        statistics=of(view.statistics),
        token_logps=of(view.token_logps),
        state_values=of(view.state_values),
        sequence_scores=of(view.sequence_scores),
    )
