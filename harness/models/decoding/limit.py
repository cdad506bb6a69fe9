"""Memory that runs out while rows are decoded: half as many are decoded together from there on."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from harness.models.decoding.choice import Decoding
from harness.models.decoding.rows import Row

log = logging.getLogger(__name__)
MENDS = "lower max_tokens, or set generation.dtype to bfloat16"


@dataclass
class BatchLimit:
    """rows: how many are decoded together at most, None where all that were asked for had room; halved: how
    often they became fewer.
    """

    rows: int | None = None
    halved: int = 0

    def of(self, batch: int) -> int:
        """How many of a batch are decoded together."""
        return min(batch, self.rows or batch)

    def halve(self, rows: Sequence[Row]) -> None:
        """Have half as many as these decoded together; ValueError where that is one."""
        if len(rows) == 1:
            tokens = len(rows[0].request.prompt) + len(rows[0].ids)
            raise ValueError(f"out of memory at one answer, of {tokens:,} tokens with its prompt: {MENDS}")
        self.rows, level = len(rows) // 2, logging.INFO if self.halved else logging.WARNING
        self.halved += 1
        log.log(level, "out of memory: from here on %d are answered together, the same answers", self.rows)


def advanced(decoding: Decoding, new: list[Row]) -> list[Row] | None:
    """The rows that ended with one more token, of new ones their first; None where memory ran out."""
    try:
        return decoding.admit(new) if new else decoding.step()
    except torch.OutOfMemoryError:
        return None  # and with the traceback all that was computed is let go
