"""This machine's device: by its card's name in devices.yaml, else at the rates of the nearest known card."""

import math
from dataclasses import replace

from harness.common import devices
from harness.executors.options import JOBS, RunOptions
from harness.forecast.forecast import Device, device_named
from harness.forecast.sizes import table

CPU = "cpu"


def planned(options: RunOptions) -> int:
    """How many devices a plan is scheduled on: as the command line says, else as many as steps would run on
    at once here; one where it is another machine that runs them.
    """
    here = options.device is None and options.executor == JOBS
    if options.devices or not here:
        return options.devices or 1
    return devices.gpu_count() or options.jobs or devices.available_cpus()


def this_device() -> Device:
    """What steps compute on here; of several cards the smallest."""
    if not devices.gpu_count():
        return device_named(CPU)
    import torch

    return of_card(torch.cuda.get_device_name(), devices.gpu_bytes())


def of_card(name: str, memory: int) -> Device:
    """A card by the name and bytes that torch reports. One that is not in the table has the rates of the one
    there whose memory is nearest, of several the slowest, and says so.
    """
    cards = [device_named(known) for known in table("devices") if known != CPU]
    for card in cards:
        if card.name in name.lower():
            return replace(card, memory=float(memory))
    nearest = min(cards, key=lambda c: (round(abs(math.log(c.memory / memory)), 1), c.bfloat16))
    note = f"a card that is not known here: the rates of {nearest.name}, whose memory is nearest"
    return replace(nearest, name=name, memory=float(memory), note=note)
