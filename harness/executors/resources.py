"""What a step asks of the machine that runs it."""

import math
from collections.abc import Callable, Mapping, Sequence
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


def one_thread(step: Step) -> int:
    """A thread a step."""
    return 1


@dataclass(frozen=True)
class Resources:
    """What one step may use. `cpus` are the threads that it computes with, too, whoever runs it: sums of
    floats depend on them. None: as many threads as `rule` says, and one CPU beside a GPU.
    """

    cpus: int | None = None
    gpus: float = 1.0  # of a step that computes on one
    memory: float | None = None  # GB
    rule: Callable[[Step], int] = one_thread

    def threads(self, step: Step) -> int:
        """Threads that a step computes with."""
        return self.cpus or self.rule(step)

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
        threads = self.threads(step)
        each = 1 if step.kind.one_thread and processes > 1 else threads
        return Share(max(threads, each * processes), 0.0, self.memory)


def _devices(arguments: Sequence[str]) -> int:
    """GPUs that a server of vllm takes, by its arguments: its parallel sizes together."""
    words = " ".join(arguments).replace("=", " ").split()
    sizes = {name.lstrip("-").replace("_", "-"): size for name, size in pairwise(words)}
    given = [
        next((sizes[n] for n in (f"{of}-parallel-size", of[0] + "p") if n in sizes), "1") for of in PARALLEL
    ]
    return math.prod(int(size) for size in given if size.isdigit())


class Reservation:
    """Keeps what one step waits for that wants several CPUs or GPUs: until it has them, no other step takes
    one of that sort, so that small ones do not starve it.
    """

    def __init__(self) -> None:
        self._kept: tuple[str, Share] | None = None  # the step's id

    def admits(self, step: Step, asked: Share, fits: bool) -> bool:
        """Whether a step that asks for this may begin, where it fits."""
        if self._kept and self._kept[0] != step.id:
            large = self._kept[1]
            return fits and not (asked.gpus if large.gpus else not asked.gpus)
        waits = not fits and (asked.gpus > 1 or (not asked.gpus and asked.cpus > 1))
        self._kept = (step.id, asked) if waits else None
        return fits


def read_resources(given: Sequence[str], rule: Callable[[Step], int] = one_thread) -> Resources:
    """Resources from "cpus=2", "gpus=0.5", "memory=32"; ValueError for anything else. `rule`: the threads of
    a step where nothing is said of cpus.
    """
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
    return Resources(int(cpus) if cpus else None, gpus, found.get("memory"), rule)


def key_values(option: str, given: Sequence[str]) -> Mapping[str, str]:
    """ "key=value" words of an option, as a dictionary."""
    for word in given:
        # A line break would end the comment of a job's script in which it stands.
        if not all(word.partition("=")) or not word.isprintable():
            raise ValueError(f"{option} {word}: wants key=value, printable and of one line")
    return {word.partition("=")[0]: word.partition("=")[2] for word in given}


def _number(key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"--resources {key}={value}: a number above 0")
    return number
