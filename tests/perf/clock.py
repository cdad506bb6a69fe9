"""When a step is over, how much memory it took, and on what."""

import resource
from typing import Any

import torch

from harness.forecast.cards import this_device


def synchronize() -> None:
    """Wait for what a GPU was told to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak() -> int:
    """Bytes: of a GPU's memory where one was used, else of the whole process."""
    there = torch.cuda.is_available() and torch.cuda.max_memory_allocated()
    return there or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def gpu() -> dict[str, Any] | None:
    """The GPU's name, and whose peak in bfloat16 its rate is held against; None without one."""
    if not torch.cuda.is_available():
        return None
    device = this_device()
    return {"name": torch.cuda.get_device_name(), "as": device.name, "flops": device.bfloat16}
