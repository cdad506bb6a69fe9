"""Configs and tokenizers of model folders, and whether two are the same. No folder's own code is run."""

from pathlib import Path
from typing import Any

from harness.common.input import model_files

Tokenizer = Any  # transformers.PreTrainedTokenizerBase


def load_config(folder: Path) -> Any:
    """The config of a model folder."""
    from transformers import AutoConfig

    with model_files.reading(folder, model_files.CONFIG) as told:
        return AutoConfig.from_pretrained(folder, **told)


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder; ValueError where there is none."""
    from tokenizers import Tokenizer as Whole
    from transformers import AutoTokenizer

    if not any(
        (folder / f).exists() for f in ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
    ):
        raise ValueError(f"{folder}: no tokenizer there; put the model's tokenizer.json beside its weights")
    whole = {model_files.TOKENIZER: lambda: Whole.from_file(str(folder / model_files.TOKENIZER))}
    about = (folder / "tokenizer_config.json").exists()
    name = "tokenizer_config.json" if about else model_files.TOKENIZER
    with model_files.reading(folder, name, whole) as told:
        tokenizer = AutoTokenizer.from_pretrained(folder, **told)
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
    ids = tokenizer_ids(tokenizer)
    if not (folder / "config.json").exists():
        return ids
    return min(ids, int(load_config(folder).get_text_config().vocab_size))


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
