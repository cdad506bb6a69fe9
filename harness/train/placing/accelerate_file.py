"""Files of `accelerate config`: what one says of a training's processes, and the one that is written where a
suite says `shard: fsdp2`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.common.input import yaml_text
from harness.common.text import cut

DEEPSPEED = (
    "DeepSpeed: accelerate steps its optimizer in each backward pass, and an optimizer step here has "
    "several; name distributed_type FSDP with fsdp_version 2 in the accelerate config file"
)
VERSION_1 = "FSDP: version 1 is not supported; set fsdp_version 2 in the accelerate config file"
WHOLE = (
    "a method that samples from the policy while it trains needs whole weights in every process; train it on "
    "several devices without sharding"
)
SAME_BATCH = ("tp_size", "cp_size", "sp_size")  # of processes that share an example
# Each layer for itself, gathered for its forward and its backward pass; accelerate's own answers otherwise.
FSDP2 = {
    "distributed_type": "FSDP",
    "mixed_precision": "no",  # a suite says it
    "num_machines": 1,
    "fsdp_config": {
        "fsdp_version": 2,
        "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "fsdp_reshard_after_forward": True,
        "fsdp_state_dict_type": "SHARDED_STATE_DICT",
        "fsdp_cpu_ram_efficient_loading": True,
    },
}


# Variables that accelerate reads as yes or no, and how it spells these (accelerate/utils/environment.py).
FLAGS = ("ACCELERATE_USE_CPU", "ACCELERATE_DEBUG_MODE", "ACCELERATE_USE_FSDP", "ACCELERATE_USE_MEGATRON_LM")
YES = ("y", "yes", "t", "true", "on", "1")
YES_OR_NO = (*YES, "n", "no", "f", "false", "off", "0")
NOT_BY = {
    "ACCELERATE_USE_DEEPSPEED": DEEPSPEED,
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM: a training is by FSDP2 or on whole weights; leave it out",
}


class Asked(NamedTuple):
    """What a file asks for: processes of a training, and how they share weights, "" for not at all."""

    processes: int
    shard: str


def read(file: Path) -> Asked:
    """What a file asks for; ValueError for one that no training can be run by."""
    if not file.is_file():
        raise ValueError(f"--accelerate-config {file}: no such file; `accelerate config` writes one")
    found: Any = yaml_text.read(file, "accelerate config file")
    if not isinstance(found, dict) or "distributed_type" not in found:
        raise ValueError(f"{file}: no distributed_type; `accelerate config` writes such a file")
    kind, sharding = found["distributed_type"], found.get("fsdp_config") or {}
    if kind == "DEEPSPEED":
        raise ValueError(DEEPSPEED)
    if kind == "FSDP" and str(sharding.get("fsdp_version")) != "2":
        raise ValueError(VERSION_1)
    for name, size in (found.get("parallelism_config") or {}).items():
        if name.removeprefix("parallelism_config_") in SAME_BATCH and str(size) != "1":
            raise ValueError(f"{file}: {name}: {size}; it must be 1, as each process reads other examples")
    processes = found.get("num_processes", 1)
    if not isinstance(processes, int) or processes < 1:
        raise ValueError(f"{file}: num_processes: {processes}; a whole number, 1 or more")
    return Asked(processes, "fsdp2" if kind == "FSDP" else "")


def check_flags(environment: Mapping[str, str]) -> None:
    """ValueError for a variable that accelerate would refuse in its own words when a training starts."""
    for name in FLAGS:
        given = environment.get(name, "0")
        if given.lower() not in YES_OR_NO:
            raise ValueError(f"{name}: given {cut(repr(given))}; true or false, or leave it out")
    for name, fault in NOT_BY.items():
        if environment.get(name, "0").lower() in YES:
            raise ValueError(f"{name}: given {environment[name]}; {fault}")


def write_fsdp2(folder: Path) -> Path:
    """A file that shards a training over its processes; JSON is YAML."""
    file = folder / "fsdp2.yaml"
    file.write_text(json.dumps(FSDP2))
    return file
