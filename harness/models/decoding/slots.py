"""Rows that are decoded together with a cache: a row that ends leaves at once, and others enter beside it."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from harness.models.decoding.cache import BLOCK, Masks, SlotCache, rounded_up
from harness.models.decoding.rows import Ends, Row
from harness.models.loading import Model, next_scores
from harness.models.policy import pad

REFILL = 0.25  # share of a batch that is free before others enter, since who enters costs a pass


class Slots:
    """The rows that are decoded together, with their keys and values: the n-th row has the n-th slot."""

    rows: list[Row]
    scores: Tensor  # [B, V], of the last pass: of all rows, or of those that entered with it

    def __init__(self, model: Model, ends: Ends) -> None:
        self.model, self.ends, self.rows = model, ends, []
        self.cache, self.masks = SlotCache(), Masks(model)

    @staticmethod
    def fits(model: Model) -> bool:
        """Whether a model's cache holds keys and values alone: other states have no place for padding."""
        kinds = {type(layer) for layer in DynamicCache(config=model.config).layers}
        return kinds <= {DynamicLayer, DynamicSlidingWindowLayer}

    def free_rows(self, batch: int) -> int:
        """How many rows may enter."""
        free = batch - len(self.rows)
        return free if not self.rows or free >= batch * REFILL else 0

    @torch.no_grad()
    def admit(self, new: Sequence[Row]) -> list[Row]:
        """Read the prompts of new rows, with their first tokens; returns those that ended with it."""
        prompts, device = [row.request.prompt for row in new], self.model.device
        # Padded behind, where a causal mask hides it: attention needs no other.
        read = DynamicCache()
        out = self.model.base_model(input_ids=pad(prompts, device), past_key_values=read, use_cache=True)
        self.cache.enter(read, len(self.rows))
        self.rows = [*self.rows, *new]
        last = torch.tensor([len(prompt) - 1 for prompt in prompts], device=device)
        return self._take(new, out.last_hidden_state[torch.arange(len(new), device=device), last])

    @torch.no_grad()
    def step(self) -> list[Row]:
        """One more token of every row; returns those that ended with it."""
        at = [len(row.request.prompt) + len(row.ids) - 1 for row in self.rows]
        full, columns = min(at) == max(at), max(at) + 1
        if not full:  # a table of biases may be no longer than what the model reads
            columns = min(rounded_up(columns, BLOCK), self.ends.longest or columns + BLOCK)
        said, places = torch.tensor([[row.ids[-1] for row in self.rows], at], device=self.model.device)
        out = self.model.base_model(
            input_ids=said[:, None],
            attention_mask=self.masks.at(places, columns, full),
            position_ids=places[:, None],
            past_key_values=self.cache.reach(places, columns),
            use_cache=True,
        )
        return self._take(self.rows, out.last_hidden_state[:, -1])

    def _take(self, rows: Sequence[Row], states: Tensor) -> list[Row]:
        """The next token of some rows, from their last states, [B, d]; returns those that end with it, which
        leave.
        """
        self.scores = next_scores(self.model, states)
        ended = self.ends.take(rows, self.scores)
        going = len(self.rows) - len(ended)
        free = [i for i, row in enumerate(self.rows[:going]) if row.ended]
        last = [i for i, row in enumerate(self.rows[going:], going) if not row.ended]
        if free:
            self.cache.move(last, free)
        for i, j in zip(free, last, strict=True):
            self.rows[i] = self.rows[j]
        self.rows = self.rows[:going]
        return ended
