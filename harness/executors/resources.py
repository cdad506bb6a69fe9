"""What a step asks of the machine that runs it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from harness.common.suggest import nearest
from harness.endpoints.servers import ARGUMENTS, server_of
from harness.store.step import Step

PARALLEL = ("tensor", "pipeline", "data")  # how vllm is told to share a model, --tensor-parallel-size or -tp


class Share(NamedTuple):
    """CPUs, GPUs and GB of memory; None where memory is nobody's concern."""

    cpus: int
    gpus: float
    memory: float | None


@dataclass(frozen=True)
class Resources:
    """What one step may use. `threads` is the number that torch computes with, whoever runs the step: sums of
    floats depend on it. None for `cpus`: as many as threads where a step computes on CPUs, one beside a GPU.
    """

    threads: int
    cpus: int | None = None
    gpus: float = 1.0  # of a step that computes on one
    memory: float | None = None  # GB

    def of(self, step: Step) -> Share:
        """What a step asks for."""
        context = step.context
        server = server_of(context)
        served = server is not None
        asks = "endpoint" in context and not served
        on_gpu = context.get("device") == "cuda" and (step.kind.on_device or served) and not asks
        processes = int(context.get(step.kind.processes, 1)) or 1
        if on_gpu:
            several = _devices(server.get(ARGUMENTS, ())) if server else processes
            gpus = max(self.gpus, float(several)) if several > 1 else self.gpus
            return Share((self.cpus or 1) * processes, gpus, self.memory)
        each = 1 if step.kind.one_thread and processes > 1 else self.cpus or self.threads
        return Share(max(self.cpus or self.threads, each * processes), 0.0, self.memory)


def _devices(arguments: Sequence[str]) -> int:
    """GPUs that a server of vllm takes, by its arguments: its parallel sizes together."""
    words = " ".join(arguments).replace("=", " ").split()
    sizes = {name.lstrip("-").replace("_", "-"): size for name, size in pairwise(words)}
    given = [
        next((sizes[n] for n in (f"{of}-parallel-size", of[0] + "p") if n in sizes), "1") for of in PARALLEL
    ]
    return math.prod(int(size) for size in given if size.isdigit())


def read_resources(given: Sequence[str]) -> Resources:
    """Resources from "cpus=2", "gpus=0.5", "memory=32"; ValueError for anything else.

    A step computes with as many threads as it has CPUs; without a word, with as many as torch uses here.
    """
    import torch

    found = {key: _number(key, value) for key, value in key_values("--resources", given).items()}
    for key in found:
        if key not in ("cpus", "gpus", "memory"):
            raise ValueError(f"--resources {key}: {nearest(key, ('cpus', 'gpus', 'memory'))}")
    cpus = found.get("cpus")
    if cpus is not None and cpus != int(cpus):
        raise ValueError(f"--resources cpus={cpus}: a whole number of CPUs")
    gpus = found.get("gpus", 1.0)
    if gpus > 1 and gpus != int(gpus):
        raise ValueError(f"--resources gpus={gpus}: a share of one GPU, or a whole number of them")
    whole = int(cpus) if cpus else None
    return Resources(whole or torch.get_num_threads(), whole, gpus, found.get("memory"))


def key_values(option: str, given: Sequence[str]) -> Mapping[str, str]:
    """ "key=value" words of an option, as a dictionary."""
    for word in given:
        if not all(word.partition("=")):
            raise ValueError(f"{option} {word}: wants key=value")
    return {word.partition("=")[0]: word.partition("=")[2] for word in given}


def _number(key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"--resources {key}={value}: a number above 0")
    return number
