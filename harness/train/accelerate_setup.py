"""What a training is to accelerate, on one device or many: DDP, or FSDP2 where the launcher's environment
asks for it (harness/train/launcher.py).
"""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import (
    DistributedType,
    FullyShardedDataParallelPlugin,
    GradientAccumulationPlugin,
)
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.optim.optimizer import ParamsT
from torch.utils.checkpoint import checkpoint

from harness.models import lora
from harness.models.loading import Model
from harness.train.placing.accelerate_file import DEEPSPEED, VERSION_1, WHOLE
from methods.api import LoRA, Training

MODEL = "model."  # of the names of the policy's weights, those of the language model


def accelerator_of(precision: str, device: str, *, online: bool) -> Accelerator:
    """The accelerator of one step; ValueError for what the loop cannot do with it."""
    # Before accelerate starts it, which takes long and ends in a message of another kind.
    if _asked("DEEPSPEED"):
        raise ValueError(DEEPSPEED)
    AcceleratorState._reset_state()  # one process runs many steps, each with a precision of its own
    accelerator = Accelerator(
        mixed_precision=precision,
        cpu=device == "cpu",
        # Said here, as both could come from the environment or a config file: losses are divided by counts of
        # the whole step already, and what is compiled is the suite's to say.
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        dynamo_backend="no",
    )
    if accelerator.distributed_type == DistributedType.MULTI_CPU and _asked("FSDP"):
        _shard_on_cpu(accelerator)
    _check(accelerator, online)
    if accelerator.distributed_type == DistributedType.FSDP:
        # accelerate would gather weights in 16 bits, and round what passes from layer to layer to them.
        accelerator.state.fsdp_plugin.mixed_precision_policy = MixedPrecisionPolicy()
    return accelerator


@contextmanager
def deterministic(asked: bool) -> Iterator[None]:
    """Inside, a GPU adds up in one order each time; ValueError for what has no algorithm that does."""
    if not asked:
        yield
        return
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    # This kernel only warns of its backward pass; attention goes to flash, or to plain products.
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise ValueError(f"engine.deterministic: {str(error).splitlines()[0]}") from error
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False
        torch.backends.cuda.enable_mem_efficient_sdp(True)


@contextmanager
def one_at_a_time(accelerator: Accelerator) -> Iterator[None]:
    """Processes of one machine pass one after the other: a model that each loads is on the host once, beside
    those that have gone on to their GPUs.
    """
    for turn in range(accelerator.num_processes):
        if turn == accelerator.local_process_index:
            yield
        accelerator.wait_for_everyone()


def _asked(question: str) -> bool:
    return os.environ.get(f"ACCELERATE_USE_{question}", "false").lower() == "true"


def _shard_on_cpu(accelerator: Accelerator) -> None:
    """FSDP2 over gloo: torch has it, accelerate takes it up for accelerators alone."""
    AcceleratorState._shared_state["fsdp_plugin"] = FullyShardedDataParallelPlugin()
    for state in (AcceleratorState, PartialState):
        state._shared_state["distributed_type"] = DistributedType.FSDP


def _check(accelerator: Accelerator, online: bool) -> None:
    kind = accelerator.distributed_type
    if kind == DistributedType.FSDP and not accelerator.is_fsdp2:
        raise ValueError(VERSION_1)
    if kind == DistributedType.FSDP and online:
        raise ValueError(f"FSDP: {WHOLE}")


def prepared(accelerator: Accelerator, policy: nn.Module, optimizer: Any) -> tuple[Any, Any]:
    """The policy and its optimizer, None for none, as accelerate wraps them."""
    if accelerator.distributed_type == DistributedType.FSDP:
        # What FSDP wraps, each layer for itself, transformers says of its own models.
        policy._no_split_modules = policy.model._no_split_modules  # type: ignore[union-attr]
    if optimizer is None:
        return accelerator.prepare(policy), None
    wrapped, stepped = accelerator.prepare(policy, optimizer)
    return wrapped, stepped


def weights_of(accelerator: Accelerator, policy: nn.Module) -> dict[str, Tensor]:
    """The language model's whole weights by its own names, in the main process; {} in the others of a
    sharded one. All processes take part.
    """
    state: dict[str, Tensor] = accelerator.get_state_dict(policy)
    tied: set[str] = set()
    if accelerator.distributed_type == DistributedType.FSDP:  # they are gathered one by one
        once = {name for name, _ in policy.named_parameters()}
        tied = {name for name, _ in policy.named_parameters(remove_duplicate=False)} - once
    # A tied embedding is saved once, as transformers saves it.
    names = [name for name in state if name.startswith(MODEL) and name not in tied]
    return {name.removeprefix(MODEL): state[name] for name in names}


def optimizer_of(training: Training, moving: ParamsT, *, fused: bool, foreach: bool) -> torch.optim.Optimizer:
    """The optimizer of what moves."""
    lr, decay = training.lr, training.weight_decay
    if training.optimizer == "adamw8bit":
        from torchao.optim import AdamW8bit  # an extra, and its import takes seconds

        optimizer: torch.optim.Optimizer = AdamW8bit(moving, lr=lr, weight_decay=decay)
        return optimizer
    # None lets torch choose `foreach`, its default on a GPU; the loop over parameters computes the same.
    return torch.optim.AdamW(
        moving, lr=lr, weight_decay=decay, fused=fused or None, foreach=None if foreach else False
    )


def step_of(optimizer: Any, training: Training, device: torch.device) -> None:
    """One step. On a CPU torchao's is not compiled, which would take a C++ compiler half a minute."""
    if training.optimizer == "adamw" or device.type != "cpu":
        optimizer.step()
        return
    with torch.compiler.set_stance("force_eager"):
        optimizer.step()


def number(x: Tensor) -> float:
    """A number that all processes agree on, whole or sharded."""
    return float(x.full_tensor()) if isinstance(x, torch.distributed.tensor.DTensor) else float(x)


def prepare(
    model: Model,
    accelerator: Accelerator,
    adapters: LoRA | None,
    seed: int,
    *,
    compiled: bool = False,
    recomputed: bool = False,
) -> None:
    """Make a loaded model what a training asks for, in place: with adapters, its layers compiled, or computed
    again in the backward pass.

    ValueError for fp16 on a CPU, where accelerate would train in float32 without a word.
    """
    if accelerator.mixed_precision == "fp16" and accelerator.scaler is None:
        raise ValueError("precision: fp16 needs a GPU; on a CPU train with `bf16` or `no`")
    if adapters:
        lora.add(model, adapters, seed)
    if recomputed:
        recompute_layers(model)
    if compiled:
        model.base_model.compile()


def recompute_layers(model: Model) -> None:
    """Keep each layer's input alone for the backward pass, and compute the layer there again.

    transformers' own switch acts in training mode only, which dropout would act in, too.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    if not layers:
        raise ValueError(f"engine.checkpointing: {type(model).__name__} does not say which its layers are")
    for layer in layers:
        again = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
        layer.forward = partial(_without_copies, again)


def _without_copies(forward: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    """A forward pass after which autocast forgets its copies of weights: it would keep those of all layers,
    which nothing reads again.
    """
    said = forward(*inputs, **options)
    torch.clear_autocast_cache()
    return said


def overflowed(norm: float, scaler: GradScaler | None) -> bool:
    """Whether a step's gradients were scaled too high for float16: the optimizer leaves the step out, and the
    scale is halved. Below a scale of 1 it is no overflow.
    """
    return scaler is not None and not math.isfinite(norm) and scaler.get_scale() >= 1
