"""Per-token statistics from final hidden states: nothing of size [tokens, V] is whole unless memory allows.

    statistic(chunk of log-probs) -> one number per token

The body runs once per forward and prompt positions never reach the head. A pass over the head gives the
columns of a stored support (output_head.py); where a statistic reads whole distributions, it is given whole
rows (row_functions.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from methods.batch import Chunk, Role, Statistic
from methods.kernels.output_head import Head, MemoryBudget, at_ids
from methods.kernels.row_functions import Hidden, Pass

__all__ = ["Head", "Hidden", "Signal", "TopK", "log_rest", "token_statistics", "top_ids"]


@dataclass(frozen=True)
class TopK:
    """A frozen model's signal on the teacher's k ids."""

    ids: Tensor  # [N, k] the realised token always among them
    logprobs: Tensor  # [N, k]
    rest: Tensor  # [N] log of the probability outside the ids; -inf where there is none
    realised: bool = False  # whether that is known: a GPU that is asked makes the process wait

    def rows(self, at: slice) -> "TopK":
        return TopK(self.ids[at], self.logprobs[at], self.rest[at], self.realised)


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
    ids[:, -1] = torch.where(missing, realised, ids[:, -1])
    return ids


def token_statistics(
    hidden: Tensor,
    head: Head,
    tokens: Tensor,
    stats: Sequence[Statistic],
    signals: Mapping[Role, Signal],
    hp: Any,
    budget: MemoryBudget,
) -> tuple[Tensor, dict[Statistic, Tensor]]:
    """Log-probs of `tokens` [N] under the head, and every statistic, each [N], in one pass over the head.

    hidden [N, d]; signals hold N rows each. Gradients reach hidden states and head, never the signals.
    """
    read = {role: signals[role] for role in sorted({r for s in stats for r in s.reads})}
    ids = _columns(tokens, stats, read)
    with torch.autocast(hidden.device.type, enabled=False):
        if ids is None:
            frozen = {role: signal for role, signal in read.items() if isinstance(signal, Hidden)}

            def of(policy: Tensor, others: Sequence[Tensor], at: slice) -> list[Tensor]:
                full: dict[Role, Tensor] = {"policy": policy, **dict(zip(frozen, others, strict=True))}
                stored = {role: s.rows(at) for role, s in read.items() if isinstance(s, TopK)}
                return [s.of(_chunk_for(s, full, stored, tokens[at]), hp) for s in stats]

            logps, *values = Pass(head, list(frozen.values()), of, len(stats), budget).run(hidden, tokens)
            return logps, dict(zip(stats, values, strict=True))

        said = at_ids(hidden, head, ids, budget)
        logps = said.gather(-1, _place(ids, tokens)[:, None])[:, 0]
        whole = ids.shape[1] == head.vocab
        stored = {role: signal for role, signal in read.items() if isinstance(signal, TopK)}
        told = {
            s: s.of(_at_support(s, said[:, :-1], None if whole else said[:, -1], stored, tokens), hp)
            for s in stats
        }
        return logps, told


def _columns(tokens: Tensor, stats: Sequence[Statistic], read: Mapping[Role, Signal]) -> Tensor | None:
    """The ids [N, k] that all statistics look at, the realised tokens among them; None where one reads whole
    rows.
    """
    if not stats:
        return tokens[:, None]
    stored = [signal for signal in read.values() if isinstance(signal, TopK)]
    if len(stored) < len(read) or not all(s.reads for s in stats):
        return None
    ids = stored[0].ids
    if not all(_same(signal.ids, ids) for signal in stored[1:]):
        return None
    return ids if stored[0].realised or (ids == tokens[:, None]).any(-1).all() else None


def _same(one: Tensor, other: Tensor) -> bool:
    return one is other or torch.equal(one, other)


def _chunk_for(
    stat: Statistic, full: Mapping[Role, Tensor], stored: Mapping[Role, TopK], tokens: Tensor
) -> Chunk:
    """What `stat` declares of whole rows: the vocabulary, or the stored ids."""
    first = next((stored[role] for role in stat.reads if role in stored), None)
    policy = full["policy"]
    if first is None:
        return Chunk(tokens, {role: full[role] for role in ("policy", *stat.reads)})
    rest = log_rest(policy, first.ids) if first.ids.shape[1] < policy.shape[1] else None
    return _at_support(stat, policy.gather(-1, first.ids), rest, stored, tokens)


def _at_support(
    stat: Statistic, policy: Tensor, rest: Tensor | None, stored: Mapping[Role, TopK], tokens: Tensor
) -> Chunk:
    """The stored ids, and behind them the rest where `stat` asks for it and there is one. policy [N, k]"""

    def columns(at_ids: Tensor, rest: Tensor | None) -> Tensor:
        return at_ids if rest is None or not stat.rest else torch.cat([at_ids, rest[:, None]], -1)

    found: dict[Role, Tensor] = {"policy": columns(policy, rest)}
    first = next(stored[role] for role in stat.reads if role in stored)
    for role in stat.reads:
        if role not in stored:
            raise TypeError(f"{stat.name}: signals of one statistic come in one form, {role} differs")
        signal = stored[role]
        if not _same(signal.ids, first.ids):
            raise ValueError(f"{stat.name}: the top-k of {role} does not stand at the ids of the others")
        at_ids = signal.logprobs.detach().float()
        found[role] = columns(at_ids, None if rest is None else signal.rest.detach().float())
    return Chunk(_place(first.ids, tokens), found)


def _place(ids: Tensor, tokens: Tensor) -> Tensor:
    """The column of each row of `ids` [N, k] that holds the token."""
    return (ids == tokens[:, None]).int().argmax(-1)
