"""The steps that put models into the store: the pocket world with its tokenizer, links to what lies outside,
and random weights to pretrain.
"""

from typing import Any

import torch

from harness.models.loading import fetch, load_tokenizer, save, vocabulary
from harness.store.step import Work


def run_world(work: Work) -> dict[str, Any]:
    """The step that generates the pocket world: its texts, dialogues, preferences, questions and
    tokenizer.
    """
    from harness.pocket.build import World, build

    return dict(build(World(**work.settings), work.out))


def run_link(work: Work) -> dict[str, Any]:
    """The step that puts what lies outside into the store: links to a model's files, or to a data folder."""
    source = fetch(work.context["path"])
    if work.settings["kind"] == "data":
        (work.out / "files").symlink_to(source.resolve())  # whole: the record must not stand among its files
        return {"source": str(source)}
    load_tokenizer(source)  # fails here rather than after hours
    for path in sorted(source.iterdir()):
        (work.out / path.name).symlink_to(path.resolve())
    return {"source": str(source)}


def run_init(work: Work) -> dict[str, Any]:
    """The step that draws a random Llama of the given sizes for the world's tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    size, tokenizer = work.settings, load_tokenizer(work.inputs["tokenizer"])
    config = LlamaConfig(
        vocab_size=vocabulary(tokenizer),
        hidden_size=size["hidden"],
        intermediate_size=size["ffn"],
        num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"],
        num_key_value_heads=size["heads"],
        max_position_embeddings=size["positions"],
        rope_parameters={"rope_type": "default", "rope_theta": size["rope_theta"]},
        initializer_range=size["initializer_range"],
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(size["seed"])
        model = LlamaForCausalLM(config)
    save(model, tokenizer, work.out)
    return {"parameters": model.num_parameters()}
