"""Tokenizers of model folders, and whether two are the same."""

from pathlib import Path
from typing import Any

Tokenizer = Any  # transformers.PreTrainedTokenizerBase


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder; ValueError where there is none."""
    from transformers import AutoTokenizer

    if not any(
        (folder / f).exists() for f in ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
    ):
        raise ValueError(f"{folder}: no tokenizer there; put the model's tokenizer.json beside its weights")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # It would be saved with the tokenizer: whether this run may use the network is no part of an artifact.
    tokenizer.init_kwargs.pop("local_files_only", None)
    return tokenizer


def tokenizer_ids(tokenizer: Tokenizer) -> int:
    """How many ids a tokenizer has."""
    return int(max(tokenizer.get_vocab().values())) + 1


def vocabulary(tokenizer: Tokenizer, folder: Path) -> int:
    """How many ids are tokens that the model of a folder has an embedding of: some embeddings are padded, and
    some tokenizers have an id more. Where the folder holds no model, the tokenizer's ids alone count.
    """
    from transformers import AutoConfig

    ids = tokenizer_ids(tokenizer)
    if not (folder / "config.json").exists():
        return ids
    return min(ids, int(AutoConfig.from_pretrained(folder).get_text_config().vocab_size))


def check_same_tokens(student: Tokenizer, teacher: Tokenizer, names: tuple[str, str]) -> None:
    """ValueError unless both map the same tokens to the same ids."""
    ours, theirs = student.get_vocab(), teacher.get_vocab()
    # By tokens and ids, not by names: a fine-tuned model's tokenizer is often saved under another class.
    if ours != theirs:
        differ = sum(theirs.get(token) != i for token, i in ours.items()) + len(theirs.keys() - ours.keys())
        raise ValueError(
            f"student {names[0]} and teacher {names[1]} have other token maps ({len(ours)} and {len(theirs)} "
            f"tokens, {differ} differ): distillation needs one tokenizer; choose a pair of one model family"
        )
