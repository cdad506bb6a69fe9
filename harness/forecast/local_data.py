"""How many rows a local file has and how long they are, read as a run would read them; four bytes a token."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from benchmarks.api import Message
from harness.data import datasets
from harness.data.datasets import Source
from harness.data.layouts import DIALOGUES, PAIRS

BYTES = 4  # of a token: as of English text in a vocabulary of 30 to 130 thousand


@cache
def typical(path: str, split: str, layout: str, pairs: bool) -> Mapping[str, Any]:
    """What texts.yaml says of published data: usable rows by split, and the mean tokens of a row's parts;
    empty for a hub id.
    """
    source = Source(path, split, None, layout)
    if datasets.local_path(source) is None:
        return {}
    if pairs:
        of_pairs = datasets.load(source, PAIRS).rows
        prompts = [_text(pair.prompt) for pair in of_pairs]
        return {
            "rows": {split: len(of_pairs)},
            "prompt": _tokens(prompts),
            "chosen": _tokens(pair.chosen for pair in of_pairs),
            "rejected": _tokens(pair.rejected for pair in of_pairs),
        }
    chats = [chat.messages for chat in datasets.load(source, DIALOGUES).rows]
    whole = _tokens(map(_text, chats))
    answers = _tokens(_text([m for m in chat if m["role"] == "assistant"]) for chat in chats)
    return {"rows": {split: len(chats)}, "dialogue": whole, "answered": answers / whole}


def _text(messages: Iterable[Message]) -> str:
    return "".join(message["content"] for message in messages)


def _tokens(texts: Iterable[str]) -> float:
    """The mean tokens of texts."""
    lengths = [len(text.encode()) for text in texts]
    return max(1.0, sum(lengths) / len(lengths) / BYTES)
