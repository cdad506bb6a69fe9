"""The executor that the options of a command name."""

from pathlib import Path

from harness.common.suggest import nearest
from harness.endpoints.prices import Prices
from harness.executors.options import ExecutorOptions
from harness.executors.protocol import Estimate, Executor, ExecutorContext
from harness.executors.resources import read_resources
from harness.store.store import Store

EXECUTORS = ("inline", "ray", "slurm")


def open_executor(
    options: ExecutorOptions,
    store: Store,
    logs: Path,
    prices: Prices,
    *,
    limited: bool,
    seconds: Estimate | None = None,
) -> Executor:
    """The executor of the options; ValueError where one is unknown or what it needs is not installed."""
    if options.name not in EXECUTORS:
        raise ValueError(f"--executor {options.name}: {nearest(options.name, EXECUTORS)}")
    for option, value, owner in (
        ("--ray-address", options.ray_address, "ray"),
        ("--slurm", options.slurm, "slurm"),
        ("--slurm-partition", options.slurm_partition, "slurm"),
    ):
        if value and options.name != owner:
            raise ValueError(f"{option}: belongs to --executor {owner}, not {options.name}")
    context = ExecutorContext(store, logs, prices, limited, read_resources(options.resources), seconds)
    from harness.executors.endpoint_lane import EndpointLane

    if options.name == "inline":
        from harness.executors.inline import Inline

        return EndpointLane(Inline(store, context.resources.threads if options.resources else None), context)
    if options.name == "ray":
        from harness.executors.ray import Ray

        return EndpointLane(Ray(context, options.ray_address), context)
    from harness.executors.slurm import Slurm

    return EndpointLane(Slurm(context, options.slurm, options.slurm_partition), context)
