"""The CPUs and GPUs that this process may use, and what a step leaves in their memory; without a GPU's driver
nothing loads torch to ask.
"""

import ctypes
import gc
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")  # of CUDA, of CUDA under Windows' Linux, of ROCm
CGROUP = Path("/sys/fs/cgroup")  # of a container
TRIM_THRESHOLD, MMAP_MAX = -1, -4  # of glibc's mallopt(3)
VISIBLE = "CUDA_VISIBLE_DEVICES"


def gpu_count() -> int:
    """How many GPUs this process may use."""
    if not any(Path(driver).exists() for driver in DRIVERS):
        return 0
    import torch

    return torch.cuda.device_count()


def gpu_names() -> tuple[str, ...]:
    """What CUDA_VISIBLE_DEVICES calls the GPUs that this process may use."""
    count = gpu_count()
    visible = os.environ.get(VISIBLE)
    names = visible.split(",") if visible else [str(n) for n in range(count)]
    return tuple(name.strip() for name in names[:count])


def gpu_bytes() -> int:
    """The memory of the smallest GPU."""
    import torch

    cards = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
    return min(int(card.total_memory) for card in cards)


def available_cpus() -> int:
    """CPUs that this process may use: those it is bound to, in a container at most its quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (CGROUP / "cpu.max").read_text().split()
    except OSError:
        return bound
    return bound if quota == "max" else max(1, min(bound, int(quota) // int(period)))


def free_memory() -> int:
    """Bytes of this machine's memory that nobody uses; in a container at most what its limit leaves."""
    available = int(psutil.virtual_memory().available)
    try:
        limit = (CGROUP / "memory.max").read_text().strip()
        used = int((CGROUP / "memory.current").read_text())
    except OSError:
        return available
    return available if limit == "max" else min(available, max(0, int(limit) - used))


@contextmanager
def freed() -> Iterator[None]:
    """What was made inside and nobody holds any more is gone at the end, reference cycles too, and what was
    cached of a GPU's memory by torch, and of the machine's by this process, is the machine's again.
    """
    glibc = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
    if glibc:
        # Else every large tensor of every micro-batch is new pages, which the kernel fills with zeros first:
        # 3 to 9 % of a step on a CPU.
        glibc.mallopt(MMAP_MAX, 0)
        glibc.mallopt(TRIM_THRESHOLD, -1)  # never
    # A model in a cycle waits for the collector, which counts objects and not their gigabytes. Frozen: what
    # was there before, some 400,000 objects of libraries, would take it a second each time.
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
        if "torch" in sys.modules:  # not every step computes by it, and it takes seconds
            import torch  # which waits where another thread is still at it

            torch.cuda.empty_cache()
        if glibc:
            glibc.malloc_trim(0)


RANKS = (
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "PMI_RANK", "PMI_SIZE"),  # torch's, and MPICH's
    *(f"{mpi}_COMM_WORLD_{of}" for mpi in ("OMPI", "MV2") for of in ("RANK", "SIZE", "LOCAL_RANK")),
)


def by_itself() -> str:
    """Make this process one by itself, whatever a cluster's launcher has left in its environment: accelerate
    would wait for others that never come. Returns which variables went; the launcher here sets its own.
    """
    return ", ".join(name for name in RANKS if os.environ.pop(name, None) is not None)
