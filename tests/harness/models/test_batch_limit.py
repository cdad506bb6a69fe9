"""Memory that runs out while answers are decoded: fewer at a time, the same answers."""

import logging
from typing import Any

import pytest
import torch

from benchmarks.api import Sampling
from harness.models.decoding.choice import decoding_of
from harness.models.decoding.limit import BatchLimit
from harness.models.decoding.rows import Request
from harness.models.generation import generate
from harness.models.loading import Model
from tests.harness.models.kinds import random_model
from tests.harness.models.tiny_models import VOCAB

ASKED = [
    Request([5 + i] * (3 + 2 * i), Sampling(0.9 * (i % 2), 1.0, 4 + 3 * (i % 4)), str(i)) for i in range(12)
]
OOM = "CUDA out of memory. Tried to allocate 20.00 MiB."


def answers(model: Model, limit: BatchLimit, batch: int = 8) -> Any:
    return generate(model, ASKED, [9, 11], vocab=VOCAB, batch=batch, seed=0, limit=limit)


class Small:
    """A device on which so many positions of all rows fit, and no more."""

    def __init__(self, model: Model, positions: int) -> None:
        decoding_of(model)  # whose trial has room
        self.positions, self.refused = positions, 0
        self.hook = model.base_model.register_forward_pre_hook(self.check, with_kwargs=True)

    def check(self, module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        rows, read = kwargs["input_ids"].shape
        cache = kwargs.get("past_key_values")
        if rows * (read + (cache.get_seq_length() if cache else 0)) > self.positions:
            self.refused += 1
            raise torch.OutOfMemoryError(OOM)


@pytest.mark.parametrize("kind", ["Llama", "Lfm2", "Mamba"])
def test_a_batch_without_room_is_halved_and_the_answers_are_the_same(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    model, limit = random_model(kind), BatchLimit()
    plain = answers(model, limit)
    assert limit.halved == 0
    small = Small(model, positions=100)
    with caplog.at_level(logging.WARNING, "harness.models.decoding.limit"):
        assert answers(model, limit) == plain
    assert limit.halved == small.refused >= 2
    told = [line for line in caplog.messages if "out of memory" in line]
    assert told == ["out of memory: from here on 4 are answered together, the same answers"]
    before = limit.halved
    assert answers(model, limit) == plain
    assert limit.halved == before, "what was learned holds for the calls that follow"


def test_one_answer_without_room_is_one_line_with_what_to_set() -> None:
    model = random_model("Llama")
    Small(model, positions=20)
    with pytest.raises(ValueError, match=r"^out of memory at one answer, of \d+ tokens.*generation.dtype"):
        answers(model, BatchLimit())


def test_a_trial_without_room_says_nothing_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model("Llama")

    def refuse(*args: Any) -> None:
        raise torch.OutOfMemoryError(OOM)

    hook = model.base_model.register_forward_pre_hook(refuse)
    with pytest.raises(torch.OutOfMemoryError):
        decoding_of(model)
    hook.remove()
    assert answers(model, BatchLimit())
