"""How much memory logits may take here: never part of an id, since it changes no bit of a result."""

from pathlib import Path

import psutil
import torch

from harness.common.suggest import nearest
from methods.kernels.output_head import MemoryBudget

HEADS = ("auto", "keep", "recompute")  # whether logits are kept for the backward pass
SHARE = 4  # of what is free, one part in so many is for logits
ON_GPU = 1 << 30  # bytes of whole rows of logits: few and large launches; not measured
CGROUP = Path("/sys/fs/cgroup")


def free_bytes(device: torch.device) -> int:
    """Bytes that nobody uses on a device; in a container at most what its limit leaves."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    available = int(psutil.virtual_memory().available)
    try:
        limit = (CGROUP / "memory.max").read_text().strip()
        used = int((CGROUP / "memory.current").read_text())
    except OSError:
        return available
    return available if limit == "max" else min(available, max(0, int(limit) - used))


def memory_budget(head: str, device: torch.device) -> MemoryBudget:
    """`keep` and `recompute` as they say; `auto` keeps what fits a share of what is free now."""
    if head not in HEADS:
        raise ValueError(f"head {head}: {nearest(head, HEADS)}")
    keep = {"auto": free_bytes(device) // SHARE, "keep": 1 << 62, "recompute": 0}[head]
    if device.type == "cuda":
        return MemoryBudget(keep, rows=ON_GPU, tile=ON_GPU // 4, chunk=ON_GPU // 4)
    return MemoryBudget(keep)
