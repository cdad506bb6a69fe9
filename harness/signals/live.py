"""Frozen models that run while the student trains, and what the policy said when it drew its rollouts.

They stand where `harness.signals.stored` has folders, and say the same numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from harness.data.token_sequences import Sequences
from harness.models.loading import Model, body, forward_flops
from harness.models.policy import pad, places_of
from harness.signals.stored import arrays_of
from methods.kernels.token_statistics import Head, Hidden, Signal, TopK


class SignalSource(Protocol):
    """What one frozen model says of the sequences of a view, asked for by sequence."""

    def logps(self, batch: list[int]) -> Tensor:
        """Log-probs of the realised tokens of some sequences, one after the other. [N]"""

    def distributions(self, batch: list[int], device: torch.device, ids: Tensor | None) -> Signal:
        """The distributions at the response tokens of some sequences; a live top-k stands at `ids`."""

    def prefetch(self, batch: list[int]) -> None:
        """What of some sequences will be asked for soon."""


@dataclass
class Frozen:
    """A frozen model in memory; counts what it has been run over."""

    model: Model
    head: Head
    # FLOPs are counted as it runs: nobody knows before how many rollouts a live model reads.
    tokens: int = 0
    answered: int = 0

    @property
    def flops(self) -> int:
        """2 per parameter and token of what it was run over, the output head on response tokens only."""
        return forward_flops(self.model, self.tokens, self.answered)


class Live:
    """What a frozen model says of sequences, asked at each step; k = 0: over all of V.

    Log-probs are kept, since a buffer of rollouts is gone through more than once.
    """

    def __init__(self, frozen: Frozen, sequences: Sequences, k: int = 0) -> None:
        self.frozen, self.sequences, self.k = frozen, sequences, k
        self._logps: dict[int, Tensor] = {}

    def on_sequences(self, sequences: Sequences) -> "Live":
        """The same model on other sequences."""
        return Live(self.frozen, sequences, self.k)

    def logps(self, batch: list[int]) -> Tensor:
        if new := [i for i in batch if i not in self._logps]:
            states, tokens = self._run(new)
            flat = arrays_of(self.frozen.head, states, tokens, 0, None)["logps"]
            lengths = [int(self.sequences.response_lengths[i]) for i in new]
            self._logps |= zip(new, torch.split(flat, lengths), strict=True)
        return torch.cat([self._logps[i] for i in batch])

    def distributions(self, batch: list[int], device: torch.device, ids: Tensor | None = None) -> Signal:
        states, tokens = self._run(batch)
        if not self.k:
            return Hidden(states, self.frozen.head)
        arrays = arrays_of(self.frozen.head, states, tokens, min(self.k, self.frozen.head.vocab), ids)
        return TopK(arrays["ids"].long(), arrays["top"], arrays["rest"], realised=True)

    def prefetch(self, batch: list[int]) -> None:
        """Nothing of it lies on a disk."""

    @torch.no_grad()
    def _run(self, batch: list[int]) -> tuple[Tensor, Tensor]:
        """Final hidden states before the response tokens, [N, d], and those tokens, [N]."""
        read, device = [self.sequences[i] for i in batch], self.frozen.model.device
        ids, at = pad([s.ids for s in read], device), places_of([s.mask for s in read], device)
        self.frozen.tokens += sum(len(s.ids) for s in read)
        self.frozen.answered += len(at)
        states = body(self.frozen.model, ids).flatten(0, 1)
        return states[at - 1], ids.flatten()[at]


class OldPolicy:
    """What the policy said of its own rollouts when it drew them, sequence by sequence."""

    def __init__(self, logps: Mapping[int, Tensor], values: Mapping[int, Tensor]) -> None:
        self._logps, self._values = logps, values

    def logps(self, batch: list[int]) -> Tensor:
        return torch.cat([self._logps[i] for i in batch])

    def values(self, batch: list[int]) -> Tensor:
        """State values before the response tokens of some sequences. [N]"""
        return torch.cat([self._values[i] for i in batch])
