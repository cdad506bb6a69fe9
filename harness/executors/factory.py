"""The executor that the options of a command name."""

from pathlib import Path

from harness.common.suggest import nearest
from harness.endpoints.prices import Prices
from harness.executors.options import RunOptions
from harness.executors.protocol import Estimate, Executor, ExecutorContext
from harness.executors.resources import read_resources
from harness.store.store import Store

EXECUTORS = ("inline", "ray", "slurm")


def open_executor(
    options: RunOptions,
    store: Store,
    logs: Path,
    prices: Prices,
    *,
    limited: bool,
    seconds: Estimate | None = None,
) -> Executor:
    """The executor of the options; ValueError where one is unknown or what it needs is not installed."""
    if options.executor not in EXECUTORS:
        raise ValueError(f"--executor {options.executor}: {nearest(options.executor, EXECUTORS)}")
    for option, value, owner in (
        ("--ray-address", options.ray_address, "ray"),
        ("--slurm", options.slurm, "slurm"),
        ("--slurm-partition", options.slurm_partition, "slurm"),
    ):
        if value and options.executor != owner:
            raise ValueError(f"{option}: belongs to --executor {owner}, not {options.executor}")
    context = ExecutorContext(store, logs, prices, limited, read_resources(options.resources or ()), seconds)
    # Ray and submitit are optional and slow to import, so each stands where it is chosen.
    from harness.executors.endpoint_lane import EndpointLane

    if options.executor == "inline":
        from harness.executors.inline import Inline

        return EndpointLane(Inline(store, context.resources.threads if options.resources else None), context)
    if options.executor == "ray":
        from harness.executors.ray import Ray

        return EndpointLane(Ray(context, options.ray_address), context)
    from harness.executors.slurm import Slurm

    return EndpointLane(Slurm(context, options.slurm or (), options.slurm_partition), context)
