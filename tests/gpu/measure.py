"""Milliseconds, memory, and the share of a step in which a GPU has nothing to do."""

import gc
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.profiler import DeviceType, ProfilerActivity, profile

from tests.gpu.check import Line
from tests.perf.clock import synchronize

GB = 1e9
SHOWN = 12  # kernels of a profile


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seconds(run: Callable[[], object]) -> float:
    """Of one call, until the device is done with it."""
    synchronize()
    began = time.perf_counter()
    run()
    synchronize()
    return time.perf_counter() - began


def memory() -> Line:
    """GB that tensors take now and took at most, and that torch holds; nothing without a GPU."""
    if not torch.cuda.is_available():
        return {}
    return {
        "held_gb": torch.cuda.memory_allocated() / GB,
        "peak_gb": torch.cuda.max_memory_allocated() / GB,
        "reserved_gb": torch.cuda.memory_reserved() / GB,
    }


def emptied() -> None:
    """What nobody refers to is given back, and the peak is counted from here."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """The length of what spans, begin and end, cover together."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def profiled(run: Callable[[], object]) -> Line:
    """Of one call: seconds in which a kernel ran, how many ran, and which took longest; also what waited for
    the device. Nothing without a GPU.
    """
    if not torch.cuda.is_available():
        return {}
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        run()
        synchronize()
    kernels = [e for e in found.events() if e.device_type == DeviceType.CUDA]
    by_name: dict[str, list[float]] = {}
    for kernel in kernels:
        by_name.setdefault(kernel.name, []).append(kernel.time_range.elapsed_us())
    longest = sorted(by_name.items(), key=lambda item: -sum(item[1]))[:SHOWN]
    return {
        "busy_s": covered((k.time_range.start, k.time_range.end) for k in kernels) / 1e6,
        "kernels": len(kernels),
        "longest": [[name[:70], len(us), round(sum(us) / 1e3, 2)] for name, us in longest],
        "waits": _waits(found),
    }


def _waits(found: Any) -> dict[str, int]:
    """Calls by which the processor waits for the device, or may."""
    names = ("aten::item", "aten::nonzero", "cudaStreamSynchronize", "cudaMemcpyAsync")
    return {e.key: e.count for e in found.key_averages() if e.key in names}
