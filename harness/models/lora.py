"""Low-rank adapters in place of all weights (Hu et al., 2022): W + alpha / r * B A, A and B being trained.

They live while a model is trained. What is saved is the sum: a plain folder, like every other model's.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from harness.common.suggest import nearest
from harness.models.loading import Model, body
from methods.api import LoRA

Config = Any  # transformers.PreTrainedConfig
NAME = "default"  # of the one adapter that peft holds


def add(model: Model, lora: LoRA, seed: int) -> None:
    """Put adapters on a model's layers, in place, and train nothing else; B is 0, so it says what it said.

    ValueError where a target is no layer that an adapter can stand on, or one that the model does not ask.
    """
    with torch.random.fork_rng(devices=[]):  # A is drawn on the CPU, and peft takes no generator
        torch.manual_seed(seed)
        _inject(model, lora)
    model.eval()
    _check_asked(model)


def check(config: Config, lora: LoRA) -> None:
    """ValueError where a target is no layer of such a model that an adapter can stand on."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):  # names alone are looked at
        _inject(AutoModelForCausalLM.from_config(config, trust_remote_code=False), lora)


def _inject(model: Model, lora: LoRA) -> None:
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    targets = _targets(model, lora)
    config = LoraConfig(r=lora.r, lora_alpha=lora.alpha, lora_dropout=0.0, target_modules=targets)
    try:
        inject_adapter_in_model(config, model, NAME)
    except ValueError as fault:  # of layers that a fused kernel reads past
        raise ValueError(f"lora.targets: {fault}") from fault
    adapted = {name for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}
    # peft takes the names of experts' projections for experts, even where a dense layer has one of them.
    if other := sorted(adapted ^ set(targets)):
        raise ValueError(
            f"lora.targets: peft takes {other[0]} for an expert's, which takes no adapter; leave its name out"
        )


def _targets(model: Model, lora: LoRA) -> list[str]:
    """The layers that adapters are to stand on, by name: linear ones of the body."""
    from transformers.pytorch_utils import Conv1D

    head, who = model.get_output_embeddings(), type(model).__name__
    linear = [n for n, m in model.named_modules() if isinstance(m, nn.Linear | Conv1D) and m is not head]
    known = list(dict.fromkeys(map(_last, linear)))
    if lora.targets == "all-linear":
        if other := _of_no_layer(model):
            raise ValueError(
                f"lora.targets: all-linear: {other} of {who} is no linear layer (experts are none) and "
                f"takes no adapter; to train without it name layers: {', '.join(known)}"
            )
        return linear
    for target in lora.targets:
        if not _named(target, linear):
            raise ValueError(
                f"lora.targets: {target!r} is no linear layer of the body of {who} (embeddings, the head and "
                f"experts take no adapter); {nearest(target, known)}"
            )
    return [name for name in linear if any(_named(target, [name]) for target in lora.targets)]


def _named(target: str, names: Iterable[str]) -> bool:
    return any(name == target or name.endswith(f".{target}") for name in names)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _of_no_layer(model: Model) -> str:
    """The first matrix, or stack of them, that no layer holds, as those of experts are; "" for none.

    A smaller side than the embedding's is that of a router or of a state (Mamba's), not of a projection.
    """
    from transformers.pytorch_utils import Conv1D

    width = model.get_input_embeddings().weight.shape[-1]
    layers = nn.Linear | nn.Embedding | Conv1D | nn.modules.conv._ConvNd
    for name, module in model.named_modules():
        for own, weight in module.named_parameters(recurse=False):
            sides = [n for n in weight.shape if n > 1]
            wide = len(sides) > 2 or (len(sides) == 2 and min(sides) >= width)
            if wide and not isinstance(module, layers):
                return f"{name}.{own}"
    return ""


def _check_asked(model: Model) -> None:
    """ValueError for adapters that no gradient reaches: the model reads the weight of their layer without
    asking the layer, or does not ask it for text.
    """
    ids = torch.arange(8, device=model.device)[None] % model.config.get_text_config().vocab_size
    adapters = {n.partition(".lora_")[0]: p for n, p in model.named_parameters() if ".lora_B." in n}
    gradients = torch.autograd.grad(body(model, ids).sum(), list(adapters.values()), allow_unused=True)
    # By the last part of a name: one expert is asked for these tokens, another for others.
    reached = {_last(name) for name, g in zip(adapters, gradients, strict=True) if g is not None}
    if silent := [name for name in adapters if _last(name) not in reached]:
        raise ValueError(
            f"lora.targets: {type(model).__name__} never asks the layer {silent[0]} about a text, so its "
            f"adapter would not move; name others: {', '.join(sorted(reached))}"
        )


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
