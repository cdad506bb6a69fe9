"""What the options of a command say of how steps run: nothing here is part of a step's id, nor imports a
model library.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

CHECKPOINT_EVERY = "5m"


@dataclass(frozen=True)
class CheckpointInterval:
    """How often a checkpoint is written: every so many optimizer steps or seconds."""

    steps: int = 0
    seconds: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "CheckpointInterval":
        """ "200" optimizer steps, or "5m", minutes; ValueError for anything else."""
        number = text.removesuffix("m")
        try:
            every = cls(seconds=60 * float(number)) if number != text else cls(steps=int(number))
        except ValueError:
            every = cls()
        if every.steps <= 0 and not 0 < every.seconds < float("inf"):
            raise ValueError(f"checkpoint every {text!r}: optimizer steps such as 200, or minutes such as 5m")
        return every


@dataclass(frozen=True)
class Machine:
    """How steps run here; none of it is part of an id."""

    device: str = "cpu"
    tokens: int = 16_384  # computed positions of a micro-batch
    batch: int = 128  # prompts that are answered together
    head: str = "auto"  # whether logits are kept for the backward pass, see harness.models.memory
    workers: int = 1  # processes that each hold the model under measurement
    processes: int = 1  # of a training; 0: as the accelerate config file says
    accelerate_config: str = ""  # a file, for FSDP and the like
    checkpoint_every: str = CHECKPOINT_EVERY  # minutes, or optimizer steps of a training
    replies: str = ""  # folder of what endpoints and lm-eval's requests were answered


class Spending(NamedTuple):
    """What a run may spend, at which prices, and with how many processes it measures."""

    max_cost: float | None = None  # USD
    max_calls: int | None = None
    prices: Path | None = None
    workers: int = 1


class Hardware(NamedTuple):
    """What a run computes on, how much at once, and how often a training writes a checkpoint; results differ
    by rounding at most.
    """

    tokens: int = Machine.tokens
    batch: int = Machine.batch
    processes: int | None = None  # a GPU each, of all; on the CPU one
    accelerate_config: Path | None = None
    checkpoint_every: str = CHECKPOINT_EVERY


@dataclass(frozen=True)
class ExecutorOptions:
    """What the options of a command say: an executor, where it is, and what each step asks for ("cpus=2")."""

    name: str = "inline"
    ray_address: str | None = None
    slurm: Sequence[str] = ()  # "key=value"
    slurm_partition: str | None = None
    resources: Sequence[str] = ()  # "key=value"


class ForecastOptions(NamedTuple):
    """Which device (None: this machine's), for `--plan` how many, and whether to check records."""

    device: str | None = None
    devices: int = 1
    check: bool = False


NO_LIMITS, DEFAULT_HARDWARE, DEFAULT_FORECAST, INLINE = (
    Spending(),
    Hardware(),
    ForecastOptions(),
    ExecutorOptions(),
)
