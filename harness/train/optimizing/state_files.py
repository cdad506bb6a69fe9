"""The state of a training as safetensors and JSON: what is read back holds numbers, and runs nothing.

weights-0.safetensors      of the first process all weights, of each where they are sharded its own rows
optimizer-0.safetensors    the tensors of optimizer and schedule: "optimizer.state.0.exp_avg"
random-0.safetensors       the states of torch's generators of random numbers, of every process
state-0.json               all else, and the first row of each shard
"""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

TENSOR, EIGHT_BITS = "$tensor", "$tensor in 8 bits"  # in JSON, where a tensor stands in a file beside
PARTS = ("weights", "optimizer", "random")


@dataclass
class Packed:
    """Tensors that are taken out of a state, on their way into a file."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    first_rows: dict[str, int] = field(default_factory=dict)  # of those that are shards

    def put(self, name: str, value: Tensor) -> None:
        """Take a tensor, or this process's rows of a sharded one."""
        if isinstance(value, DTensor):
            _, offset = compute_local_shape_and_global_offset(
                value.shape, value.device_mesh, value.placements
            )
            self.first_rows[name], value = offset[0] if offset else 0, value.to_local()
        self.tensors[name] = value.detach().contiguous()

    def tree(self, name: str, value: Any) -> Any:
        """A state as JSON holds it, with names in the place of its tensors."""
        if isinstance(value, Mapping):
            return {str(key): self.tree(f"{name}.{key}".lstrip("."), x) for key, x in value.items()}
        if isinstance(value, list | tuple):
            return [self.tree(f"{name}.{i}", x) for i, x in enumerate(value)]
        if not isinstance(value, Tensor):
            return value
        local = value.to_local() if isinstance(value, DTensor) else value
        if not is_traceable_wrapper_subclass(local):
            self.put(name, value)
            return {TENSOR: name}
        inner, (signed, _) = local.__tensor_flatten__()
        for part in inner:
            self.put(f"{name}.{part}", getattr(local, part))
        return {EIGHT_BITS: name, "signed": signed}


def save(
    folder: Path, process: int, policy: nn.Module, optimizer: torch.optim.Optimizer, told: Mapping[str, Any]
) -> None:
    """Write the state of a process and what it is told beside; of one that is not the first, and whose
    weights are not sharded, the generators alone.
    """
    parts = {part: Packed() for part in PARTS}
    weights = weights_of(policy)
    generators = parts["random"].tree("random", _generators())
    kept: dict[str, Any] = {"random": generators}
    if process == 0 or any(isinstance(weight, DTensor) for weight in weights.values()):
        for name, weight in weights.items():
            parts["weights"].put(name, weight)
        kept |= parts["optimizer"].tree("", {**told, "optimizer": optimizer.state_dict()})
    kept["first_rows"] = {part: packed.first_rows for part, packed in parts.items()}
    for part, packed in parts.items():
        if packed.tensors:
            save_file(packed.tensors, folder / f"{part}-{process}.safetensors")
    (folder / f"state-{process}.json").write_text(json.dumps(kept))


def load(
    folder: Path, process: int, policy: nn.Module, optimizer: torch.optim.Optimizer
) -> Mapping[str, Any]:
    """Set a process's weights, optimizer and generators; returns what was told beside. ValueError where the
    files hold another training.
    """
    try:
        return _loaded(folder, process, policy, optimizer)
    except (SafetensorError, KeyError, IndexError, TypeError, RuntimeError, ValueError) as error:
        told = str(error).splitlines()[0]
        raise ValueError(f"{folder}: not the state of this training ({told}); remove the folder") from error


def _loaded(
    folder: Path, process: int, policy: nn.Module, optimizer: torch.optim.Optimizer
) -> Mapping[str, Any]:
    own = folder / f"state-{process}.json"
    alone: Any = json.loads(own.read_text()) if own.exists() else {}
    kept = alone if "optimizer" in alone else json.loads((folder / "state-0.json").read_text())
    with torch.no_grad():
        weights = Saved(folder, "weights", process)
        for name, weight in weights_of(policy).items():
            local = weight.to_local() if isinstance(weight, DTensor) else weight
            local.copy_(weights.rows(name, weight))
    saved = Saved(folder, "optimizer", process)
    _set_optimizer(saved, kept["optimizer"], optimizer)
    # A process that was not there before draws as it would have; no number of a training hangs on it.
    if alone:
        _set_generators(Saved(folder, "random", process).tree(alone["random"]))
    return {
        name: saved.tree(kept[name]) for name in kept if name not in ("optimizer", "random", "first_rows")
    }


class Saved:
    """The tensors of one part of a state, in the files of all processes."""

    def __init__(self, folder: Path, part: str, process: int) -> None:
        self._files: dict[int, Any] = {}
        self._first_rows: dict[int, dict[str, int]] = {}
        for path in folder.glob(f"{part}-*.safetensors"):
            number = int(path.stem.rpartition("-")[2])
            self._files[number] = safe_open(path, framework="pt")
            told = json.loads((folder / f"state-{number}.json").read_text())
            self._first_rows[number] = told["first_rows"][part]
        self._own = process if process in self._files else 0

    def whole(self, name: str) -> Tensor:
        """A tensor as this process wrote it, or the first where this one wrote none."""
        found: Tensor = self._files[self._own].get_tensor(name)
        return found

    def rows(self, name: str, like: Tensor) -> Tensor:
        """The rows of a tensor that this process has of `like`, from whichever files hold them."""
        if not isinstance(like, DTensor):
            return self.whole(name)
        shape, offset = compute_local_shape_and_global_offset(like.shape, like.device_mesh, like.placements)
        if not shape:
            return self.whole(name)
        parts, at, end = [self._files[self._own].get_slice(name)[:0]], offset[0], offset[0] + shape[0]
        for first, number in sorted((rows[name], n) for n, rows in self._first_rows.items()):
            saved = self._files[number].get_slice(name)
            last = min(end, first + saved.get_shape()[0])
            if first <= at < last:
                parts.append(saved[at - first : last - first])
                at = last
        return torch.cat(parts)

    def tree(self, value: Any, like: Any = None) -> Any:
        """A state of `Packed.tree` with its tensors; those of a weight `like` that is sharded are, too."""
        if isinstance(value, list):
            return [self.tree(x, like) for x in value]
        if not isinstance(value, dict):
            return value
        if name := value.get(TENSOR):
            sharded = isinstance(like, DTensor) and name in self._first_rows[self._own]
            return _sharded(self.rows(name, like), like) if sharded else self.whole(name)
        if name := value.get(EIGHT_BITS):
            from torchao.optim.subclass_8bit import OptimState8bit  # an extra, and its import takes seconds

            tensors = [self.whole(f"{name}.{part}") for part in OptimState8bit.tensor_attrs]
            return _sharded(OptimState8bit(*tensors, value["signed"], like.dtype), like)
        return {key: self.tree(x, like) for key, x in value.items()}


def weights_of(policy: nn.Module) -> dict[str, Tensor]:
    """A policy's weights and buffers by name, each once; sharded ones as shards."""
    state: dict[str, Tensor] = policy.state_dict()  # first, as it lets go of what FSDP has gathered
    once = {name for name, _ in policy.named_parameters()}
    tied = {name for name, _ in policy.named_parameters(remove_duplicate=False)} - once
    return {name: weight for name, weight in state.items() if name not in tied}


def _sharded(local: Tensor, like: Any) -> Tensor:
    if not isinstance(like, DTensor):
        return local
    whole = DTensor.from_local(
        local,
        like.device_mesh,
        like.placements,
        run_check=False,
        shape=like.shape,
        stride=like.stride(),
    )
    return whole.to(like.device)  # from_local moves what FSDP keeps in the host's memory to the GPU


def _set_optimizer(saved: Saved, kept: Any, optimizer: torch.optim.Optimizer) -> None:
    weights: Iterator[Tensor] = (weight for group in optimizer.param_groups for weight in group["params"])
    by_number = dict(enumerate(weights))
    state = {int(n): saved.tree(of, by_number[int(n)]) for n, of in kept["state"].items()}
    groups = [{**group, "betas": tuple(group["betas"])} for group in saved.tree(kept["param_groups"])]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _generators() -> dict[str, Any]:
    """The states of the generators of random numbers, as lists and tensors."""
    name, keys, *rest = cast(tuple[Any, ...], np.random.get_state())
    return {
        "python": random.getstate(),
        "numpy": [name, keys.tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _set_generators(states: Mapping[str, Any]) -> None:
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(tuple(states["numpy"]))
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
