"""Who runs the steps of a plan, and where: this process, Ray's workers, or SLURM's jobs.

The store is the truth and the plan is data: an executor is told to begin a step whose inputs are done, and
says when it ended. What a step makes does not depend on who ran it (job.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from harness.endpoints.prices import Prices
from harness.executors.resources import Resources, one_thread
from harness.store.step import Step
from harness.store.store import Store

Estimate = Callable[[Step], float | None]  # of a step; None where nobody can say


def nobody_knows(step: Step) -> float | None:
    """No estimate."""
    return None


@dataclass(frozen=True)
class Foretold:
    """What is known of steps before they run: seconds, bytes on the device, and threads on CPUs; `rests` are
    the seconds of the longest chain that begins with a step, by its id. `expected` are seconds on a device
    that may be another one, for whoever corrects them by what was measured.
    """

    seconds: Estimate | None = None  # None: nobody said on which device
    memory: Estimate | None = None
    threads: Callable[[Step], int] = one_thread
    rests: Mapping[str, float] = field(default_factory=dict)
    expected: Estimate = nobody_knows


NOTHING = Foretold()


class Outcome(NamedTuple):
    """How a step ended. `made` is False where another process is at it; `fault` is one line on a failure, and
    `mendable` says that the person at the keyboard can mend it.
    """

    step: Step
    seconds: float = 0.0
    made: bool = True
    fault: str = ""
    mendable: bool = False


class Executor(Protocol):
    """Runs steps whose inputs are done, some of them at once."""

    def has_room(self, step: Step) -> bool:
        """Whether the step may begin now."""

    def begin(self, step: Step) -> None:
        """Start a step, without waiting for its end."""

    def ended(self, seconds: float) -> list[Outcome]:
        """The steps that ended since; waits so long at most for the first one."""

    def close(self) -> None:
        """Stop what is still running."""


@dataclass(frozen=True)
class ExecutorContext:
    """Run-wide context given to every executor."""

    store: Store
    logs: Path
    prices: Prices
    limited: bool  # whether the run may spend so much only
    resources: Resources = field(default_factory=Resources)
    foretold: Foretold = NOTHING
