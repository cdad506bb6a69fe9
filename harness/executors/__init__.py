"""Who runs the steps of a plan, and where: this process, Ray's workers, or SLURM's jobs.

The store is the truth and the plan is data: an executor is told to begin a step whose inputs are done, and
says when it ended. What a step makes does not depend on who ran it (work.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from harness.prices import Prices
from harness.store import Step, Store
from harness.validation import nearest

if TYPE_CHECKING:
    from harness.executors.resources import Resources

NAMES = ("inline", "ray", "slurm")
Estimate = Callable[[Step], float | None]  # seconds of a step; None where nobody can say


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
class Chosen:
    """What the options of a command say: an executor, where it is, and what each step asks for ("cpus=2")."""

    name: str = "inline"
    ray_address: str | None = None
    slurm: Sequence[str] = ()  # "key=value"
    slurm_partition: str | None = None
    resources: Sequence[str] = ()  # "key=value"


@dataclass(frozen=True)
class Office:
    """What every executor needs to know of a run."""

    store: Store
    logs: Path
    prices: Prices
    limited: bool  # whether the run may spend so much only
    resources: "Resources" = field(default_factory=lambda: _resources(()))
    seconds: Estimate | None = None  # None: nobody said on which device


def opened(
    chosen: Chosen,
    store: Store,
    logs: Path,
    prices: Prices,
    *,
    limited: bool,
    seconds: Estimate | None = None,
) -> Executor:
    """The executor of the options; ValueError where one is unknown or what it needs is not installed."""
    if chosen.name not in NAMES:
        raise ValueError(f"--executor {chosen.name}: {nearest(chosen.name, NAMES)}")
    for option, given, of in (
        ("--ray-address", chosen.ray_address, "ray"),
        ("--slurm", chosen.slurm, "slurm"),
        ("--slurm-partition", chosen.slurm_partition, "slurm"),
    ):
        if given and chosen.name != of:
            raise ValueError(f"{option}: belongs to --executor {of}, not {chosen.name}")
    office = Office(store, logs, prices, limited, _resources(chosen.resources), seconds)
    from harness.executors.lane import Lane

    if chosen.name == "inline":
        from harness.executors.inline import Inline

        return Lane(Inline(store, office.resources.threads if chosen.resources else None), office)
    if chosen.name == "ray":
        from harness.executors.ray import Ray

        return Lane(Ray(office, chosen.ray_address), office)
    from harness.executors.slurm import Slurm

    return Lane(Slurm(office, chosen.slurm, chosen.slurm_partition), office)


def _resources(given: Sequence[str]) -> "Resources":
    from harness.executors import resources

    return resources.read(given)
