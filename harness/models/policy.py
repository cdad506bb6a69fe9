"""The model that is trained, as accelerate wraps it: token ids in, per-token statistics out.

Nothing calls below this module: a body that is called through an unwrapped model leaves gradients
unsynchronised.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.models import memory, prefix_sharing
from harness.models.loading import Model, body, head_of
from harness.models.prefix_sharing import Rows, gather
from methods.batch import Role, Statistic
from methods.kernels.output_head import Head, MemoryBudget
from methods.kernels.token_statistics import Signal, token_statistics


@dataclass(frozen=True)
class Inputs:
    """A padded view: ids and mask [B, T]; `at` says where the N response tokens stand among its B * T places;
    signals hold one row for each of them, sequence by sequence.
    """

    ids: Tensor
    mask: Tensor
    at: Tensor
    signals: Mapping[Role, Signal]
    stats: Sequence[Statistic]
    values: bool = False  # whether the scalar head is asked


@dataclass(frozen=True)
class Scored:
    """What the policy says of one view, each [B, T] and 0 off the mask; values where they were asked for."""

    mask: Tensor
    at: Tensor  # [N] the places of the mask's tokens among B * T
    logps: Tensor
    statistics: dict[Statistic, Tensor]
    values: Tensor | None


def sent(x: Tensor, device: torch.device | None) -> Tensor:
    """The same on a device; a GPU fetches it while this process goes on."""
    fetched = device is not None and device.type == "cuda" and x.device.type == "cpu"
    return x.pin_memory().to(device, non_blocking=True) if fetched else x.to(device)


def pad(rows: Sequence[Sequence[int]], device: torch.device | None = None) -> Tensor:
    """Right-padded ids, [B, T]; what stands behind a sequence is never looked at."""
    padded = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = torch.tensor(row)
    return sent(padded, device)


def places_of(masks: Sequence[Sequence[bool]], device: torch.device | None = None) -> Tensor:
    """Where the tokens of some masks stand in their padded batch, [B, T] flattened. [N]

    Counted here, since a GPU that is asked which places a mask has makes the process wait for all it does.
    """
    longest = max(map(len, masks))
    found = np.concatenate([np.flatnonzero(mask) + i * longest for i, mask in enumerate(masks)])
    return sent(torch.from_numpy(found), device)


def spread(x: Tensor, at: Tensor, mask: Tensor) -> Tensor:
    """Numbers of response tokens, [N], at their places, 0 elsewhere. [B, T]"""
    return torch.zeros(mask.numel(), device=x.device).scatter(0, at, x).view(mask.shape)


@contextmanager
def tied(model: Model, head: Head) -> Iterator[None]:
    """While inside, an embedding that is the head's matrix is read through it; the head's gradient takes in
    the few rows of the embedding's: there is no second matrix of them. (Not on a GPU, where the order of that
    sum would change from run to run.)
    """
    embedding = model.get_input_embeddings()
    if embedding.weight is not model.get_output_embeddings().weight or head.weight.device.type != "cpu":
        yield
        return
    vars(embedding)["weight"], embedding.sparse = head.weight, True  # hides the parameter of this name
    try:
        yield
    finally:
        del vars(embedding)["weight"]
        embedding.sparse = False


class Policy(nn.Module):
    """A causal language model that returns statistics of the response tokens of several views.

    With `valued` a scalar head on the same hidden states, 0 at first, gives each state a value. `free` says
    how many bytes logits may take of the budget at this moment; they come last, when states and all that the
    body keeps for its backward pass are there. `offload` has that wait in the host's memory.
    """

    def __init__(self, model: Model, vocab: int, budget: MemoryBudget, valued: bool = False) -> None:
        super().__init__()
        self.model, self.vocab, self.budget = model, vocab, budget
        self.offload = False
        self.free: Callable[[Iterable[nn.Parameter]], int] | None = None  # asked with the weights
        self.value = nn.Linear(model.get_output_embeddings().weight.shape[1], 1) if valued else None
        if self.value is not None:
            nn.init.zeros_(self.value.weight)
            nn.init.zeros_(self.value.bias)

    def tie_weights(self) -> None:
        """Makes one matrix again of an embedding and a head that were one; accelerate calls it where it has
        put other tensors in the place of the weights.
        """
        self.model.tie_weights()

    def forward(self, views: Sequence[Inputs], hp: Any, rows: Rows | None = None) -> list[Scored]:
        """One pass of the body over all views, as one row where `rows` lays them out, then each view's
        statistics. Everything [B, T] per view.
        """
        device = views[0].ids.device.type
        half = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        head = head_of(self.model, self.vocab).shared(half)
        offload = memory.offloaded(self.model.parameters()) if self.offload else nullcontext()
        with tied(self.model, head), offload:
            states, places = self._states(views, rows)
        # Logits of all views live until the backward pass, so they share what may be kept.
        budget = replace(self.budget, keep=self._kept() // len(views))
        scored = []
        for view, place in zip(views, places, strict=True):
            # [N, d] the state that predicts a token
            wide = view.ids.shape[1]
            before = gather(states, place[view.at // wide, view.at % wide - 1])
            tokens = view.ids.flatten()[view.at]
            logps, statistics = token_statistics(before, head, tokens, view.stats, view.signals, hp, budget)
            placed = {s: spread(x, view.at, view.mask) for s, x in statistics.items()}
            values = None
            if self.value is not None and view.values:
                values = spread(self.value(before).squeeze(-1).float(), view.at, view.mask)
            scored.append(Scored(view.mask, view.at, spread(logps, view.at, view.mask), placed, values))
        return scored

    def _kept(self) -> int:
        """Bytes of logits that may be kept for a backward pass."""
        if self.free is None or not torch.is_grad_enabled():
            return self.budget.keep
        return min(self.budget.keep, self.free(self.parameters()))

    def _states(self, views: Sequence[Inputs], rows: Rows | None) -> tuple[Tensor, Sequence[Tensor]]:
        """Final hidden states, [N, d], and where each token of a view has its own, [B, T] a view."""
        longest, sizes = max(v.ids.shape[1] for v in views), [len(v.ids) for v in views]
        if rows:
            return prefix_sharing.states(self.model, rows), torch.split(rows.places, sizes)
        ids = torch.cat([nn.functional.pad(v.ids, (0, longest - v.ids.shape[1])) for v in views])
        places = torch.arange(ids.numel(), device=ids.device).view(ids.shape)
        states = body(self.model, ids, prefix_sharing.masks_of_padded(self.model, longest))
        return states.flatten(0, 1), torch.split(places, sizes)
