"""The executor that the options of a command name."""

from pathlib import Path

from harness.common.suggest import nearest
from harness.endpoints.prices import Prices
from harness.executors.options import Chosen
from harness.executors.protocol import Estimate, Executor, Office
from harness.executors.resources import read
from harness.store.store import Store

NAMES = ("inline", "ray", "slurm")


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
    office = Office(store, logs, prices, limited, read(chosen.resources), seconds)
    from harness.executors.endpoint_lane import Lane

    if chosen.name == "inline":
        from harness.executors.inline import Inline

        return Lane(Inline(store, office.resources.threads if chosen.resources else None), office)
    if chosen.name == "ray":
        from harness.executors.ray import Ray

        return Lane(Ray(office, chosen.ray_address), office)
    from harness.executors.slurm import Slurm

    return Lane(Slurm(office, chosen.slurm, chosen.slurm_partition), office)
