"""Statistics of whole rows of log-probs, a chunk of rows at a time, in one pass over the head.

The backward pass evaluates the statistics again, under autograd, and carries their gradients on to hidden
states and head. The rows it needs are kept where the memory budget allows and recomputed where not, bit for
bit the same. With one statistic its derivative is computed in the forward pass, stored in place of the frozen
models' rows, and only scaled by each token's incoming gradient in the backward pass.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from methods.kernels.output_head import FLOAT, Gradients, Head, MemoryBudget, spans

# log-probs [n, V] of the policy, those of the frozen models in their order, which rows -> numbers, [n] each
Functions = Callable[[Tensor, Sequence[Tensor], slice], Sequence[Tensor]]


@dataclass(frozen=True)
class Hidden:
    """A frozen model's signal as final hidden states: its log-probs over all of V are recomputed a few rows
    at a time.
    """

    states: Tensor  # [N, d]
    head: Head


@dataclass(frozen=True)
class Pass:
    """What a pass over N rows asks: `of` sees the policy and the frozen models."""

    head: Head
    frozen: Sequence[Hidden]
    of: Functions
    count: int  # of functions
    budget: MemoryBudget

    def run(self, hidden: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        """Log-probs of `tokens`, and what the functions say, each [N]. Gradients reach hidden states
        [N, d] and head, never the frozen models.
        """
        if other := {f.head.vocab for f in self.frozen} - {self.head.vocab}:
            raise ValueError(
                f"a head over {self.head.vocab} tokens met one over {', '.join(map(str, other))}"
            )
        keep = self.budget.fits(len(tokens), self.head, copies=1 + len(self.frozen))
        said: tuple[Tensor, ...] = _Run.apply(  # type: ignore[no-untyped-call]
            hidden, self.head.weight, self.head.bias, tokens, self, keep
        )
        return said

    def blocks(self, n: int) -> Iterator[slice]:
        """Rows whose log-probs exist at once."""
        return spans(0, n, max(1, self.budget.rows // (FLOAT * self.head.vocab * (1 + len(self.frozen)))))

    def memory(self, rows: slice, like: Tensor) -> Tensor:
        """Space for the log-probs of some rows. [models, rows, V]"""
        shape = (1 + len(self.frozen), rows.stop - rows.start, self.head.vocab)
        return like.new_empty(shape, dtype=torch.float32)

    def chunks(self, rows: slice) -> Iterator[slice]:
        """Rows that elementwise work goes over at once."""
        return spans(rows.start, rows.stop, max(1, self.budget.chunk // (FLOAT * self.head.vocab)))

    def columns(self, rows: slice) -> Iterator[slice]:
        """Columns of the vocabulary that are multiplied at once."""
        return spans(0, self.head.vocab, max(1, self.budget.tile // (FLOAT * (rows.stop - rows.start))))

    def write(self, factor: Tensor, rows: slice, out: Tensor) -> Tensor:
        """Log-probs of all models into `out` [models, rows, V]. Returns the logsumexp of the policy's logits,
        [rows].
        """
        level = out.new_empty(rows.stop - rows.start)
        frozen = ((f.head, f.head.factor(f.states[rows].detach())) for f in self.frozen)
        for i, (head, states) in enumerate([(self.head, factor[rows]), *frozen]):
            for columns in self.columns(rows):
                head.write_logits(states, columns, out[i, :, columns])
            for chunk in self.chunks(slice(0, len(states))):
                z = out[i, chunk]
                first = z[:, 0].clone()
                torch.log_softmax(z, -1, out=z)
                if i == 0:
                    level[chunk] = first - z[:, 0]
        return level

    def gradient(
        self,
        log_probs: Sequence[Tensor],
        level: Tensor,
        tokens: Tensor,
        at: slice,
        gs: Sequence[Tensor | None],
        kept: bool,
    ) -> None:
        """Put the gradient of the policy's logits at rows `at` in the place of its log-probs; `kept`: a
        single function's slope stands in the place of the others.
        """
        policy, *others = log_probs
        slope = None if self.head.softcap is None else self.head.slope(policy + level[:, None])
        g_logps = None if gs[0] is None else gs[0][at, None]
        if self.count == 1:
            g_stats = self._of_one(policy, others, at, gs[1], kept)
        else:
            g_stats = self._of_functions(policy, others, at, gs[1:])
        share = sum((g.sum(-1, keepdim=True) for g in (g_logps, g_stats) if g is not None), torch.zeros(()))
        policy.exp_().mul_(-share)
        if g_stats is not None:
            policy += g_stats
        if g_logps is not None:
            policy.scatter_add_(-1, tokens[at, None], g_logps)
        if slope is not None:
            policy *= slope

    def with_slope(self, policy: Tensor, others: Sequence[Tensor], at: slice) -> tuple[Tensor, Tensor | None]:
        """What the single function says, [n], and how it changes with its own row, where it does. [n, V]"""
        with torch.enable_grad():
            (said,) = self.of(leaf := policy.detach().requires_grad_(), others, at)
        found = torch.autograd.grad(said, leaf, torch.ones_like(said)) if said.requires_grad else (None,)
        return said.detach(), found[0]

    def _of_one(
        self, policy: Tensor, others: Sequence[Tensor], at: slice, g: Tensor | None, kept: bool
    ) -> Tensor | None:
        """The gradient of the single function with respect to the policy's log-probs. [n, V]"""
        if g is None:
            return None
        slope = others[0] if kept else self.with_slope(policy, others, at)[1]
        return None if slope is None else slope * g[at, None]

    def _of_functions(
        self, policy: Tensor, others: Sequence[Tensor], at: slice, gs: Sequence[Tensor | None]
    ) -> Tensor | None:
        """The gradient of the functions with respect to the policy's log-probs, where there is one. [n, V]"""
        if all(g is None for g in gs):
            return None
        with torch.enable_grad():
            said = self.of(leaf := policy.detach().requires_grad_(), others, at)
        pairs = [(x, g[at]) for x, g in zip(said, gs, strict=True) if g is not None and x.requires_grad]
        if not pairs:
            return None
        outputs, weights = zip(*pairs, strict=True)
        return torch.autograd.grad(outputs, leaf, weights)[0]


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, tokens: Tensor, asked: Pass, keep: bool
    ) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.asked, ctx.kept = asked, {}
        ctx.slopes = keep and asked.count == 1 and len(asked.frozen) > 0
        said: tuple[Tensor, ...] = ()
        factor, memory = asked.head.factor(hidden), None
        for rows in asked.blocks(len(tokens)):
            if memory is None or keep or memory.shape[1] != rows.stop - rows.start:
                memory = asked.memory(rows, factor)
            level = asked.write(factor, rows, memory)
            for at in asked.chunks(rows):
                policy, *others = memory[:, at.start - rows.start : at.stop - rows.start]
                logps = policy.gather(-1, tokens[at, None])[:, 0]
                if ctx.slopes:
                    value, slope = asked.with_slope(policy, others, at)
                    others[0][:] = 0 if slope is None else slope
                    found = (logps, value)
                else:
                    found = (logps, *asked.of(policy, others, at))
                said = said or tuple(x.new_empty(len(tokens)) for x in found)
                for into, x in zip(said, found, strict=True):  # small results, kept, would scatter the memory
                    into[at] = x
            if keep:
                ctx.kept[rows.start] = memory, level
        ctx.save_for_backward(factor, weight, bias, tokens)
        return said

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gs: Tensor | None) -> tuple[Tensor | None, ...]:
        factor, _, _, tokens = ctx.saved_tensors
        asked, memory = ctx.asked, None
        sums = Gradients(asked.head, factor, ctx.needs_input_grad)
        for rows in asked.blocks(len(tokens)):
            kept = rows.start in ctx.kept
            if kept:  # used up: a second backward pass would compute it again
                memory, level = ctx.kept.pop(rows.start)
            else:
                if memory is None or memory.shape[1] != rows.stop - rows.start:
                    memory = asked.memory(rows, factor)
                level = asked.write(factor, rows, memory)
            for at in asked.chunks(rows):
                chunk = slice(at.start - rows.start, at.stop - rows.start)
                asked.gradient(memory[:, chunk].unbind(), level[chunk], tokens, at, gs, kept and ctx.slopes)
            for columns in asked.columns(rows):
                sums.add(memory[0, :, columns], rows, columns)
        return *sums.found(), None, None, None
