"""What a loss is fed: examples of several views, their stored signals, and the counts of a whole optimizer
step.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from harness.models import load_head
from harness.policy import Inputs, Scored, pad
from harness.sequences import Ints, Sequences, batches_of
from harness.signals import Signals
from methods.api import Batch, Needs, Role, View, ViewName


@dataclass(frozen=True)
class Examples:
    """The examples that every view holds, in the order of their rows."""

    needs: Needs
    views: Mapping[ViewName, Sequences]
    at: Mapping[ViewName, Ints]  # view -> index of each example's sequence
    signals: Mapping[tuple[ViewName, Role], Signals]
    device: torch.device

    def __len__(self) -> int:
        return len(next(iter(self.at.values())))

    @cached_property
    def lengths(self) -> Ints:
        """Tokens of each example's longest view. [n]"""
        longest: Ints = np.max([v.lengths[self.at[name]] for name, v in self.views.items()], axis=0)
        return longest

    def tokens(self, examples: Sequence[int]) -> dict[ViewName, tuple[int, int]]:
        """Per view all tokens and response tokens of some examples."""
        picked = {name: self.at[name][list(examples)] for name in self.views}
        return {
            name: (int(v.lengths[picked[name]].sum()), int(v.response_lengths[picked[name]].sum()))
            for name, v in self.views.items()
        }

    def inputs(self, examples: Sequence[int]) -> list[Inputs]:
        """The views of some examples, padded, with what the frozen models say of them."""
        found = []
        for name, reads in self.needs.views.items():
            batch = [int(self.at[name][e]) for e in examples]
            read = [self.views[name][i] for i in batch]
            roles = {role for s in reads.stats for role in s.reads}
            dense = {r: self.signals[name, r].distributions(batch, self.device) for r in roles}
            ids, mask = (
                pad([s.ids for s in read], self.device),
                pad([s.mask for s in read], self.device).bool(),
            )
            found.append(Inputs(ids, mask, dense, reads.stats))
        return found

    def batch(self, examples: Sequence[int], scored: Sequence[Scored], step: Sequence[int]) -> Batch:
        """What the loss sees of a micro-batch, with the counts of the whole step's examples."""
        counts, views = self.tokens(step), {}
        for (name, reads), inputs_scored in zip(self.needs.views.items(), scored, strict=True):
            batch = [int(self.at[name][e]) for e in examples]
            logps: dict[Role, torch.Tensor] = {}
            mask = inputs_scored.mask
            for role in reads.logps:
                if role == "policy":
                    logps[role] = inputs_scored.logps
                else:
                    stored = self.signals[name, role].logps(batch).to(self.device)
                    logps[role] = torch.zeros(mask.shape, device=self.device).masked_scatter(mask, stored)
            views[name] = View(mask, counts[name][1], inputs_scored.statistics, logps)
        return Batch(views, len(step))

    def micro_batches(self, examples: Sequence[int], tokens: int) -> list[list[int]]:
        """The examples of a step, those of like length together, at most `tokens` padded positions over all
        views.
        """
        order = sorted(examples, key=lambda e: int(self.lengths[e]))
        return batches_of(order, self.lengths, max(1, tokens // len(self.views)))


def load(needs: Needs, inputs: Mapping[str, Path], device: torch.device) -> Examples:
    """The examples of a training step's inputs: "view.<view>", "signal.<view>.<role>" and "head.<role>"."""
    views = {name: Sequences(inputs[f"view.{name}"]) for name in needs.views}
    shared = set.intersection(*(set(v.rows.tolist()) for v in views.values()))
    if not shared:
        raise ValueError(
            f"no example has all of the views {', '.join(views)}: everything was dropped on the way"
        )
    heads = {
        name.removeprefix("head."): load_head(folder, device)
        for name, folder in inputs.items()
        if name.startswith("head.")
    }
    signals = {
        (name, role): Signals(inputs[f"signal.{name}.{role}"], views[name], heads.get(role))
        for name, reads in needs.views.items()
        for role in sorted(reads.signal_roles())
    }
    at = {
        name: np.array([i for i, r in enumerate(v.rows.tolist()) if r in shared]) for name, v in views.items()
    }
    return Examples(needs, views, at, signals, device)


def orders(n: int, batch: int, steps: int, seed: int) -> Iterator[list[int]]:
    """The examples of each optimizer step: the seed alone fixes them. Every epoch is a permutation of all
    n.
    """
    draw = torch.Generator().manual_seed(seed)
    waiting: list[int] = []
    for _ in range(steps):
        while len(waiting) < batch:
            waiting += torch.randperm(n, generator=draw).tolist()
        yield waiting[:batch]
        waiting = waiting[batch:]
