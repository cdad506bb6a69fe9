"""A model is loaded with all weights of its files and no others, or refused with their names."""

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from harness.common.input import weight_files
from harness.models import loading, weights
from tests.harness.models.tiny_models import VOCAB, tiny_folder

UP = "model.layers.0.mlp.up_proj.weight"
EMBEDDING = "model.embed_tokens.weight"
SMALL = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]


def rewrite(file: Path, change: Change) -> None:
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def changed(folder: Path, change: Change = dict, **config: object) -> Path:
    """A tiny model's folder with other weights in its file, or with other keys in its config.json."""
    tiny_folder(folder)
    rewrite(folder / "model.safetensors", change)
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | config))
    return folder


def without(name: str) -> Change:
    return lambda found: {n: w for n, w in found.items() if n != name}


FAULTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a matrix that is not there": (lambda at: changed(at, without(UP)), f"lacking: {UP}$"),
    "a prefix": (
        lambda at: changed(at, lambda found: {f"module.{n}": w for n, w in found.items()}),
        r"lacking: lm_head\.weight, .* and 18 more; unknown: module\.model\.embed_tokens\.weight, ",
    ),
    "more layers than the file has": (
        lambda at: changed(at, num_hidden_layers=3),
        r"lacking: model\.layers\.2\.input_layernorm\.weight, .* and 6 more$",
    ),
    "fewer layers than the file has": (
        lambda at: changed(at, num_hidden_layers=1),
        r"unknown: model\.layers\.1\.input_layernorm\.weight, .* and 6 more$",
    ),
    "an untied head that is not there": (
        lambda at: changed(at, tie_word_embeddings=False),
        r"lacking: lm_head\.weight$",
    ),
    "no embedding, to which the head is tied": (
        lambda at: changed(at, without(EMBEDDING)),
        r"lacking: lm_head\.weight, model\.embed_tokens\.weight$",
    ),
    "other shapes": (
        lambda at: changed(at, intermediate_size=40),
        r"of other shapes: model\.layers\.0\.mlp\.down_proj\.weight \(\[16, 32\], not \[16, 40\]\), ",
    ),
    "a head of another training": (
        lambda at: changed(at, lambda found: {**found, "v_head.weight": torch.zeros(1, 16)}),
        r"unknown: v_head\.weight$",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_weights_that_are_not_those_of_the_config_are_refused_by_name(fault: str, tmp_path: Path) -> None:
    """When it is loaded, and before, when names and shapes alone are read."""
    make, told = FAULTS[fault]
    folder = make(tmp_path / "m")
    for look in (loading.load, weights.check):
        with pytest.raises(ValueError, match=told) as error:
            look(folder)
        assert str(folder) in str(error.value) and "\n" not in str(error.value)


def test_a_head_that_the_config_ties_and_the_file_does_not_is_refused(tmp_path: Path) -> None:
    folder = changed(tmp_path / "m", lambda found: {**found, "lm_head.weight": 1 + found[EMBEDDING]})
    with pytest.raises(ValueError, match=r"of other values: lm_head\.weight, which config\.json ties to"):
        loading.load(folder)


def test_tied_weights_may_stand_in_the_file_once_or_twice(tmp_path: Path) -> None:
    renamed = {EMBEDDING: "lm_head.weight"}
    once = changed(tmp_path / "once", lambda found: {renamed.get(n, n): w for n, w in found.items()})
    twice = changed(tmp_path / "twice", lambda found: {**found, "lm_head.weight": found[EMBEDDING].clone()})
    plain = loading.load(tiny_folder(tmp_path / "plain")).state_dict()
    for folder in (once, twice):
        weights.check(folder)
        read = loading.load(folder).state_dict()
        assert all(torch.equal(read[name], weight) for name, weight in plain.items())


def test_shards_are_read_as_one_and_each_must_be_whole(tmp_path: Path) -> None:
    model = loading.load(tiny_folder(tmp_path / "m"))
    model.save_pretrained(folder := tmp_path / "shards", max_shard_size="6KB")
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) > 2
    weights.check(folder)
    loading.load(folder)

    rewrite(files[1], without(UP))
    for look in (loading.load, weights.check):
        with pytest.raises(ValueError, match=f"lacking: {UP}$"):
            look(folder)
    files[1].unlink()
    for look in (loading.load, weights.check):
        with pytest.raises(ValueError, match=f"shards/{files[1].name}: its weights cannot be read"):
            look(folder)


def test_a_file_that_is_cut_off_or_not_there_is_one_line(tmp_path: Path) -> None:
    file = tiny_folder(tmp_path / "m") / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    for told in (r"m/model\.safetensors: its weights cannot be read: ", r"no file named model\.safetensors"):
        for look in (loading.load, weights.check):
            with pytest.raises(ValueError, match=told):
                look(tmp_path / "m")
        file.unlink(missing_ok=True)


@pytest.mark.parametrize("expert", [1, 3])
def test_an_expert_of_which_a_matrix_is_missing_is_refused(expert: int, tmp_path: Path) -> None:
    """transformers makes one tensor of all experts' matrices when it loads them."""
    config = transformers.MixtralConfig(**SMALL, num_key_value_heads=1, num_local_experts=4)
    transformers.MixtralForCausalLM(config).save_pretrained(tmp_path)
    weights.check(tmp_path)
    name = f"model.layers.0.block_sparse_moe.experts.{expert}.w2.weight"
    rewrite(tmp_path / "model.safetensors", without(name))
    for look in (loading.load, weights.check):
        with pytest.raises(ValueError, match=r"experts\.down_proj|cannot be put together"):
            look(tmp_path)


@pytest.mark.parametrize("size", ["hidden_size", "intermediate_size", "num_hidden_layers"])
def test_a_size_of_nothing_is_refused_before_a_library_makes_a_model_of_it(size: str, tmp_path: Path) -> None:
    """torch warns of tensors without elements."""
    folder = tiny_folder(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {size: 0}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=rf"config\.json: {size}: given 0; a whole number from 1 to "):
            weights.check(folder)


@pytest.mark.parametrize("window", [0, -4])
def test_a_window_that_sees_no_token_is_refused_where_there_is_one(window: int, tmp_path: Path) -> None:
    mistral = {"model_type": "mistral", "architectures": ["MistralForCausalLM"]}
    folder = changed(tmp_path / "m", sliding_window=window, **mistral)
    with pytest.raises(ValueError, match=rf"config\.json: sliding_window: given {window}; .*, or null"):
        weights.check(folder)
    unused = changed(tmp_path / "u", sliding_window=window, use_sliding_window=False)
    weights.check(unused)


def test_a_model_whose_config_asks_for_attentions_is_saved_when_it_is_trained(tmp_path: Path) -> None:
    """transformers reads such a config, and writes none."""
    folder = changed(tmp_path / "m", output_attentions=True, output_hidden_states=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    loading.save(loading.load(folder), tokenizer, tmp_path / "out")
    loading.load(tmp_path / "out")


def test_an_adapter_is_refused(tmp_path: Path) -> None:
    """transformers would load the base model that it names, of which nothing is known here."""
    (tiny_folder(tmp_path / "m") / "adapter_config.json").write_text("{}")
    for look in (loading.load, weights.check):
        with pytest.raises(ValueError, match="m holds an adapter; merge it"):
            look(tmp_path / "m")


def test_a_reward_model_is_looked_at_as_one(tmp_path: Path) -> None:
    config = transformers.LlamaConfig(**SMALL, num_labels=1)
    transformers.LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    weights.check(tmp_path)
    with pytest.raises(ValueError, match=r"lacking: lm_head\.weight; unknown: score\.weight"):
        weights.pretrained(AutoModelForCausalLM, tmp_path)
    rewrite(tmp_path / "model.safetensors", without("score.weight"))
    with pytest.raises(ValueError, match=r"LlamaForSequenceClassification .*lacking: score\.weight$"):
        weights.check(tmp_path)


@pytest.mark.parametrize("prefix", ["transformer.", ""])
def test_masks_that_were_once_saved_among_the_weights_are_none(tmp_path: Path, prefix: str) -> None:
    """Those of EleutherAI/gpt-neo-125m."""
    config = transformers.GPTNeoConfig(
        vocab_size=VOCAB, hidden_size=16, num_layers=1, num_heads=2, attention_types=[[["global"], 1]]
    )
    transformers.GPTNeoForCausalLM(config).save_pretrained(tmp_path)
    masks = {"bias": torch.ones(1, 1, 8, 8), "masked_bias": torch.tensor(-1e9)}
    more = {f"{prefix}h.0.attn.attention.{name}": mask for name, mask in masks.items()}
    rewrite(
        tmp_path / "model.safetensors",
        lambda found: {n.replace("transformer.", prefix): w for n, w in found.items()} | more,
    )
    weights.check(tmp_path)
    weights.pretrained(AutoModelForCausalLM, tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda w: {n: torch.zeros_like(t) for n, t in w.items()}, f"{EMBEDDING} holds 0 alone"),
        (lambda w: {n: torch.ones_like(t) for n, t in w.items()}, f"{EMBEDDING} holds 1 alone"),
        (lambda w: w | {UP: torch.full_like(w[UP], 1e38)}, f"{UP}: holds 1e"),
        (lambda w: w | {UP: torch.full_like(w[UP], -1e200, dtype=torch.float64)}, f"{UP}: holds -1e"),
        (lambda w: w | {UP: (w[UP] * torch.nan).to(torch.float8_e5m2)}, f"{UP}: 512 of 512 numbers are NaN"),
    ],
)
def test_numbers_that_no_model_has_are_told_with_their_file(
    change: Change, told: str, tmp_path: Path
) -> None:
    folder = changed(tmp_path / "m", change)
    with pytest.raises(ValueError, match=re.escape(f"{folder}/model.safetensors: {told}")):
        weight_files.check_values(folder)


def test_a_matrix_of_zeros_and_a_large_norm_are_a_models(tmp_path: Path) -> None:
    """Some begin with projections of zeros, and a mask's bias is the least number of its kind."""
    least = torch.tensor(torch.finfo(torch.float32).min)
    folder = changed(tmp_path / "m", lambda w: w | {UP: torch.zeros_like(w[UP]), "masked_bias": least})
    weight_files.check_values(folder)


def test_a_weight_that_stands_in_two_files_is_refused(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "m")
    found = load_file(folder / "model.safetensors")
    save_file(found, folder / "b.safetensors", metadata={"format": "pt"})
    save_file({UP: found[UP] + 1}, folder / "a.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": dict.fromkeys(found, "b.safetensors") | {UP: "a.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=rf"b\.safetensors: {UP} stands in a\.safetensors too"):
        weight_files.check_whole(folder)
