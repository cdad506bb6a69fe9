"""From final hidden states to log-probs: a model's own head, and a pass over it that never sees a whole row.

    logits = softcap(scale * (hidden @ weight.T + bias))    columns of real tokens only

`at_ids` asks for a few columns and for the mass beside them. It goes over tiles of [rows, columns] that a
cache holds, with a running maximum and sum (Milakov and Gimelshein, arXiv 1805.02867). What its backward pass
needs of size [N, V] is kept where `MemoryBudget` allows and recomputed where not, bit for bit the same. What
runs over V is float32, sums of products too, whatever the factors are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

FLOAT = 4  # bytes
LINE = 16  # numbers of a processor's cache line
HALVES = (torch.bfloat16, torch.float16)


def product(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """a @ b, added up in float32 and not rounded after. [n, k] x [k, m] -> [n, m]

    Products of two numbers of 16 bits are exact in float32: a GPU multiplies such factors as they are, and
    has no gradient for it.
    """
    if a.is_cuda and a.dtype == b.dtype and a.dtype in HALVES:
        return torch.mm(a, b, torch.float32, out=out)
    return torch.mm(a.float(), b.float(), out=out)


@dataclass
class Sum:
    """The gradient of a weight over all passes that have run so far, float32; None before the first."""

    weight: Tensor | None = None


@dataclass(frozen=True)
class Head:
    """The map from final hidden states to logits that a model applies itself.

    weight [V', d] and bias [V'] are the output embedding's; `vocab` <= V' is the number of real tokens
    (tokenizers of one family are padded to different V'); softcap is Gemma-2's c in c * tanh(z / c); scale
    multiplies the logits. `sum` is where several passes over one head add up its gradient; `half` is the
    weight in the dtype of autocast, in which they multiply.
    """

    weight: Tensor
    bias: Tensor | None
    vocab: int
    softcap: float | None = None
    scale: float = 1.0
    sum: Sum | None = None
    half: Tensor | None = None

    def shared(self, dtype: torch.dtype | None) -> "Head":
        """The same head for several passes, whose gradients of it take the memory of one; `dtype` is that of
        autocast, None without.
        """
        total = Sum()
        half = None if dtype is None else self.weight.detach().to(dtype)
        weight: Tensor = _Shared.apply(self.weight, total)  # type: ignore[no-untyped-call]
        return replace(self, weight=weight, sum=total, half=half)

    @property
    def matrix(self) -> Tensor:
        """The weight as it is multiplied."""
        return self.weight if self.half is None else self.half

    def factor(self, hidden: Tensor) -> Tensor:
        """Hidden states as they are multiplied: float32 and times `scale`, or rounded as the matrix is."""
        if hidden.dtype == self.matrix.dtype and self.scale == 1:
            return hidden
        scaled = hidden.float() * self.scale
        return scaled if self.half is None else scaled.to(self.half.dtype)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits of the real tokens, float32 whatever the states' dtype. [N, d] -> [N, vocab]

        Advantages are differences of two teachers' logits: rounded to bfloat16, a third of one is noise.
        """
        with torch.autocast(hidden.device.type, enabled=False):
            z = product(self.factor(hidden), self.matrix[: self.vocab].T)
            if self.bias is not None:
                z = z + self.bias[: self.vocab].float() * self.scale
        return z if self.softcap is None else self.softcap * torch.tanh(z / self.softcap)

    def logprobs(self, hidden: Tensor) -> Tensor:
        """log_softmax over the real tokens, float32. [N, d] -> [N, vocab]"""
        return F.log_softmax(self.logits(hidden), -1)

    def write_logits(self, factor: Tensor, columns: slice, out: Tensor) -> Tensor:
        """The same numbers of some columns, into `out` [N, columns]. No gradient."""
        product(factor, self.matrix[columns].T, out)
        if self.bias is not None:
            out += self.bias[columns].float() * self.scale
        return out if self.softcap is None else out.div_(self.softcap).tanh_().mul_(self.softcap)

    def slope(self, z: Tensor) -> Tensor | None:
        """d z / d x at z = c * tanh(x / c), which is 1 - (z / c)^2; None where it is 1."""
        return None if self.softcap is None else 1 - (z / self.softcap) ** 2


@dataclass(frozen=True)
class MemoryBudget:
    """Memory budget for [tokens, vocab] tensors, in bytes; affects speed, never results."""

    keep: int = 0  # what one pass may hold for its backward pass; else it is recomputed there
    rows: int = 192 << 20  # whole rows of logits at once
    tile: int = 16 << 20  # of logits multiplied at once: a part of the processor's cache
    chunk: int = 2 << 20  # rows given to a statistic at once, which makes several tensors of their size

    def fits(self, n: int, head: Head, copies: int) -> bool:
        """Whether a backward pass is wanted and may keep `copies` times [n, V]."""
        return torch.is_grad_enabled() and n * head.vocab * FLOAT * copies <= self.keep


def spans(first: int, last: int, size: int) -> Iterator[slice]:
    """first to last in pieces of `size`, the last one shorter."""
    return (slice(a, min(a + size, last)) for a in range(first, last, size))


class _Shared(torch.autograd.Function):
    """A weight, whose gradient is that of its `Sum` and of what was computed with it otherwise."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, total: Sum) -> Tensor:
        ctx.set_materialize_grads(False)
        ctx.total, ctx.dtype = total, weight.dtype
        return weight.view_as(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor | None) -> tuple[Tensor | None, None]:
        found, ctx.total.weight = ctx.total.weight, None
        if found is None:
            return g.to_dense() if g is not None and g.is_sparse else g, None
        found = found.to(ctx.dtype)
        return found if g is None else found.add_(g), None


class Gradients:
    """Gradients of hidden states and of a head, each summed over tiles into one buffer."""

    def __init__(self, head: Head, factor: Tensor, wanted: tuple[bool, ...]) -> None:
        self.head, self.factor = head, factor
        self.hidden = torch.zeros_like(factor, dtype=torch.float32) if wanted[0] else None
        before = head.sum.weight if head.sum else None
        self.first = before is None
        self.weight = None
        if wanted[1]:
            self.weight = torch.empty_like(head.weight, dtype=torch.float32) if before is None else before
        biased = head.bias is not None and wanted[2]
        self.bias = factor.new_zeros(len(head.weight), dtype=torch.float32) if biased else None
        if self.weight is not None and self.first:
            self.weight[head.vocab :] = 0

    def add(self, g: Tensor, rows: slice, columns: slice) -> None:
        """Take in the gradient of a tile of logits; the tiles of the first rows come first."""
        if self.bias is not None:
            self.bias[columns] += g.sum(0) * self.head.scale
        g = g.to(self.factor.dtype)
        if self.hidden is not None:
            _add_product(self.hidden[rows], g, self.head.matrix[columns])
        if self.weight is not None:
            into, states = self.weight[columns], self.factor[rows]
            if self.first and rows.start == 0:  # saves a pass of zeros over [V, d]
                product(g.T, states, into)
            else:
                _add_product(into, g.T, states)

    def found(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Of hidden states, weight and bias, the head's in its own dtype; a sum stays where it is."""
        hidden = None if self.hidden is None else self.hidden.mul_(self.head.scale)
        weight = None
        if self.head.sum:
            self.head.sum.weight = self.weight
        elif self.weight is not None:
            weight = self.weight.to(self.head.weight.dtype)
        bias = None if self.bias is None else self.bias.to(self.head.weight.dtype)
        return hidden, weight, bias


def _add_product(into: Tensor, a: Tensor, b: Tensor) -> None:
    if a.dtype == torch.float32:
        into.addmm_(a, b.float())
    else:
        into += product(a, b)


def at_ids(hidden: Tensor, head: Head, ids: Tensor, budget: MemoryBudget) -> Tensor:
    """Log-probs at distinct `ids` [N, k], and behind them the log of the mass outside, exact where that is
    tiny and -inf where there is none. [N, d] -> [N, k + 1]
    """
    keep = budget.fits(len(ids), head, copies=1 if head.softcap is None else 2)
    levels: Tensor = _AtIds.apply(  # type: ignore[no-untyped-call]
        hidden, head.weight, head.bias, head, ids, budget.tile, keep
    )
    return F.log_softmax(levels, -1)


class _AtIds(torch.autograd.Function):
    """Logits at ids and the logsumexp of all others, [N, k + 1], up to a number that no softmax sees."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        head: Head,
        ids: Tensor,
        tile: int,
        keep: bool,
    ) -> Tensor:
        factor = head.factor(hidden)
        levels = hidden.new_empty(len(ids), ids.shape[1] + 1, dtype=torch.float32)
        # The largest logit outside, so far.
        top = torch.full_like(levels[:, 0], torch.finfo(torch.float32).min)
        total = torch.zeros_like(top)  # sum of exp(logit - top) outside, so far
        ctx.tops, ctx.kept = {}, {}
        for rows, columns, z in _tiles(factor, head, tile, fresh=keep):
            head.write_logits(factor[rows], columns, z)
            slope = head.slope(z) if keep else None
            inside, column = _inside(ids[rows], columns)
            at_ids = levels[rows, :-1]
            at_ids.copy_(torch.where(inside, z.gather(1, column), at_ids))
            _leave_out(z, inside, column)
            higher = torch.maximum(top[rows], z.amax(-1))
            z.sub_(higher[:, None]).exp_()
            total[rows] = total[rows] * (top[rows] - higher).exp() + z.sum(-1)
            top[rows] = ctx.tops[rows.start, columns.start] = higher
            if keep:
                ctx.kept[rows.start, columns.start] = z, slope
        levels[:, :-1] -= top.where(total > 0, 0)[:, None]
        levels[:, -1] = total.log()
        ctx.head, ctx.tile = head, tile
        ctx.save_for_backward(factor, weight, bias, ids, top, total)
        return levels

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        factor, _, _, ids, top, total = ctx.saved_tensors
        head, sums = ctx.head, Gradients(ctx.head, factor, ctx.needs_input_grad)
        share = g[:, -1] / total.clamp(min=1)  # below 1 the sum is empty, and no logit has a part in it
        for rows, columns, z in _tiles(factor, head, ctx.tile, fresh=False):
            then = ctx.tops[rows.start, columns.start]
            kept, slope = ctx.kept.pop((rows.start, columns.start), (None, None))
            if kept is None:  # recomputed, or this is a second backward pass: the first one used it up
                head.write_logits(factor[rows], columns, z)
                slope = head.slope(z)
                _leave_out(z, *_inside(ids[rows], columns))
                z.sub_(then[:, None]).exp_()
            else:
                z = kept
            z.mul_((share[rows] * (then - top[rows]).exp())[:, None])
            inside, column = _inside(ids[rows], columns)
            # What was left out is 0 by now; -0.0 is what changes no number that it is added to.
            z.scatter_add_(1, column, torch.where(inside, g[rows, :-1], -0.0))
            sums.add(z if slope is None else z.mul_(slope), rows, columns)
        return *sums.found(), None, None, None, None


def _tiles(factor: Tensor, head: Head, tile: int, fresh: bool) -> Iterator[tuple[slice, slice, Tensor]]:
    """Rows, columns and float32 memory of every tile; what is not `fresh` is used again for the next."""
    for rows in spans(0, len(factor), max(1, isqrt(tile // FLOAT))):
        n = rows.stop - rows.start
        width = min(head.vocab, max(1, tile // (FLOAT * n)))
        buffer = factor.new_empty(0 if fresh else n * _stride(width, factor), dtype=torch.float32)
        for columns in spans(0, head.vocab, width):
            m = columns.stop - columns.start
            stride = _stride(m, factor)
            memory = buffer.new_empty(n, stride) if fresh else buffer[: n * stride].view(n, stride)
            yield rows, columns, memory[:, :m]


def _stride(columns: int, like: Tensor) -> int:
    """Numbers from one row of a tile to the next. A processor takes half as long again to write a product
    whose rows begin within a cache line, and writes the same, bit for bit.
    """
    return columns if like.is_cuda else -(-columns // LINE) * LINE


def _inside(ids: Tensor, columns: slice) -> tuple[Tensor, Tensor]:
    """Which ids fall into some columns, and the column of the tile of each; that of another is any. [N, k]"""
    # Not as a list of those that do: a GPU that is asked how many makes the process wait for all it does.
    inside = (ids >= columns.start) & (ids < columns.stop)
    return inside, (ids - columns.start).clamp(0, columns.stop - columns.start - 1)


def _leave_out(z: Tensor, inside: Tensor, column: Tensor) -> None:
    """Put -inf at those columns that are inside, and change no other, though several may be one column."""
    z.scatter_reduce_(1, column, torch.where(inside, -torch.inf, torch.inf), "amin")
