"""How a model is made ready for training: adapters, recomputed layers, compiled layers, scaled gradients.

Recomputing changes no number and is context. Adapters, `compile` and `fused` (which round otherwise) are
settings of the step, there only where they are asked for.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from accelerate import Accelerator
from torch.amp import GradScaler
from torch.utils.checkpoint import checkpoint

from harness.models import lora as adapters
from harness.models.loading import Model
from methods.api import LoRA


def prepare(
    model: Model, accelerator: Accelerator, settings: Mapping[str, Any], context: Mapping[str, Any]
) -> None:
    """Make a loaded model what a training step's settings and context ask for, in place.

    ValueError for fp16 on a CPU, where accelerate would train in float32 without a word.
    """
    if accelerator.mixed_precision == "fp16" and accelerator.scaler is None:
        raise ValueError("precision: fp16 needs a GPU; on a CPU train with `bf16` or `no`")
    if lora := settings.get("training", {}).get("lora"):
        adapters.add(model, LoRA(**lora), settings["seed"])
    if context.get("checkpointing"):
        recompute_layers(model)
    if settings.get("compile"):
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
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)


def overflowed(norm: float, scaler: GradScaler | None) -> bool:
    """Whether a step's gradients were scaled too high for float16: the optimizer leaves the step out, and the
    scale is halved. Below a scale of 1 it is no overflow.
    """
    return scaler is not None and not math.isfinite(norm) and scaler.get_scale() >= 1
