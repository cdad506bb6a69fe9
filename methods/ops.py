"""Per-token statistics from final hidden states: nothing of size [tokens, V] outlives one chunk.

    logits = softcap(scale * (hidden @ weight.T + bias))    the model's own head, columns of real tokens only
    statistic(chunk of log-probs) -> one number per token

The body runs once per forward and prompt positions never reach the head. A chunk's logits are recomputed in
the backward pass (`recompute=True`) or kept. Everything over V is float32.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from methods.batch import Chunk, Role, Statistic


@dataclass(frozen=True)
class Head:
    """The map from final hidden states to logits that a model applies itself.

    weight [V', d] and bias [V'] are the output embedding's; `vocab` <= V' is the number of real tokens
    (tokenizers of one family are padded to different V'); softcap is Gemma-2's c in c * tanh(z / c); scale
    multiplies the logits.
    """

    weight: Tensor
    bias: Tensor | None
    vocab: int
    softcap: float | None = None
    scale: float = 1.0

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits of the real tokens, multiplied in float32 whatever the states' dtype. [N, d] -> [N, vocab]

        Advantages are differences of two teachers' logits: rounded to bfloat16, a third of one is noise.
        """
        bias = None if self.bias is None else self.bias[: self.vocab].float()
        with torch.autocast(hidden.device.type, enabled=False):
            z = F.linear(hidden.float(), self.weight[: self.vocab].float(), bias) * self.scale
        return z if self.softcap is None else self.softcap * torch.tanh(z / self.softcap)

    def logprobs(self, hidden: Tensor) -> Tensor:
        """log_softmax over the real tokens, float32. [N, d] -> [N, vocab]"""
        return F.log_softmax(self.logits(hidden), -1)


@dataclass(frozen=True)
class Hidden:
    """A frozen model's signal as final hidden states: its log-probs over all of V are recomputed chunk by
    chunk.
    """

    states: Tensor  # [N, d]
    head: Head

    def rows(self, a: int, b: int) -> "Hidden":
        return Hidden(self.states[a:b], self.head)


@dataclass(frozen=True)
class TopK:
    """A frozen model's signal on the teacher's k ids."""

    ids: Tensor  # [N, k] the realised token always among them
    logprobs: Tensor  # [N, k]
    rest: Tensor  # [N] log of the probability outside the ids; -inf where there is none

    def rows(self, a: int, b: int) -> "TopK":
        return TopK(self.ids[a:b], self.logprobs[a:b], self.rest[a:b])


Signal = Hidden | TopK


def log_rest(logits: Tensor, ids: Tensor) -> Tensor:
    """log of the softmax mass outside `ids`, exact where that mass is tiny. [N, V], [N, k] -> [N]"""
    outside = logits.scatter(-1, ids, float("-inf"))
    return outside.logsumexp(-1) - logits.logsumexp(-1)


def top_ids(logprobs: Tensor, realised: Tensor, k: int) -> Tensor:
    """The k likeliest ids, the last of them replaced by the realised token where it is not among them. [N,
    k]
    """
    ids = logprobs.topk(k, -1).indices
    missing = (ids != realised[:, None]).all(-1)
    ids[missing, -1] = realised[missing]
    return ids


def token_statistics(
    hidden: Tensor,
    head: Head,
    tokens: Tensor,
    stats: Sequence[Statistic],
    signals: Mapping[Role, Signal],
    hp: Any,
    *,
    chunk: int,
    recompute: bool,
) -> tuple[Tensor, dict[Statistic, Tensor]]:
    """Log-probs of `tokens` [N] under the head, and every statistic, each [N], in one pass over chunks of
    `hidden`.

    hidden [N, d]; signals hold N rows each. Gradients reach hidden states and head, never the signals.
    """
    out: list[tuple[Tensor, ...]] = []
    for a in range(0, len(tokens), chunk):
        rows = {role: signal.rows(a, a + chunk) for role, signal in signals.items()}
        args = (hidden[a : a + chunk], head, tokens[a : a + chunk], stats, rows, hp)
        out.append(checkpoint(_of_chunk, *args, use_reentrant=False) if recompute else _of_chunk(*args))
    columns = [torch.cat(parts) for parts in zip(*out, strict=True)]
    return columns[0], dict(zip(stats, columns[1:], strict=True))


def _of_chunk(
    hidden: Tensor,
    head: Head,
    tokens: Tensor,
    stats: Sequence[Statistic],
    signals: Mapping[Role, Signal],
    hp: Any,
) -> tuple[Tensor, ...]:
    logits = head.logits(hidden)
    logps = -F.cross_entropy(logits, tokens, reduction="none")
    if not stats:
        return (logps,)
    policy = F.log_softmax(logits, -1)
    return (logps, *(s.of(_chunk_for(s, policy, logits, tokens, signals), hp) for s in stats))


def _chunk_for(
    stat: Statistic, policy: Tensor, logits: Tensor, tokens: Tensor, signals: Mapping[Role, Signal]
) -> Chunk:
    """The columns that `stat` declares: the full vocabulary, or the stored ids with or without the rest
    bucket.
    """
    read = {role: signals[role] for role in stat.reads}
    stored = next((s for s in read.values() if isinstance(s, TopK)), None)
    if stored is None:
        with torch.no_grad():
            dense = {r: s.head.logprobs(s.states) for r, s in read.items() if isinstance(s, Hidden)}
        return Chunk(tokens, {"policy": policy, **dense})

    with_rest = stat.rest and stored.ids.shape[1] < policy.shape[1]

    def columns(at_ids: Tensor, rest: Tensor | None) -> Tensor:
        return at_ids if rest is None else torch.cat([at_ids, rest[:, None]], -1)

    columns_of: dict[Role, Tensor] = {
        "policy": columns(policy.gather(-1, stored.ids), log_rest(logits, stored.ids) if with_rest else None)
    }
    for role, signal in read.items():
        if not isinstance(signal, TopK):
            raise TypeError(f"{stat.name}: signals of one statistic come in one form, {role} differs")
        if not torch.equal(signal.ids, stored.ids):
            raise ValueError(f"{stat.name}: the top-k of {role} does not stand at the ids of the others")
        rest = signal.rest.detach().float() if with_rest else None
        columns_of[role] = columns(signal.logprobs.detach().float(), rest)
    return Chunk((stored.ids == tokens[:, None]).int().argmax(-1), columns_of)
