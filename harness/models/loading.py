"""Models in memory: their body and their own head. What the harness writes is float32 safetensors with the
tokenizer beside it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.common import cost
from harness.common.input import model_files
from harness.common.tokenizer import Tokenizer
from harness.models import positions
from harness.models.weights import pretrained
from methods.kernels.token_statistics import Head

Model = Any  # transformers.PreTrainedModel


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Model:
    """The causal language model of a folder, in eval mode: dropout never acts, gradients do flow."""
    from transformers import AutoModelForCausalLM

    model = pretrained(AutoModelForCausalLM, folder, dtype=dtype)
    with model_files.reading(folder, model_files.CONFIG):
        try:
            _try(model)
        except ValueError as fault:
            raise ValueError(f"{folder}: {fault}") from fault
    positions.guard(model)
    return model


def save(
    model: Model, tokenizer: Tokenizer, folder: Path, weights: Mapping[str, Tensor] | None = None
) -> None:
    """Write weights (safetensors, in the dtype they have) and tokenizer as one Hugging Face folder; `weights`
    are those of a model that has only a share of its own.
    """
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)


def body(model: Model, ids: Tensor, how: Mapping[str, Any] | None = None) -> Tensor:
    """Final hidden states of right-padded ids, [B, T] -> [B, T, d]. Causal: what stands behind changes
    nothing. `how` is what harness.models.prefix_sharing tells the model of other layouts.
    """
    hidden: Tensor = model.base_model(input_ids=ids, use_cache=False, **(how or {})).last_hidden_state
    return hidden


def head_of(model: Model, vocab: int) -> Head:
    """The model's own head over the first `vocab` columns, with its soft-cap (Gemma-2) and scale (Cohere,
    Granite).
    """
    output = model.get_output_embeddings()
    config = model.config.get_text_config()
    scale = getattr(config, "logit_scale", None) or 1.0 / (getattr(config, "logits_scaling", None) or 1.0)
    return Head(
        weight=output.weight,
        bias=output.bias,
        vocab=vocab,
        softcap=getattr(config, "final_logit_softcapping", None),
        scale=float(scale),
    )


def next_scores(model: Model, states: Tensor) -> Tensor:
    """The model's own logits of final hidden states, columns that are no tokens included. [B, d] -> [B, V]"""
    return head_of(model, len(model.get_output_embeddings().weight)).logits(states)


@torch.no_grad()
def _try(model: Model) -> None:
    """Refuse an architecture that says other things of a few tokens than what is computed here."""
    ids = torch.arange(12, device=model.device) % model.config.get_text_config().vocab_size
    with positions.rotary_calls(model) as calls:
        states = body(model, ids[None, :4])[0]
    if not states.isfinite().all():  # it would look like any of the faults below
        broken = "what it says of a few tokens is NaN or infinite; its weights or its config.json are broken"
        raise ValueError(f"{type(model).__name__}: {broken}")
    _check_past(model, states, body(model, torch.stack([ids[:8], torch.cat([ids[:4], ids[8:]])])))
    _check_head(model, states, model(ids[None, :4], use_cache=False).logits[0].float())
    positions.check(model, calls)


def _check_head(model: Model, states: Tensor, expected: Tensor) -> None:
    """Refuse logits that are not what `head_of` says of final hidden states."""
    head = head_of(model, expected.shape[-1])
    computed = head.logits(states)
    # A bf16 model rounds after each of a soft-cap's three operations, by up to eps / 2; ours are float32.
    rtol = max(1e-3, 2 * torch.finfo(head.weight.dtype).eps)
    if not torch.allclose(computed, expected, rtol=rtol, atol=1e-3 * float(expected.abs().max())):
        raise ValueError(
            f"{type(model).__name__}: its logits are not its head of its hidden states; not supported"
        )


def _check_past(model: Model, alone: Tensor, beside: Tensor) -> None:
    """Refuse states that depend on more than the tokens before; `alone`, [T, d], are those of a beginning,
    `beside`, [2, 2 T, d], those of two sequences that go on from it.
    """
    one, two = beside[:, : len(alone)]
    scale, eps = float(alone.abs().max()), torch.finfo(alone.dtype).eps
    # Both have one shape, so that they differ by what experts of unlike loads round.
    if not torch.allclose(one, two, rtol=0, atol=max(1e-5, 4 * eps) * scale):
        what = "a later token changes what it says of an earlier one: it is no causal language model"
        raise ValueError(f"{type(model).__name__}: {what}")
    # 16 bits round other shapes otherwise, by more than a neighbour would change.
    if alone.dtype == torch.float32 and not torch.allclose(one, alone, rtol=0, atol=1e-4 * scale):
        raise ValueError(f"{type(model).__name__}: what it says of a token depends on what stands beside it")


def parameters(model: Model) -> dict[str, int]:
    """Parameter counts: `body` are those of the layers, `head` those of the output embedding."""
    embeddings = {id(model.get_input_embeddings().weight), id(model.get_output_embeddings().weight)}
    return {
        "body": sum(p.numel() for p in model.parameters() if id(p) not in embeddings),
        "head": model.get_output_embeddings().weight.numel(),
    }


def forward_flops(model: Model, tokens: int, answered: int) -> int:
    """Operations of a forward pass over tokens, with the head on those that are answers."""
    size = parameters(model)
    return int(cost.forward_flops(size["body"], size["head"], tokens, answered))


def training_flops(model: Model, tokens: int, answered: int) -> int:
    """Operations of training on tokens, of which some are answered: 4 per parameter and token for the forward
    pass and the gradients that flow through, 2 for the gradient of a parameter that is trained.
    """
    head, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    body = [p for p in model.parameters() if p is not head and p is not embedding]
    moving = sum(p.numel() for p in body if p.requires_grad)
    of_token: int = 4 * sum(p.numel() for p in body) + 2 * moving
    of_answered = int(head.numel()) * (6 if head.requires_grad else 4)
    return of_token * tokens + of_answered * answered


def share_moved(weights: Mapping[str, Tensor], start: nn.Module) -> float:
    """Share of the parameters' elements whose float32 value differs from the start's. 0-1"""
    moved = total = 0
    for name, value in start.named_parameters():
        moved += int((weights[name].detach().float().cpu() != value.detach().float()).sum())
        total += value.numel()
    return moved / total


def save_head(head: Head, folder: Path) -> None:
    """Write a head as `head.safetensors` and `head.json`."""
    from safetensors.torch import save_file

    tensors = {"weight": head.weight[: head.vocab].detach().contiguous()}
    if head.bias is not None:
        tensors["bias"] = head.bias[: head.vocab].detach().contiguous()
    save_file(tensors, folder / "head.safetensors")
    about = {"vocab": head.vocab, "softcap": head.softcap, "scale": head.scale}
    (folder / "head.json").write_text(json.dumps(about))


def load_head(folder: Path, device: torch.device, vocab: int | None = None) -> Head:
    """A head as `save_head` wrote it, without gradient; at most its first `vocab` columns."""
    from safetensors.torch import load_file

    tensors = load_file(folder / "head.safetensors", device=str(device))
    about = json.loads((folder / "head.json").read_text())
    about["vocab"] = min(about["vocab"], vocab or about["vocab"])
    return Head(tensors["weight"], tensors.get("bias"), **about)
