"""How much memory logits may take here, never part of an id, since it changes no bit of a result; and batches
that do not fit, whose halves change the last bits.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from harness.common import devices
from harness.common.cost import ON_GPU
from harness.common.suggest import nearest
from methods.kernels.output_head import MemoryBudget

HEADS = ("auto", "keep", "recompute")  # whether logits are kept for the backward pass
SHARE = 4  # of what is free, one part in so many is for logits

Request = TypeVar("Request")
Answer = TypeVar("Answer")


def in_halves(
    ask: Callable[[Sequence[Request]], list[Answer]], batch: Sequence[Request], key: str
) -> tuple[list[Answer], int]:
    """What `ask` answers to a batch, and how often a part of it had to be halved to fit into memory;
    ValueError where one request alone does not fit, with the suite's key of the model's dtype.
    """
    try:
        return ask(batch), 0
    except torch.OutOfMemoryError as error:
        if len(batch) == 1:
            told = str(error).splitlines()[0]
            mends = f"set {key}: bfloat16, which takes half"
            raise ValueError(f"out of memory at one request alone: {mends} ({told})") from None
    # Not in `except`, where the traceback still holds what was computed.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = (len(batch) + 1) // 2
    parts = [in_halves(ask, part, key) for part in (batch[:half], batch[half:])]
    return [answer for answers, _ in parts for answer in answers], 1 + sum(halved for _, halved in parts)


def free_bytes(device: torch.device) -> int:
    """Bytes that nobody uses on a device; in a container at most what its limit leaves."""
    if device.type == "cuda":
        # What torch holds without using it is there for whoever asks torch.
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    return devices.free_memory()


def memory_budget(head: str, device: torch.device) -> MemoryBudget:
    """`keep` and `recompute` as they say; `auto` keeps what fits a share of what is free now."""
    if head not in HEADS:
        raise ValueError(f"head {head}: {nearest(head, HEADS)}")
    keep = {"auto": free_bytes(device) // SHARE, "keep": 1 << 62, "recompute": 0}[head]
    if device.type == "cuda":
        return MemoryBudget(keep, rows=ON_GPU, tile=ON_GPU // 4, chunk=ON_GPU // 4)
    return MemoryBudget(keep)


def room(
    device: torch.device,
    optimizer: torch.optim.Optimizer | None,
    weights: Iterable[nn.Parameter],
    moments: float = 8.0,
) -> int:
    """Bytes that logits may take of what is free now, beside what is still to come of this process's part of
    a training: the gradients that are not there yet, and before its first step AdamW's two moments, of which
    a parameter has so many bytes.
    """
    moving = [w for w in weights if w.requires_grad] if optimizer else []
    gradients = sum(_bytes(w) for w in moving if w.grad is None)
    begun = optimizer is None or bool(optimizer.state)
    states = 0 if begun else round(moments * sum(_mine(w).numel() for w in moving))
    return max(0, free_bytes(device) - gradients - states) // SHARE


def offloaded(weights: Iterable[Tensor]) -> AbstractContextManager[None]:
    """Inside, what is saved for a backward pass waits in the host's memory, weights aside: the same bytes."""
    here = {_mine(w).untyped_storage().data_ptr() for w in weights}

    # Not torch's save_on_cpu, which copies every weight that a layer multiplies by, and waits for each copy.
    def pack(saved: Tensor) -> Tensor | tuple[torch.device, Tensor]:
        if saved.untyped_storage().data_ptr() in here:
            return saved
        host = torch.empty_like(saved, device="cpu", pin_memory=saved.is_cuda)
        return saved.device, host.copy_(saved, non_blocking=True)

    def unpack(packed: Tensor | tuple[torch.device, Tensor]) -> Tensor:
        if isinstance(packed, Tensor):
            return packed
        device, host = packed
        return host.to(device, non_blocking=True)

    return torch.autograd.graph.saved_tensors_hooks(pack, unpack)


def _bytes(weight: Tensor) -> int:
    """Bytes of a weight, or of this process's share of it."""
    mine = _mine(weight)
    return mine.numel() * mine.element_size()


def _mine(weight: Tensor) -> Tensor:
    return weight.to_local() if isinstance(weight, DTensor) else weight
