"""Real architectures of the sizes that a forecast reckons with."""

from typing import Any

from torch import nn
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from harness.common.cost import ModelSize

FAMILIES: dict[str, tuple[Any, Any]] = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "gemma2": (Gemma2Config, Gemma2ForCausalLM),
}


def built(size: ModelSize) -> nn.Module:
    """The model of a size, on the device and in the mode of the moment."""
    config, model = FAMILIES[size.family]
    head_dim = {"head_dim": size.head_dim} if size.family != "qwen2" else {}
    made: nn.Module = model(
        config(
            vocab_size=size.vocab,
            hidden_size=size.hidden,
            intermediate_size=size.ffn,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            num_key_value_heads=size.kv,
            tie_word_embeddings=size.tied,
            **head_dim,
        )
    )
    return made
