"""Answers of a model, decoded together: a row that ends leaves, and a prompt that waits takes its place.

An answer is the same whatever is decoded beside it. Rows stand right-aligned in one cache, padded on the
left. Sampling adds Gumbel noise to the log-probs and takes the largest, which draws from them exactly; the
noise of a row comes from a generator of its own.

Nothing but the request decides an answer: what a model's generation config says of penalties is not read.
"""

import hashlib
import inspect
import json
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer
from transformers.generation import TopPLogitsWarper

from benchmarks.api import Sampling
from harness.models.loading import Model
from harness.store.append_log import AppendOnlyLog, FlushTimer

log = logging.getLogger(__name__)

REFILL = 0.25  # share of the rows that have ended before they leave, since who enters costs a pass


class Request(NamedTuple):
    """A prompt's ids, how to answer it, and the name that its random draws are seeded by."""

    prompt: list[int]
    sampling: Sampling
    name: str


class Generated(NamedTuple):
    """Response ids, the stop token included; `truncated` where none came within max_tokens."""

    ids: list[int]
    truncated: bool


@dataclass
class _Row:
    """A request that is being answered. `position`: among all requests; `draws`: None for greedy."""

    position: int
    request: Request
    draws: torch.Generator | None
    ids: list[int] = field(default_factory=list)
    ended: bool = False


def generate(
    model: Model,
    requests: Sequence[Request],
    stop: list[int],
    *,
    batch: int,
    seed: int,
    kept: Path | None = None,
) -> list[Generated]:
    """Answer every request, in its order; at most `batch` are decoded at a time.

    Below `kept` answers outlive a kill: what stands there is not decoded again.
    """
    keys, lines, beat = [_key(request, stop, seed) for request in requests], AppendOnlyLog(kept), FlushTimer()
    answers = {row["key"]: Generated(row["ids"], row["truncated"]) for row in lines.read()[0]}
    missing = [i for i, key in enumerate(keys) if key not in answers]
    if len(missing) < len(keys):
        log.info("%d of %d answers were kept from before", len(keys) - len(missing), len(keys))
    new: list[dict[str, Any]] = []
    for position, answer in decoded(model, [requests[i] for i in missing], stop, batch=batch, seed=seed):
        key = keys[missing[position]]
        answers[key] = answer
        new.append({"key": key, **answer._asdict()})
        if beat.due():
            lines.add(*new)
            new.clear()
    # What is not written by now needs no keeping: the caller writes all answers next.
    lines.close()
    return [answers[key] for key in keys]


def _key(request: Request, stop: list[int], seed: int) -> str:
    """What an answer of a model is kept under: all that decides it."""
    return hashlib.sha256(json.dumps([request, stop, seed], default=asdict).encode()).hexdigest()


def decoded(
    model: Model, requests: Sequence[Request], stop: list[int], *, batch: int, seed: int
) -> Iterator[tuple[int, Generated]]:
    """The position of each request and its answer, as soon as it ends."""
    # Prompts of like length enter together, which leaves little to pad.
    order = sorted(range(len(requests)), key=lambda i: len(requests[i].prompt))
    waiting = deque(_row(i, requests[i], seed) for i in order)
    slots = _Slots(model, stop)
    while waiting or not all(row.ended for row in slots.rows):
        new = [waiting.popleft() for _ in range(min(slots.free_rows(batch), len(waiting)))]
        for row in slots.admit(new) if new else slots.step():
            yield row.position, Generated(row.ids, row.ids[-1] not in stop)


def _row(position: int, request: Request, seed: int) -> _Row:
    if request.sampling.temperature == 0:
        return _Row(position, request, None)
    digest = hashlib.sha256(f"{seed}/{request.name}".encode()).digest()
    # Seven bytes: torch takes no seeds over 63 bits.
    return _Row(position, request, torch.Generator().manual_seed(int.from_bytes(digest[:7], "big")))


class _Slots:
    """The rows that are decoded together, with their keys and values."""

    mask: Tensor  # [B, T], 1 where a row has a token
    last: Tensor  # [B], the token that each row said last
    cache: DynamicCache

    def __init__(self, model: Model, stop: list[int]) -> None:
        self.model, self.stop, self.pad = model, frozenset(stop), stop[0]
        kinds = {type(layer) for layer in DynamicCache(config=model.config).layers}
        # Other caches hold states that have no place for padding: their rows begin and end together.
        self.mergeable = kinds <= {DynamicLayer, DynamicSlidingWindowLayer}
        last = "logits_to_keep" in inspect.signature(model.forward).parameters
        self.only_last = {"logits_to_keep": 1} if last else {}
        self.rows: list[_Row] = []

    def free_rows(self, batch: int) -> int:
        """How many rows may enter, once those that ended have left."""
        ended = sum(row.ended for row in self.rows)
        if ended == len(self.rows):
            self.rows = []
            return batch
        if not self.mergeable or ended + batch - len(self.rows) < batch * REFILL:
            return 0
        if ended:
            self._drop()
        return batch - len(self.rows)

    @torch.no_grad()
    def admit(self, new: list[_Row]) -> list[_Row]:
        """Read the prompts of new rows, with their first tokens; returns those that ended with it."""
        longest, device = max(len(row.request.prompt) for row in new), self.model.device
        padding = [longest - len(row.request.prompt) for row in new]
        ids = [[self.pad] * n + row.request.prompt for n, row in zip(padding, new, strict=True)]
        mask = [[0] * n + [1] * (longest - n) for n in padding]
        read = _Slots(self.model, [self.pad, *self.stop])
        read.rows, read.mask = new, torch.tensor(mask, device=device)
        read.cache = DynamicCache() if self.mergeable else DynamicCache(config=self.model.config)
        position = (read.mask.cumsum(-1) - 1).clamp(min=0)
        ended = read._forward(torch.tensor(ids, device=device), position)
        self._merge(read)
        return ended

    @torch.no_grad()
    def step(self) -> list[_Row]:
        """One more token of every row; returns those that ended with it."""
        self.mask = F.pad(self.mask, (0, 1), value=1)
        return self._forward(self.last[:, None], self.mask.sum(-1, keepdim=True) - 1)

    def _forward(self, ids: Tensor, position: Tensor) -> list[_Row]:
        out = self.model(
            input_ids=ids,
            attention_mask=self.mask,
            position_ids=position,
            past_key_values=self.cache,
            use_cache=True,
            **self.only_last,
        )
        self.last = _perturbed(out.logits[:, -1], self.rows).argmax(-1)
        ended = []
        for row, token in zip(self.rows, self.last.tolist(), strict=True):
            if not row.ended:
                row.ids.append(token)
                row.ended = token in self.stop or len(row.ids) == row.request.sampling.max_tokens
                if row.ended:
                    ended.append(row)
        return ended

    def _drop(self) -> None:
        """Remove the rows that ended, and the columns that only they had."""
        going = torch.tensor([i for i, row in enumerate(self.rows) if not row.ended], device=self.mask.device)
        self.rows = [row for row in self.rows if not row.ended]
        self.mask, self.last = self.mask[going], self.last[going]
        first = int(self.mask.any(0).int().argmax())
        self.mask = self.mask[:, first:]
        for layer in self.cache.layers:
            layer.keys, layer.values = layer.keys[going, :, first:], layer.values[going, :, first:]

    def _merge(self, new: "_Slots") -> None:
        if not self.rows:
            self.rows, self.mask, self.cache, self.last = new.rows, new.mask, new.cache, new.last
            return
        self.rows = [*self.rows, *new.rows]
        self.last = torch.cat([self.last, new.last])
        self.mask = _stacked(self.mask[..., None], new.mask[..., None])[..., 0]
        for old, more in zip(self.cache.layers, new.cache.layers, strict=True):
            old.keys, old.values = _stacked(old.keys, more.keys), _stacked(old.values, more.values)


def _stacked(a: Tensor, b: Tensor) -> Tensor:
    """The rows of both, the shorter padded on the left. [B, ..., T, d]"""
    longest = max(a.shape[-2], b.shape[-2])
    return torch.cat([F.pad(x, (0, 0, longest - x.shape[-2], 0)) for x in (a, b)])


def _perturbed(scores: Tensor, rows: Sequence[_Row]) -> Tensor:
    """Scores whose largest is the next token of each row: its draw where it samples. [B, V]"""
    alike: dict[Sampling, list[int]] = {}
    for i, row in enumerate(rows):
        if row.draws is not None and not row.ended:
            alike.setdefault(row.request.sampling, []).append(i)
    if not alike:
        return scores
    scores = scores.float()
    for sampling, members in alike.items():
        warm = scores[members] / sampling.temperature
        if sampling.top_p < 1.0:
            warm = TopPLogitsWarper(sampling.top_p)(None, warm)
        scores[members] = warm + _noise([rows[i] for i in members], warm)
    return scores


def _noise(rows: Sequence[_Row], like: Tensor) -> Tensor:
    """Gumbel noise, row by row from its own generator: the n-th draw of a row is that of its n-th token."""
    drawn = [-torch.empty(like.shape[1]).exponential_(generator=row.draws).log() for row in rows]
    return torch.stack(drawn).to(like.device)
