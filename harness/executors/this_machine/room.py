"""What of one machine's CPUs and GPUs steps under way hold, and what is kept for one that wants several."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from harness.endpoints.servers import server_of
from harness.executors.protocol import Estimate
from harness.executors.resources import Reservation, Resources, Share
from harness.store.step import Step

FILLED = 0.9  # of a memory: what steps that share it may be foretold to take


class Held(NamedTuple):
    """CPUs, parts of GPUs, and bytes of the machine's own memory."""

    cpus: int
    parts: dict[str, float]
    memory: float


class Room:
    """CPUs and GPUs of this machine. `jobs`: steps at once, on GPUs where there are some; with more jobs than
    GPUs steps share one, if the forecast `memory` (bytes of a step) says that it holds both. So do steps on
    CPUs the machine's own.
    """

    def __init__(
        self,
        resources: Resources,
        jobs: int | None = None,
        *,
        cpus: int,
        gpus: Sequence[str] = (),
        free: float,
        bytes_of_gpu: float = 0.0,
        memory: Estimate | None = None,
    ) -> None:
        self._resources, self._memory = resources, memory
        self._bytes, self._bytes_of_gpu = free, bytes_of_gpu
        self._cpus = cpus if gpus or not jobs else jobs
        self._part = min(1.0, len(gpus) / jobs) if gpus and jobs else 1.0
        self._free_gpus = dict.fromkeys(gpus, 1.0)
        self._held: dict[str, Held] = {}  # by step
        self._reservation = Reservation()

    def admits(self, step: Step) -> bool:
        """Whether a step may begin; ValueError where this machine has not what it asks for."""
        asked = self._resources.of(step)
        if asked.gpus > len(self._free_gpus):
            raise ValueError(
                f"{step.label}: asks for {asked.gpus:g} GPUs, and this machine has {len(self._free_gpus)}; "
                "see --resources and --processes"
            )
        fits = self._cpus_of(asked) <= self._cpus - sum(held.cpus for held in self._held.values())
        fits = fits and self._has_memory(step, asked) and self._placed(step, asked) is not None
        return self._reservation.admits(step, asked, fits)

    def take(self, step: Step) -> tuple[str, ...]:
        """The GPUs of a step that may begin, which it holds until it is freed."""
        asked = self._resources.of(step)
        parts = self._placed(step, asked)
        assert parts is not None, "of a step that was admitted"
        for gpu, part in parts.items():
            self._free_gpus[gpu] -= part
        self._held[step.id] = Held(self._cpus_of(asked), parts, 0.0 if parts else self._needs(step) or 0.0)
        return tuple(parts)

    def free(self, step: Step) -> None:
        """What a step held, it holds no more."""
        for gpu, part in self._held.pop(step.id).parts.items():
            self._free_gpus[gpu] += part

    def _cpus_of(self, asked: Share) -> int:
        # A step of more threads than there are CPUs has them all.
        return min(asked.cpus, self._cpus)

    def _has_memory(self, step: Step, asked: Share) -> bool:
        """Whether the machine's memory holds a step on CPUs beside the others; one alone may try."""
        taken = sum(held.memory for held in self._held.values())
        return bool(asked.gpus) or not taken or taken + (self._needs(step) or 0.0) <= FILLED * self._bytes

    def _needs(self, step: Step) -> float | None:
        return self._memory(step) if self._memory else None

    def _placed(self, step: Step, asked: Share) -> dict[str, float] | None:
        """The GPUs for a step, and which part of each it takes; None where they are not free."""
        if not asked.gpus:
            return {}
        part = self._part_of(step) if asked.gpus == 1 else min(asked.gpus, 1.0)
        # The fullest that will do, so that whole ones stay for those that want whole ones.
        free = sorted((left, gpu) for gpu, left in self._free_gpus.items() if left >= part - 1e-9)
        wanted = math.ceil(asked.gpus)
        return {gpu: part for _, gpu in free[:wanted]} if len(free) >= wanted else None

    def _part_of(self, step: Step) -> float:
        # A server takes nearly all of a card, whatever its model needs.
        if self._part == 1.0 or server_of(step.context):
            return 1.0
        needs = self._needs(step)
        return 1.0 if needs is None else min(1.0, max(self._part, needs / (FILLED * self._bytes_of_gpu)))
