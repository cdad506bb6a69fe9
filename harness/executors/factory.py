"""The executor that the options of a command name."""

from collections.abc import Iterable
from pathlib import Path

from harness.common import devices
from harness.common.suggest import nearest
from harness.endpoints.prices import Prices
from harness.executors.options import RunOptions
from harness.executors.protocol import NOTHING, Executor, ExecutorContext, Foretold
from harness.executors.resources import key_values, read_resources
from harness.store.step import Step
from harness.store.store import Store

EXECUTORS = ("jobs", "inline", "ray", "slurm")


def check(options: RunOptions) -> None:
    """ValueError for options that no executor takes, before anything else."""
    if options.executor not in EXECUTORS:
        raise ValueError(f"--executor {options.executor}: {nearest(options.executor, EXECUTORS)}")
    for option, value, owner in (
        ("--jobs", options.jobs, "jobs"),
        ("--ray-address", options.ray_address, "ray"),
        ("--slurm", options.slurm, "slurm"),
        ("--slurm-partition", options.slurm_partition, "slurm"),
    ):
        if value and options.executor != owner:
            raise ValueError(f"{option}: belongs to --executor {owner}, not {options.executor}")
    read_resources(options.resources or ())
    partition = [f"partition={options.slurm_partition}"] if options.slurm_partition else []
    key_values("--slurm", [*(options.slurm or ()), *partition])


def open_executor(
    options: RunOptions,
    store: Store,
    logs: Path,
    prices: Prices,
    *,
    limited: bool,
    foretold: Foretold = NOTHING,
    steps: Iterable[Step] = (),
) -> Executor:
    """The executor of options that are checked, for these steps; ValueError where what it needs is not
    installed.
    """
    resources = read_resources(options.resources or (), foretold.threads)
    context = ExecutorContext(store, logs, prices, limited, resources, foretold)
    # Ray and submitit are optional and slow to import, so each stands where it is chosen.
    from harness.executors.endpoint_lane import EndpointLane

    if options.executor == "jobs":
        return EndpointLane(_jobs(options.jobs, context, steps), context)
    if options.executor == "inline":
        from harness.executors.this_machine.inline import Inline

        return EndpointLane(Inline(store, resources.threads), context)
    if options.executor == "ray":
        from harness.executors.ray import Ray

        return EndpointLane(Ray(context, options.ray_address), context)
    from harness.executors.slurm import Slurm

    return EndpointLane(Slurm(context, options.slurm or (), options.slurm_partition), context)


def _jobs(count: int | None, context: ExecutorContext, steps: Iterable[Step]) -> Executor:
    from harness.executors.this_machine.jobs import Jobs
    from harness.executors.this_machine.room import Room

    gpus = devices.gpu_names()
    room = Room(
        context.resources,
        count,
        cpus=devices.available_cpus(),
        free=devices.free_memory(),
        gpus=gpus,
        bytes_of_gpu=devices.gpu_bytes() if gpus else 0.0,
        memory=context.foretold.memory,
    )
    return Jobs(context, room, sorted({step.kind.run.partition(":")[0] for step in steps}))
