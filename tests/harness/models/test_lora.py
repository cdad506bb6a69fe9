"""Where adapters can stand: what would train to the end and then fail, or never move, is refused before."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    DbrxConfig,
    DeepseekV3Config,
    GPT2Config,
    JambaConfig,
    LlamaConfig,
    MambaConfig,
    MixtralConfig,
)

from harness.models import lora
from methods.api import LoRA
from tests.bench_command import bench
from tests.harness.models.tiny_models import VOCAB, tiny_folder
from tests.harness.train.test_train import inputs, trained
from tests.paths import TINY

SIZES: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "intermediate_size": 32,
}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
LOW = {"kv_lora_rank": 8, "q_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8}
OWN_END = {"bos_token_id": None, "eos_token_id": 3, "pad_token_id": 0}
CONFIGS = {
    "llama": LlamaConfig(**SIZES, **HEADS),
    "gpt2": GPT2Config(vocab_size=VOCAB, n_embd=16, n_layer=2, n_head=2),
    "mixtral": MixtralConfig(**SIZES, **HEADS, **EXPERTS, **OWN_END),
    "deepseek": DeepseekV3Config(
        **(SIZES | HEADS | LOW),
        moe_intermediate_size=16,
        n_routed_experts=4,
        num_experts_per_tok=2,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=1,
    ),
    "dbrx": DbrxConfig(  # its experts' matrices stand below one another
        vocab_size=VOCAB,
        d_model=16,
        n_heads=2,
        n_layers=1,
        attn_config={"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8},
        ffn_config={"ffn_hidden_size": 32, "moe_num_experts": 4, "moe_top_k": 2},
    ),
    "mamba": MambaConfig(vocab_size=VOCAB, hidden_size=16, num_hidden_layers=1, state_size=4),
    "jamba": JambaConfig(
        **SIZES, **HEADS, num_experts=1, attn_layer_period=2, attn_layer_offset=1, mamba_d_state=4
    ),
}
NO_LAYER = "is no linear layer of the body of"


@pytest.mark.parametrize(
    ("config", "targets", "message"),
    [
        ("llama", ("embed_tokens",), f"'embed_tokens' {NO_LAYER} LlamaForCausalLM"),
        ("llama", ("lm_head",), f"'lm_head' {NO_LAYER} LlamaForCausalLM"),
        ("llama", ("q_proj", "lm_head"), f"'lm_head' {NO_LAYER} LlamaForCausalLM"),
        ("llama", ("q_proj", "k_prj"), "experts take no adapter); did you mean 'k_proj'?"),
        ("llama", (), "No `target_modules` passed"),
        ("gpt2", ("wte",), f"'wte' {NO_LAYER} GPT2LMHeadModel"),
        ("mixtral", ("gate_up_proj",), f"'gate_up_proj' {NO_LAYER} MixtralForCausalLM"),
        ("mixtral", ("w1", "w2", "w3"), f"'w1' {NO_LAYER} MixtralForCausalLM"),
        (
            "mixtral",
            "all-linear",
            "mlp.experts.gate_up_proj of MixtralForCausalLM is no linear layer",
        ),
        ("mixtral", "all-linear", "name layers: q_proj, k_proj, v_proj, o_proj"),
        ("dbrx", "all-linear", "ffn.experts.mlp.w1 of DbrxForCausalLM is no linear layer"),
        ("dbrx", "all-linear", "name layers: Wqkv, out_proj, layer"),
        ("deepseek", ("gate_proj", "up_proj"), "for an expert's, which takes no adapter"),
        ("deepseek", ("gate_proj",), "without also targeting up_proj"),
        ("mamba", ("out_proj",), "'out_proj' is incompatible with Mamba-based models"),
    ],
)
def test_what_no_adapter_can_stand_on_is_one_line_that_the_config_is_enough_for(
    config: str, targets: Any, message: str
) -> None:
    with pytest.raises(ValueError) as e:
        lora.check(CONFIGS[config], LoRA(targets=targets))
    assert str(e.value).startswith("lora.targets: ") and message in str(e.value)
    assert "\n" not in str(e.value)


def test_a_layer_that_the_model_reads_past_is_refused_at_the_start_of_a_training() -> None:
    """Jamba takes weight and bias of `dt_proj` apart; its adapter counted as trained and never moved."""
    model = AutoModelForCausalLM.from_config(CONFIGS["jamba"])
    with pytest.raises(ValueError, match=r"never asks the layer model\.layers\.0\.mamba\.dt_proj") as e:
        lora.add(model, LoRA(), seed=0)
    assert "name others: down_proj, gate_proj, in_proj, k_proj" in str(e.value)


@pytest.mark.parametrize(
    ("config", "targets", "expected"),
    [
        ("llama", "all-linear", "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj"),
        ("llama", ("self_attn.q_proj", "model.layers.1.mlp.up_proj"), "q_proj up_proj"),
        ("gpt2", "all-linear", "c_attn c_proj c_fc"),
        ("deepseek", ("q_a_proj", "o_proj"), "q_a_proj o_proj"),
    ],
)
def test_the_layers_that_are_named_have_adapters_and_all_of_them_move(
    config: str, targets: Any, expected: str
) -> None:
    model = AutoModelForCausalLM.from_config(CONFIGS[config]).eval()
    lora.add(model, LoRA(r=2, targets=targets), seed=0)
    layers = [name for name, layer in model.named_modules() if isinstance(layer, LoraLayer)]
    assert {name.rpartition(".")[2] for name in layers} == set(expected.split())
    model(torch.arange(12)[None], labels=torch.arange(12)[None]).loss.backward()
    moving = {name: p for name, p in model.named_parameters() if ".lora_B." in name}
    assert len(moving) == len(layers) and all(p.grad.abs().sum() > 0 for p in moving.values())
    assert lora.merged(model, model.state_dict()).keys() == plain(config).keys()


def plain(config: str) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = AutoModelForCausalLM.from_config(CONFIGS[config]).state_dict()
    return weights


def test_a_model_with_experts_trains_adapters_on_the_layers_that_are_named(tmp_path: Path) -> None:
    given = inputs(tmp_path)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(CONFIGS["mixtral"]).save_pretrained(given["start"])
    given = {name: path for name, path in given.items() if name in ("start", "view.chosen")}
    settings = {
        "formula": "methods.sft.loss",
        "hp": {},
        "training": {"lr": 1e-2, "epochs": 1, "batch_size": 6, "lora": {"targets": ("q_proj", "o_proj")}},
    }
    weights = trained(tmp_path / "out", given, settings, method="SFT")
    start = load_file(given["start"] / "model.safetensors")
    moved = {name.split(".")[-2] for name in start if not torch.equal(weights[name], start[name])}
    assert weights.keys() == start.keys() and moved == {"q_proj", "o_proj"}


@pytest.mark.parametrize("drawn", [True, False], ids=["drawn", "linked"])
def test_the_command_stops_before_any_work(tmp_path: Path, drawn: bool) -> None:
    student = [] if drawn else ["--set", f"pairs.tiny.student.base={tiny_folder(tmp_path / 'student')}"]
    told = bench(
        *("run", TINY, "--runs", str(tmp_path / "runs"), "--only", "SFT", *student),
        *("--set", "methods.SFT.training.lora={targets: [q_proj, embed_tokens]}"),
    )
    assert told.returncode == 2 and len(told.stderr.strip().splitlines()) == 1
    assert "SFT: lora.targets: 'embed_tokens' is no linear layer" in told.stderr
    assert not list((tmp_path / "runs").glob("store/*/*"))
