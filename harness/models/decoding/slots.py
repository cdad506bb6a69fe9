"""Rows that are decoded together, with a cache of keys and values or without."""

import inspect
import logging
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from benchmarks.api import Sampling
from harness.models.decoding.rows import Ends, Request, Row
from harness.models.loading import Model, body, head_of
from harness.models.policy import pad
from harness.models.prefix_sharing import UNFIT

log = logging.getLogger(__name__)

REFILL = 0.25  # share of the rows that have ended before they leave, since who enters costs a pass


class Slots:
    """The rows that are decoded together, with their keys and values."""

    mask: Tensor  # [B, T], 1 where a row has a token
    last: Tensor  # [B], the token that each row said last
    scores: Tensor  # [B, V], of the last pass: of all rows, or of those that entered with it
    cache: DynamicCache

    def __init__(self, model: Model, ends: Ends) -> None:
        self.model, self.ends = model, ends
        kinds = {type(layer) for layer in DynamicCache(config=model.config).layers}
        # Other caches hold states that have no place for padding: their rows begin and end together.
        self.mergeable = kinds <= {DynamicLayer, DynamicSlidingWindowLayer}
        last = "logits_to_keep" in inspect.signature(model.forward).parameters
        self.only_last = {"logits_to_keep": 1} if last else {}
        self.rows: list[Row] = []

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
    def admit(self, new: list[Row]) -> list[Row]:
        """Read the prompts of new rows, with their first tokens; returns those that ended with it."""
        longest, device = max(len(row.request.prompt) for row in new), self.model.device
        padding = [longest - len(row.request.prompt) for row in new]
        ids = [[0] * n + row.request.prompt for n, row in zip(padding, new, strict=True)]
        mask = [[0] * n + [1] * (longest - n) for n in padding]
        read = Slots(self.model, self.ends)
        read.rows, read.mask = new, torch.tensor(mask, device=device)
        read.cache = DynamicCache() if self.mergeable else DynamicCache(config=self.model.config)
        ended = read._forward(torch.tensor(ids, device=device), (read.mask.cumsum(-1) - 1).clamp(min=0))
        self._merge(read)
        self.scores = read.scores
        return ended

    @torch.no_grad()
    def step(self) -> list[Row]:
        """One more token of every row; returns those that ended with it."""
        self.mask = F.pad(self.mask, (0, 1), value=1)
        position = self.mask.sum(-1, keepdim=True) - 1
        if self.ends.longest is not None:  # rows that have ended go on until they leave, and are not read
            position = position.clamp(max=self.ends.longest - 1)
        return self._forward(self.last[:, None], position)

    def _forward(self, ids: Tensor, position: Tensor) -> list[Row]:
        out = self.model(
            input_ids=ids,
            attention_mask=self.mask,
            position_ids=position,
            past_key_values=self.cache,
            use_cache=True,
            **self.only_last,
        )
        self.scores = out.logits[:, -1]
        self.last, ended = self.ends.take(self.rows, self.scores)
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

    def _merge(self, new: "Slots") -> None:
        if not self.rows:
            self.rows, self.mask, self.cache, self.last = new.rows, new.mask, new.cache, new.last
            return
        self.rows = [*self.rows, *new.rows]
        self.last = torch.cat([self.last, new.last])
        self.mask = _stacked(self.mask[..., None], new.mask[..., None])[..., 0]
        for old, more in zip(self.cache.layers, new.cache.layers, strict=True):
            old.keys, old.values = _stacked(old.keys, more.keys), _stacked(old.values, more.values)


class Whole:
    """The rows that are decoded together by a model whose cache is no use: each is read again from its first
    token for every new one.
    """

    def __init__(self, model: Model, ends: Ends) -> None:
        self.model, self.ends = model, ends
        self.rows: list[Row] = []

    def free_rows(self, batch: int) -> int:
        """How many rows may enter, once those that ended have left."""
        self.rows = [row for row in self.rows if not row.ended]
        return batch - len(self.rows)

    def admit(self, new: list[Row]) -> list[Row]:
        """One more token of every row, of new ones their first; returns those that ended with it."""
        self.rows = [*self.rows, *new]
        return self.step()

    def step(self) -> list[Row]:
        """One more token of every row; returns those that ended with it."""
        read = [row.request.prompt + row.ids for row in self.rows]
        return self.ends.take(self.rows, _next_scores(self.model, read))[1]


@torch.no_grad()
def _next_scores(model: Model, read: Sequence[list[int]]) -> Tensor:
    """Logits of what follows each sequence, without a cache. [B, V]"""
    states, rows = body(model, pad(read, model.device)), torch.arange(len(read), device=model.device)
    last = torch.tensor([len(ids) - 1 for ids in read], device=model.device)
    return head_of(model, len(model.get_output_embeddings().weight)).logits(states[rows, last])


_TRIED: WeakKeyDictionary[Model, bool] = WeakKeyDictionary()  # what `takes_cache` found


def takes_cache(model: Model) -> bool:
    """Whether a model says with a cache what it says without, found by a trial."""
    if model not in _TRIED:
        _TRIED[model] = _agrees(model)
        if not _TRIED[model]:
            log.info("%s takes no cache: each token is computed from the first on", type(model).__name__)
    return _TRIED[model]


def _agrees(model: Model) -> bool:
    """The trial: tokens of three short rows of unlike lengths; one enters late where rows may."""
    size = len(model.get_output_embeddings().weight)
    rows = [
        Row(n, Request([i % size for i in ids], Sampling(0.0, 1.0, 9), ""), None)
        for n, ids in enumerate(([1, 2], [3, 4, 5, 6, 7], [8, 9, 10]))
    ]
    try:
        slots = Slots(model, Ends(frozenset(), size, None))
        late = rows[2:] if slots.mergeable else []
        for new in (rows[:2], [], late, []):
            _ = slots.admit(new) if new else slots.step()
            read = [row.request.prompt + row.ids[:-1] for row in new or slots.rows]
            expected, scores = _next_scores(model, read), slots.scores
            atol = max(1e-4, 4 * torch.finfo(scores.dtype).eps) * float(expected.abs().max())
            if not torch.allclose(scores.float(), expected, rtol=0, atol=atol):
                return False
    except UNFIT:
        return False
    return True


def _stacked(a: Tensor, b: Tensor) -> Tensor:
    """The rows of both, the shorter padded on the left. [B, ..., T, d]"""
    longest = max(a.shape[-2], b.shape[-2])
    return torch.cat([F.pad(x, (0, 0, longest - x.shape[-2], 0)) for x in (a, b)])
