"""How steps run: the options of `bench run` and `bench eval`, each declared once, and the machine. None of it
is part of a step's id, since results differ by rounding at most; `reuse` alone says what endpoints count as.

Typer takes the fields as options of a command (harness/cli/options.py), the pipeline and the executors take
the objects.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Option

CHECKPOINT_EVERY = "5m"
JOBS = "jobs"
MOST = 2**31 - 1  # of what is counted: what indices of 32 bits bear
HERE = (JOBS, "inline")  # executors that run steps on this machine


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
    devices: int = 0  # that a training can have: GPUs, else CPUs; 0 where nobody knows
    processes: int = 0  # of each training, as the command line says; 0: as the suite says
    accelerate_config: str = ""  # a file, for FSDP and the like
    shard: str = ""  # how processes share weights by that file
    checkpoint_every: str = CHECKPOINT_EVERY  # minutes, or optimizer steps of a training
    replies: str = ""  # folder of what endpoints and lm-eval's requests were answered


@dataclass(frozen=True)
class Spending:
    """What a run may ask of endpoints, and at which prices."""

    max_cost: Annotated[float | None, Option(min=0, help="Stop before judging costs more, in USD.")] = None
    max_calls: Annotated[int | None, Option(min=0, max=MOST, help="Stop before more calls to endpoints.")] = (
        None
    )
    prices: Annotated[Path | None, Option(help="A YAML file of prices, over those that ship.")] = None

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return self.max_cost is not None or self.max_calls is not None


ExecutorName = Annotated[
    str,
    Option(
        envvar="BENCH_EXECUTOR",
        help="Who runs the steps: jobs (processes of this machine), inline (this process), ray or slurm; "
        "see docs/executors.md.",
    ),
]
JobCount = Annotated[
    int | None,
    Option(
        min=1,
        max=MOST,
        help="Steps at once: as many as there are GPUs, else CPUs, if absent; results do not change.",
    ),
]


@dataclass(frozen=True)
class RunOptions:
    """Who runs the steps, how many at once, or what is only printed of them."""

    workers: Annotated[
        int, Option(min=1, max=MOST, help="Processes that measure one model; results do not change.")
    ] = 1
    batch: Annotated[
        int, Option(min=1, max=MOST, help="Answers decoded together: fewer take less memory.")
    ] = Machine.batch
    executor: ExecutorName = JOBS
    jobs: JobCount = None
    ray_address: Annotated[
        str | None, Option(help="A cluster of Ray; one of this machine's own if absent.")
    ] = None
    slurm: Annotated[
        list[str] | None, Option(help="What sbatch is told, key=value: time=120, account=lab.")
    ] = None
    slurm_partition: Annotated[str | None, Option(help="The partition of SLURM's jobs.")] = None
    resources: Annotated[
        list[str] | None, Option(help="What each step gets: cpus=2 (threads too), gpus=0.5, memory=32 (GB).")
    ] = None
    plan: Annotated[
        bool, Option("--plan", help="Print what it takes, and every step: done, or why it would run.")
    ] = False
    device: Annotated[
        str | None,
        Option(
            help="h200, h100, a100, 4090 or cpu: the device of --plan's estimate, and what the machines of "
            "--executor slurm or ray have, if that is not what this one has."
        ),
    ] = None
    devices: Annotated[
        int | None,
        Option(
            min=1,
            max=MOST,
            help="With --plan: on so many devices at once; if absent as many as would be used here.",
        ),
    ] = None
    check: Annotated[
        bool, Option("--check", help="Print estimates against what finished steps recorded.")
    ] = False
    estimate: Annotated[
        bool, Option("--estimate", help="Print what judging would cost, by benchmark; run nothing.")
    ] = False
    as_json: Annotated[
        bool, Option("--json", help="Print JSON, and nothing else; a run's with --plan, --check, --estimate.")
    ] = False
    registry_order: Annotated[
        bool, Option("--registry-order", help="Print the table's rows as `bench methods` lists them.")
    ] = False
    reuse: Annotated[
        bool, Option("--reuse", help="Take endpoints for those that answered by their models' names before.")
    ] = False

    track: Annotated[
        list[str] | None,
        Option(help="Tell tensorboard, wandb, mlflow or trackio of it: see docs/tracking.md."),
    ] = None

    @property
    def only_told(self) -> bool:
        """Whether nothing is run; ValueError for forms that do not go together."""
        told = self.plan or self.check or self.estimate
        if self.check and self.estimate:
            raise ValueError("--check and --estimate: one of them")
        if self.as_json and not told:
            raise ValueError(
                "--json: with --plan, --check or --estimate; of a run, see `bench report --json`"
            )
        return told

    @property
    def elsewhere(self) -> str | None:
        """The device of the machines that run the steps, where that is not this one."""
        return None if self.executor in HERE else self.device


@dataclass(frozen=True)
class TrainingOptions:
    """What a training computes on, how much at once, and how often it writes a checkpoint."""

    tokens: Annotated[
        int,
        Option(
            min=1,
            max=MOST,
            help="Positions of a micro-batch at most; a training has fewer where these do not fit.",
        ),
    ] = Machine.tokens
    processes: Annotated[
        int | None,
        Option(
            min=1,
            max=MOST,
            help="Processes of each training, a GPU each, whatever the suite says of `devices`.",
        ),
    ] = None
    accelerate_config: Annotated[
        Path | None, Option(help="A file of `accelerate config`, to shard a training by FSDP2, say.")
    ] = None
    checkpoint_every: Annotated[
        str, Option(help="How often a training writes a checkpoint: 5m, or 200 optimizer steps.")
    ] = CHECKPOINT_EVERY


RUN_DEFAULTS, NO_LIMITS, TRAINING_DEFAULTS = RunOptions(), Spending(), TrainingOptions()
