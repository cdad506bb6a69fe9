"""The options that several commands of `bench` share, and what they do before heavy imports."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from harness.suite.schema import Suite

SuiteName = Annotated[str, typer.Argument(help="A suite by name, or a path that ends in .yaml.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one key of the suite, such as methods.ADPA.gamma_beta=0.2."),
]
Only = Annotated[
    list[str] | None, typer.Option("--only", "-o", help="Run these methods, with all that they need.")
]
Runs = Annotated[
    Path, typer.Option(envvar="BENCH_RUNS", help="The folder of the store and of each suite's results.")
]
MethodFile = Annotated[str | None, typer.Option(help="A Python file that defines methods of your own.")]
BenchmarkFile = Annotated[str | None, typer.Option(help="A Python file that defines benchmarks of your own.")]

PlanOnly = Annotated[
    bool, typer.Option("--plan", help="Print what it takes, and every step: done, or why it would run.")
]
Device = Annotated[
    str | None,
    typer.Option(
        help="h200, a100, 4090 or cpu: the device of --plan's estimate, and what the machines of --executor "
        "slurm or ray have, if that is not what this one has."
    ),
]
Devices = Annotated[int, typer.Option(min=1, help="With --plan: on so many devices at once.")]
Check = Annotated[bool, typer.Option("--check", help="Print estimates against what finished steps recorded.")]
Tokens = Annotated[
    int, typer.Option(min=1, help="Padded positions of a micro-batch: less takes less memory.")
]
Batch = Annotated[int, typer.Option(min=1, help="Answers decoded together: fewer take less memory.")]
Budget = Annotated[float | None, typer.Option("--max-cost", help="Stop before judging costs more, in USD.")]
Calls = Annotated[int | None, typer.Option("--max-calls", help="Stop before more calls to endpoints.")]
Prices = Annotated[Path | None, typer.Option(help="A YAML file of prices, over those that ship.")]
Estimate = Annotated[
    bool, typer.Option("--estimate", help="Print what judging would cost, by benchmark; run nothing.")
]
Workers = Annotated[int, typer.Option(min=1, help="Processes that measure one model; results do not change.")]
Executor = Annotated[
    str, typer.Option(help="Who runs the steps: inline (this process), ray or slurm; see docs/executors.md.")
]
RayAddress = Annotated[
    str | None, typer.Option(help="A cluster of Ray; one of this machine's own if absent.")
]
Slurm = Annotated[
    list[str] | None, typer.Option("--slurm", help="What sbatch is told, key=value: time=120, account=lab.")
]
SlurmPartition = Annotated[str | None, typer.Option(help="The partition of SLURM's jobs.")]
Resources = Annotated[
    list[str] | None,
    typer.Option("--resources", help="What each step gets: cpus=2 (threads too), gpus=0.5, memory=32 (GB)."),
]
Processes = Annotated[
    int | None, typer.Option(min=1, help="Processes of a training; a GPU each, of all, or one on the CPU.")
]
AccelerateConfig = Annotated[
    Path | None, typer.Option(help="A file of `accelerate config`, to shard a training by FSDP2, say.")
]
CheckpointEvery = Annotated[
    str, typer.Option(help="How often a training writes a checkpoint: 5m, or 200 optimizer steps.")
]
Judged = Annotated[
    str | None, typer.Option("--judge", help="The judge: a model at an endpoint, or a folder to serve.")
]
JudgeUrl = Annotated[str | None, typer.Option(help="The judge's endpoint; OpenAI's if absent.")]
JudgeKey = Annotated[
    str | None, typer.Option(help="The environment variable with the judge's key; OPENAI_API_KEY.")
]
JudgeEngine = Annotated[
    str | None, typer.Option(help="What serves a judge from a folder or hub id: transformers or vllm.")
]


def show_estimate(suite: "Suite", prices: Path | None) -> None:
    from harness.forecast import judging_estimate

    judging_estimate.show(suite, prices)


def quiet_libraries() -> None:
    """Libraries that talk while they load would break the live view; set before they are imported."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("DATASETS_VERBOSITY", "critical")  # what fails is told by us, once
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
