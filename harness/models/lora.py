"""Low-rank adapters in place of all weights (Hu et al., 2022): W + alpha / r * B A, A and B being trained.

They live while a model is trained. What is saved is the sum: a plain folder, like every other model's.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from harness.models.loading import Model
from methods.api import LoRA

NAME = "default"  # of the one adapter that peft holds


def add(model: Model, lora: LoRA, seed: int) -> None:
    """Put adapters on a model's layers, in place, and train nothing else; B is 0, so it says what it said.

    ValueError where no layer has a name of `targets`.
    """
    from peft import LoraConfig, inject_adapter_in_model

    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    config = LoraConfig(r=lora.r, lora_alpha=lora.alpha, lora_dropout=0.0, target_modules=targets)
    with torch.random.fork_rng(devices=[]):  # A is drawn on the CPU, and peft takes no generator
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model, NAME)
    model.eval()


def merged(model: Model, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a plain model, from those of one with adapters; without any, as they are."""
    if not any(".lora_" in name for name in weights):
        return dict(weights)
    from peft.tuners.lora import LoraLayer

    whole = {name: weight for name, weight in weights.items() if ".lora_" not in name}
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            a, b = (weights[f"{name}.{part}.{NAME}.weight"].float() for part in ("lora_A", "lora_B"))
            delta = (b @ a) * layer.scaling[NAME]
            base = f"{name}.base_layer.weight"
            whole[base] = weights[base] + (delta.T if getattr(layer, "fan_in_fan_out", False) else delta)
    return {name.replace(".base_layer.", "."): weight for name, weight in whole.items()}
