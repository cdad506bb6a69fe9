"""A batch that does not fit into a device's memory is computed in halves."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class DoesNotFit(ValueError):
    """One request alone is too large for the device."""


def in_halves(
    ask: Callable[[Sequence[Request]], list[Answer]], batch: Sequence[Request]
) -> tuple[list[Answer], int]:
    """What `ask` answers to a batch, and how often a part of it had to be halved to fit into memory."""
    try:
        return ask(batch), 0
    except torch.OutOfMemoryError as error:
        if len(batch) == 1:
            raise DoesNotFit(f"one request alone does not fit into the device's memory ({error})") from None
    # Here, not above: an exception that is being handled holds on to what its frames have allocated.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = (len(batch) + 1) // 2
    parts = [in_halves(ask, part) for part in (batch[:half], batch[half:])]
    return [answer for answers, _ in parts for answer in answers], 1 + sum(halved for _, halved in parts)
