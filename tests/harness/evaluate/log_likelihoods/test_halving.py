"""Batches that do not fit into memory: the same answers from halves, told once, counted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.evaluate import lm_eval_model
from harness.evaluate.lm_eval_model import PooledLM
from harness.evaluate.log_likelihoods import batches
from harness.models.memory import in_halves
from harness.models.worker_pool import Pool
from tests.harness.evaluate.test_lm_eval_model import instance
from tests.harness.models.tiny_models import tiny_folder

BATCH = 8
LETTERS = "abcdefgh"


def room_for(most: int, ask: Any) -> Any:
    """`ask` on a device with room for `most` requests at once."""

    def on_small_device(*arguments: Any, **how: Any) -> Any:
        requests = next(a for a in arguments if isinstance(a, list | tuple) and not isinstance(a, str))
        if len(requests) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 24.50 GiB")
        return ask(*arguments, **how)

    return on_small_device


def test_halves_stand_in_the_order_of_the_batch() -> None:
    def ask(batch: Sequence[int]) -> list[int]:
        return [n * n for n in batch]

    assert in_halves(ask, range(7), "dtype") == ([0, 1, 4, 9, 16, 25, 36], 0)
    small = room_for(2, ask)
    assert in_halves(small, list(range(7)), "dtype") == (
        [0, 1, 4, 9, 16, 25, 36],
        3,
    )  # 7 = 4 + 3 = 2 + 2 + 2 + 1
    line = r"^out of memory at one request alone: set teacher_dtype: .* \(CUDA out of memory. .* 24.50 GiB\)$"
    with pytest.raises(ValueError, match=line):
        in_halves(room_for(0, ask), [1, 2], "teacher_dtype")


def test_log_likelihoods_of_halves_are_those_of_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tiny_folder(tmp_path / "model")
    monkeypatch.setattr(batches, "WHOLE", 0)
    asked = [instance(f"a b c {x}", f" {x} d", doc=n) for n, x in enumerate("abcdefghijklmnop")]
    whole = PooledLM(Pool(folder), BATCH)
    expected = whole.loglikelihood(asked)
    monkeypatch.setattr(lm_eval_model, "log_likelihoods", room_for(4, lm_eval_model.log_likelihoods))
    halved = PooledLM(Pool(folder), BATCH)
    found = halved.loglikelihood(asked)
    assert [x for x, _ in found] == pytest.approx([x for x, _ in expected], abs=1e-5)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    assert (whole.halved, halved.halved) == (0, 2)
    assert halved.computed == 2
    told = [r.getMessage() for r in caplog.records if "does not fit into the memory" in r.getMessage()]
    assert len(told) == 1
    monkeypatch.setattr(lm_eval_model, "log_likelihoods", room_for(0, lm_eval_model.log_likelihoods))
    with pytest.raises(ValueError, match="out of memory at one request alone"):
        PooledLM(Pool(folder), BATCH).loglikelihood(asked)


def test_generations_of_halves_are_those_of_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_folder(tmp_path / "model")
    how = {"until": ["<end>"], "max_gen_toks": 4, "do_sample": False}
    asked = [instance(f"a b {x}", how, doc=n) for n, x in enumerate(LETTERS)]
    expected = PooledLM(Pool(folder), BATCH).generate_until(asked)
    monkeypatch.setattr(lm_eval_model.HFLM, "generate_until", room_for(3, lm_eval_model.HFLM.generate_until))
    lm = PooledLM(Pool(folder), BATCH)
    assert lm.generate_until(asked) == expected
    assert lm.halved == 3  # 8 = 4 + 4 = 2 + 2 + 2 + 2
