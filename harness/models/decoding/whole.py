"""Rows that are decoded together by models whose cache can't take a row in, or is no use at all."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from harness.models.decoding.rows import Ends, Row
from harness.models.loading import Model, body, next_scores
from harness.models.policy import pad


class Together:
    """Rows that begin and end together, padded on the left: their cache holds states, too, that have no place
    for padding.
    """

    rows: list[Row]
    scores: Tensor  # [B, V], of the last pass
    mask: Tensor  # [B, T], 1 where a row has a token
    cache: DynamicCache

    def __init__(self, model: Model, ends: Ends) -> None:
        self.model, self.ends, self.rows = model, ends, []

    def free_rows(self, batch: int) -> int:
        """How many rows may enter: none before all have ended."""
        return batch if all(row.ended for row in self.rows) else 0

    def admit(self, new: Sequence[Row]) -> list[Row]:
        """Read the prompts of new rows, with their first tokens; returns those that ended with it."""
        self.rows = [*new]
        return self._read()

    @torch.no_grad()
    def step(self) -> list[Row]:
        """One more token of every row; returns those that ended with it."""
        if self.mask.shape[1] == self.ends.longest:  # a table of masks or biases has no more columns
            self.rows = [row for row in self.rows if not row.ended]
            return self._read()
        self.mask = torch.nn.functional.pad(self.mask, (0, 1), value=1)
        position = self.mask.sum(-1, keepdim=True) - 1
        if self.ends.longest is not None:  # rows that have ended go on with the others, and are not read
            position = position.clamp(max=self.ends.longest - 1)
        said = torch.tensor([row.ids[-1:] for row in self.rows], device=self.model.device)
        return self._forward(said, position)

    @torch.no_grad()
    def _read(self) -> list[Row]:
        read = [row.request.prompt + row.ids for row in self.rows]
        longest, device = max(map(len, read)), self.model.device
        ids = [[0] * (longest - len(one)) + one for one in read]
        mask = [[0] * (longest - len(one)) + [1] * len(one) for one in read]
        self.mask, self.cache = torch.tensor(mask, device=device), DynamicCache(config=self.model.config)
        return self._forward(torch.tensor(ids, device=device), (self.mask.cumsum(-1) - 1).clamp(min=0))

    def _forward(self, ids: Tensor, position: Tensor) -> list[Row]:
        out = self.model.base_model(
            input_ids=ids,
            attention_mask=self.mask,
            position_ids=position,
            past_key_values=self.cache,
            use_cache=True,
        )
        self.scores = next_scores(self.model, out.last_hidden_state[:, -1])
        return self.ends.take(self.rows, self.scores)


class Whole:
    """Rows of a model whose cache is no use: each is read again from its first token for every new one."""

    rows: list[Row]
    scores: Tensor  # [B, V], of the last pass

    def __init__(self, model: Model, ends: Ends) -> None:
        self.model, self.ends, self.rows = model, ends, []

    def free_rows(self, batch: int) -> int:
        """How many rows may enter, once those that ended have left."""
        self.rows = [row for row in self.rows if not row.ended]
        return batch - len(self.rows)

    def admit(self, new: Sequence[Row]) -> list[Row]:
        """One more token of every row, of new ones their first; returns those that ended with it."""
        self.rows = [*self.rows, *new]
        return self.step()

    @torch.no_grad()
    def step(self) -> list[Row]:
        """One more token of every row; returns those that ended with it."""
        read = [row.request.prompt + row.ids for row in self.rows]
        self.scores = scores_after(self.model, read)
        return self.ends.take(self.rows, self.scores)


def scores_after(model: Model, read: Sequence[list[int]]) -> Tensor:
    """Logits of what follows each sequence, without a cache. [B, V]"""
    states, rows = body(model, pad(read, model.device)), torch.arange(len(read), device=model.device)
    last = torch.tensor([len(ids) - 1 for ids in read], device=model.device)
    return next_scores(model, states[rows, last])
