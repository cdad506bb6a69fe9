"""The cache of rows that are decoded together: slots are used again, shapes come back, logits are few."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.api import Sampling
from harness.models.decoding.choice import decoding_of
from harness.models.decoding.rows import Ends, Request, Row
from harness.models.decoding.slots import Slots
from harness.models.generation import generate
from harness.models.loading import Model
from tests.harness.models.kinds import KINDS, random_model
from tests.harness.models.tiny_models import VOCAB


def row(length: int, answer: int) -> Row:
    return Row(0, Request([5] * length, Sampling(0.0, 1.0, answer), ""), None)


def test_a_row_that_ends_leaves_the_keys_of_the_others_where_they_are() -> None:
    """Of four rows the second ends: the last takes its slot, and the first and third are not touched."""
    slots = Slots(random_model("Llama"), Ends(frozenset(), VOCAB, None))
    rows = [row(9, 9), row(8, 2), row(7, 9), row(6, 9)]
    slots.admit(rows)
    keys = slots.cache.layers[1].keys
    before, there = keys[:, :, :9].clone(), keys.data_ptr()
    assert slots.step() == [rows[1]]
    assert slots.rows == [rows[0], rows[3], rows[2]]
    after = slots.cache.layers[1].keys
    assert after.data_ptr() == there
    for slot, was, length in ((0, 0, 9), (1, 3, 6), (2, 2, 7)):
        assert torch.equal(after[slot, :, :length], before[was, :, :length])
    slots.admit([row(5, 9)])
    assert slots.cache.layers[1].keys.data_ptr() == there


def test_what_a_row_left_behind_is_nothing_to_the_next_one() -> None:
    """A row whose states were no numbers any more, in bfloat16 say."""
    slots = Slots(random_model("Gemma2"), Ends(frozenset(), VOCAB, None))
    said = []
    for _ in range(2):
        rows = [row(9, 5), row(4, 5)]
        slots.admit(rows)
        while slots.rows:
            slots.step()
        said.append([r.ids for r in rows])
        for layer in slots.cache.layers:
            layer.keys.fill_(torch.nan)
            layer.values.fill_(torch.nan)
    assert said[0] == said[1]


class Columns(TorchFunctionMode):
    """How many columns attention is given at each call that reads more than it writes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention and kwargs["attn_mask"] is not None:
            self.seen.add(args[1].shape[2])
        return func(*args, **(kwargs or {}))


def test_shapes_come_back_while_rows_grow() -> None:
    model = random_model("Llama")
    asked = [Request([5] * (3 + 7 * i), Sampling(0.0, 1.0, 40 - i), str(i)) for i in range(9)]
    decoding_of(model)
    with Columns() as columns:
        generate(model, asked, [], vocab=VOCAB, batch=4, seed=0)
    assert columns.seen == {64, 128}


class OfWords(TorchDispatchMode):
    """The shapes of tensors with a column for each word, that column left out."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.words, self.shapes = words, set[torch.Size]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.dim() and out.shape[-1] == self.words:
            self.shapes.add(out.shape[:-1])
        return out


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_one_token_a_row_whatever_the_length_of_prompts(kind: str) -> None:
    model: Model = random_model(kind, vocab_size=97)
    asked = [Request([5] * n, Sampling(float(n % 2), 1.0, 5), str(n)) for n in (12, 30, 21)]
    decoding_of(model)
    with OfWords(97) as made:
        generate(model, asked, [], vocab=97, batch=3, seed=0)
    head = torch.Size([model.get_output_embeddings().weight.shape[1]])  # its matrix, transposed
    assert max(shape.numel() for shape in made.shapes - {head}) == 3


@pytest.mark.parametrize("kind", ["Llama", "Gemma2", "Qwen3"])
def test_in_bfloat16_the_cache_and_the_model_are_half_and_scores_are_whole(kind: str) -> None:
    model = random_model(kind).bfloat16()
    assert decoding_of(model) is Slots
    slots = Slots(model, Ends(frozenset(), VOCAB, None))
    slots.admit([row(9, 9), row(4, 9)])
    slots.step()
    assert slots.cache.layers[0].keys.dtype == torch.bfloat16 and slots.scores.dtype == torch.float32
