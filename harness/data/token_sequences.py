"""Token sequences as an artifact: what is trained on, scored and sampled.

    tokens.bin int32, mask.bin bool (True where a loss reads the token), lengths.bin int32, rows.bin int64
    vocabulary.json: 262144, where a model of the pair has embeddings of fewer ids than the tokenizer has

`rows` says which example of the data set a sequence belongs to, so that views of one example find each
other. Token ids are stored with every response; text is never tokenised again.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.store.array_file import ArrayFile, ArrayFileWriter

Ints = NDArray[np.int64]

VOCABULARY = "vocabulary.json"


@dataclass(frozen=True)
class Sequence:
    """One sequence: the example it belongs to, its token ids, and which of them a loss reads (never the
    first).
    """

    row: int
    ids: list[int]
    mask: list[bool]


def response(row: int, prompt: list[int], answer: list[int]) -> Sequence:
    """A prompt and its response, of which a loss reads the response."""
    return Sequence(row, [*prompt, *answer], [False] * len(prompt) + [True] * len(answer))


def write(folder: Path, sequences: Iterable[Sequence], vocabulary: int | None = None) -> dict[str, int]:
    """Write sequences one after the other; returns how many sequences and tokens. `vocabulary`: the ids below
    which all models of the pair have embeddings, None where they have all of the tokenizer's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if vocabulary is not None:
        (folder / VOCABULARY).write_text(json.dumps(vocabulary))
    count = tokens = answered = 0
    with (
        ArrayFileWriter(folder, "tokens", "int32") as ids,
        ArrayFileWriter(folder, "mask", "bool") as mask,
        ArrayFileWriter(folder, "lengths", "int32") as lengths,
        ArrayFileWriter(folder, "rows", "int64") as rows,
    ):
        for s in sequences:
            assert len(s.ids) == len(s.mask) and any(s.mask) and not s.mask[0], f"row {s.row} is unusable"
            ids.append(np.array(s.ids))
            mask.append(np.array(s.mask))
            lengths.append(np.array([len(s.ids)]))
            rows.append(np.array([s.row]))
            count, tokens, answered = count + 1, tokens + len(s.ids), answered + sum(s.mask)
    return {"sequences": count, "tokens": tokens, "response_tokens": answered}


def vocabulary_of(folder: Path) -> int | None:
    """The ids that may stand in and beside sequences of a folder, as `write` was told."""
    file = folder / VOCABULARY
    return int(json.loads(file.read_text())) if file.exists() else None


def common_vocabulary(own: int, *folders: Path) -> int:
    """How many ids of a model that has `own` may be used with sequences of some folders."""
    return min([own, *(known for folder in folders if (known := vocabulary_of(folder)) is not None)])


def batches_of(order: Iterable[int], lengths: Ints, tokens: int) -> list[list[int]]:
    """Cut `order` into batches of at most `tokens` padded positions, or of one sequence."""
    # Padded positions, not tokens: they are what a pass computes and what its memory grows with.
    batches: list[list[int]] = []
    longest = 0
    for i in order:
        longest = max(longest, int(lengths[i]))
        if not batches or longest * (len(batches[-1]) + 1) > tokens:
            batches.append([])
            longest = int(lengths[i])
        batches[-1].append(i)
    return batches


class Sequences:
    """The sequences of a folder, read one by one; lengths and rows are held in memory, tokens are not."""

    def __init__(self, folder: Path) -> None:
        self.tokens, self.mask = ArrayFile(folder, "tokens"), ArrayFile(folder, "mask")
        self.lengths: Ints = ArrayFile(folder, "lengths").all().astype(np.int64)
        self.rows: Ints = ArrayFile(folder, "rows").all().astype(np.int64)
        # What is held takes 24 bytes a sequence; tokens of a training set may not fit into memory.
        self.offsets: Ints = np.concatenate([[0], np.cumsum(self.lengths)])

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, i: int) -> Sequence:
        a, b = int(self.offsets[i]), int(self.offsets[i + 1])
        return Sequence(int(self.rows[i]), self.tokens.rows(a, b).tolist(), self.mask.rows(a, b).tolist())

    @cached_property
    def response_lengths(self) -> Ints:
        """How many tokens of each sequence a loss reads. [n]"""
        spans = zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True)
        return np.array([int(self.mask.rows(a, b).sum()) for a, b in spans], dtype=np.int64)

    @cached_property
    def response_offsets(self) -> Ints:
        """Where each sequence's response tokens begin in a flat array over all of them. [n + 1]"""
        return np.concatenate([[0], np.cumsum(self.response_lengths)])

    def prompt(self, i: int) -> list[int]:
        """The ids before the first token that a loss reads."""
        s = self[i]
        return s.ids[: s.mask.index(True)]

    def response(self, i: int) -> list[int]:
        """The ids from the first token that a loss reads."""
        s = self[i]
        return s.ids[s.mask.index(True) :]
