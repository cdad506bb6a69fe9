"""How the rows of a model are decoded together, found by a trial: the first way that says what the model says
without a cache.
"""

import logging
from collections.abc import Sequence
from typing import Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from benchmarks.api import Sampling
from harness.models import positions
from harness.models.decoding.rows import Ends, Request, Row
from harness.models.decoding.slots import Slots
from harness.models.decoding.whole import Together, Whole, scores_after
from harness.models.loading import Model
from harness.models.prefix_sharing import UNFIT

log = logging.getLogger(__name__)


class Decoding(Protocol):
    """Rows that are decoded together, and the scores of their last pass, [B, V]."""

    rows: list[Row]
    scores: Tensor

    def __init__(self, model: Model, ends: Ends) -> None:
        """Of a model, until rows end."""

    def free_rows(self, batch: int) -> int:
        """How many rows may enter a batch of so many."""

    def admit(self, new: Sequence[Row]) -> list[Row]:
        """Have new rows say their first token; returns those that ended with it."""

    def step(self) -> list[Row]:
        """One more token of every row; returns those that ended with it."""


_FOUND: WeakKeyDictionary[Model, type[Decoding]] = WeakKeyDictionary()


def decoding_of(model: Model) -> type[Decoding]:
    """How the rows of a model are decoded."""
    if model not in _FOUND:
        ways: list[type[Decoding]] = [Slots, Together] if Slots.fits(model) else [Together]
        _FOUND[model] = next((way for way in ways if _agrees(model, way)), Whole)
        if _FOUND[model] is Whole:
            log.info("%s takes no cache: each token is computed from the first on", type(model).__name__)
    return _FOUND[model]


def takes_cache(model: Model) -> bool:
    """Whether a model says with a cache what it says without."""
    return decoding_of(model) is not Whole


@torch.no_grad()
def _agrees(model: Model, way: type[Decoding]) -> bool:
    """The trial: tokens of three short rows of unlike lengths; one enters late where rows may."""
    size = len(model.get_output_embeddings().weight)
    rows = [
        Row(n, Request([i % size for i in ids], Sampling(0.0, 1.0, 9), ""), None)
        for n, ids in enumerate(([1, 2], [3, 4, 5, 6, 7], [8, 9, 10]))
    ]
    try:
        together = way(model, Ends(frozenset(), size, positions.reads(model)))
        late = rows[2:] if way is Slots else []
        for new in (rows[:2], [], late, []):
            _ = together.admit(new) if new else together.step()
            read = [row.request.prompt + row.ids[:-1] for row in new or together.rows]
            expected, scores = scores_after(model, read), together.scores
            atol = max(1e-4, 4 * torch.finfo(model.dtype).eps) * float(expected.abs().max())
            if not torch.allclose(scores, expected, rtol=0, atol=atol):
                return False
    except torch.OutOfMemoryError:  # which says nothing of the model
        raise
    except UNFIT:
        return False
    return True
