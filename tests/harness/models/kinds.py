"""Small random models of many kinds, by what their cache holds."""

from typing import Any

import torch
import transformers

from harness.models.loading import Model
from tests.harness.models.tiny_models import VOCAB

SMALL: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "bos_token_id": None,
    "eos_token_id": 3,
    "pad_token_id": 0,
}
WINDOWED = {"sliding_window": 6}
KINDS: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Mistral": WINDOWED,
    "Gemma2": WINDOWED,
    "Qwen3": {},
    "Lfm2": {"full_attn_idxs": [1]},  # its convolutions keep states that have no place for padding
    # Those that follow take no cache of keys and values, or hold more than that.
    "Mamba": {"state_size": 8},
    "Rwkv": {"attention_hidden_size": 16},
    "RecurrentGemma": {"lru_width": 16, "attention_window_size": 6, "num_hidden_layers": 3},
    "FalconH1": {"mamba_d_ssm": 16, "mamba_n_heads": 4, "mamba_d_head": 4, "mamba_d_state": 8},
    "Qwen3Next": {
        "layer_types": ["linear_attention", "full_attention"],
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 2,
        "linear_key_head_dim": 4,
        "linear_value_head_dim": 4,
    },
    "Bloom": {"n_layer": 2, "n_head": 2},  # counts positions by itself
}


def random_model(kind: str, **more: Any) -> Model:
    """A model of a kind, the same each time."""
    config = getattr(transformers, f"{kind}Config")(**{**SMALL, **KINDS[kind], **more})
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return getattr(transformers, f"{kind}ForCausalLM")(config).eval()
