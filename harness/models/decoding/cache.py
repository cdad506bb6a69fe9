"""Keys and values of rows that are decoded together, each in a slot of its own from column 0 on.

    columns   0 1 2 3 4 5 6 7
    slot 0    a b c d . . . .        a row ends, and the last one takes its slot: nothing else is copied
    slot 1    e f . . . . . .        a row enters below, where its prompt is written
    slot 2    g h i j k . . .

Tensors grow by blocks of columns, so that shapes repeat, and what a row does not reach is masked.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin

from harness.models.loading import Model
from harness.models.prefix_sharing import causal_masks

BLOCK = 64  # columns that attention is given at once
GROWTH = 256  # columns that are added to the tensors at once


class Reach(NamedTuple):
    """What a step reads and writes: the first slots, [B], the column of each one's next token, [B], and how
    many columns attention is given.
    """

    slots: Tensor
    places: Tensor
    columns: int


class SlotLayer(CacheLayerMixin):  # type: ignore[misc]
    """The keys and values of one layer, [slots, heads, columns, d]."""

    keys: Tensor
    values: Tensor
    reach: Reach  # of the step that is next

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.keys, self.values, self.is_initialized = keys, values, True

    def grow(self, slots: int, columns: int) -> None:
        """Have at least so many slots and columns."""
        had, _, wide, _ = self.keys.shape
        if slots > had or columns > wide:
            size = max(slots, had), max(rounded_up(columns, GROWTH), wide)
            self.keys, self.values = _grown(self.keys, *size), _grown(self.values, *size)

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """There is nothing to do: the tensors are made with the layer."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write one token of each row; gives all that stands in the columns that are read."""
        slots, places, columns = self.reach
        self.keys[slots, :, places] = key_states[:, :, 0]
        self.values[slots, :, places] = value_states[:, :, 0]
        return self.keys[: len(slots), :, :columns], self.values[: len(slots), :, :columns]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns that are read, and the first of them."""
        return self.reach.columns, 0

    def get_seq_length(self) -> int:
        """Columns before the last one that is read."""
        return self.reach.columns - 1

    def get_max_length(self) -> int:
        """There is none: the tensors grow."""
        return -1


class SlotCache:
    """The layers of a model, made with the first prompts that are read."""

    def __init__(self) -> None:
        self.layers: list[SlotLayer] = []

    def enter(self, read: Cache, first: int) -> None:
        """Write rows that were just read, from column 0 on, into the slots that follow `first`; `read` is
        emptied.
        """
        if not self.layers:
            self.layers = [SlotLayer(of.keys[:0], of.values[:0]) for of in read.layers]
        # Layer by layer, so that two copies of all are never there.
        for layer, of in zip(self.layers, read.layers, strict=True):
            rows, _, columns, _ = of.keys.shape
            layer.grow(first + rows, columns)
            for to, x in ((layer.keys, of.keys), (layer.values, of.values)):
                # Who was there before may have left a nan, and what is masked is still multiplied.
                to[first : first + rows, :, columns:] = 0
                to[first : first + rows, :, :columns] = x
            of.reset()

    def move(self, slots: Sequence[int], to: Sequence[int]) -> None:
        """Copy rows into other slots."""
        for layer in self.layers:
            layer.keys[to] = layer.keys[slots]
            layer.values[to] = layer.values[slots]

    def reach(self, places: Tensor, columns: int) -> Cache:
        """What a model is given to read one token of each row, which stands at its place, [B]."""
        reach = Reach(torch.arange(len(places), device=places.device), places, columns)
        for layer in self.layers:
            layer.grow(len(places), columns)
            layer.reach = reach
        return Cache(layers=[*self.layers])


def rounded_up(n: int, block: int) -> int:
    """The next multiple of `block`."""
    return -(-n // block) * block


def _grown(x: Tensor, slots: int, columns: int) -> Tensor:
    # Zeros: what is masked is still multiplied, and 0 * nan is nan.
    grown = x.new_zeros(slots, x.shape[1], columns, x.shape[3])
    grown[: len(x), :, : x.shape[2]] = x
    return grown


class Masks:
    """The masks under which a model attends from one token of each row: lines of those that it makes itself
    for a whole sequence.
    """

    def __init__(self, model: Model) -> None:
        self.model, self.longest, self.whole = model, 0, dict[str, Tensor | None]()

    def at(self, places: Tensor, columns: int, full: bool) -> Tensor | Mapping[str, Tensor | None] | None:
        """By kind of layer where there are several, [B, 1, 1, columns]; None where nothing is masked, as in
        causal layers where `full` says that every row reaches the last column.
        """
        if (longest := rounded_up(columns, BLOCK)) != self.longest:
            self.longest, self.whole = longest, causal_masks(self.model, longest)
        masks = {kind: _lines(whole, places, columns, full) for kind, whole in self.whole.items()}
        return masks if len(masks) > 1 else next(iter(masks.values()))


def _lines(whole: Tensor | None, places: Tensor, columns: int, full: bool) -> Tensor | None:
    """The lines of a mask, [1, 1, T, T] or None for a causal one, at each row's place. [B, 1, 1, columns]"""
    if whole is not None:
        return whole[0, 0, places, None, None, :columns]
    if full:
        return None
    return (torch.arange(columns, device=places.device) <= places[:, None])[:, None, None]
