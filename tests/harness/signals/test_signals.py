"""Signals: what is stored is what the model says, and no more memory is needed for a larger set."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.common.tokenizer import load_tokenizer
from harness.data import token_sequences
from harness.data.token_sequences import Sequences
from harness.models import loading
from harness.signals import stored as signals
from harness.signals.kinds import SIGNALS
from harness.signals.stored import Signals
from methods.kernels.token_statistics import Head, Hidden, TopK
from tests.harness.models.tiny_models import VOCAB, tiny_folder

CONTEXT = {"device": "cpu", "tokens": 64}


def sequence_set(folder: Path, count: int = 7) -> Sequences:
    draw = torch.Generator().manual_seed(count)
    rows = []
    for row in range(count):
        prompt, answer = torch.randint(2, 9, (2,), generator=draw).tolist()
        ids = torch.randint(0, VOCAB, (prompt + answer,), generator=draw).tolist()
        rows.append(token_sequences.response(row, ids[:prompt], ids[prompt:]))
    token_sequences.write(folder, rows)
    return Sequences(folder)


def stored(
    folder: Path, model: Path, found: Path, inputs: dict[str, Path] | None = None, **settings: Any
) -> Path:
    folder.mkdir()
    told = {"dtype": "float32", **settings}
    read = {"model": model, "sequences": found, **(inputs or {})}
    signals.run(SIGNALS.work(told, read, folder, CONTEXT))
    return folder


def dense(model: Path, found: Sequences) -> list[torch.Tensor]:
    """Log-probs of each sequence's response positions, one sequence at a time. [n, V]"""
    loaded, told = loading.load(model), []
    for i in range(len(found)):
        s = found[i]
        logits = loaded(torch.tensor([s.ids])).logits[0, :-1]
        told.append(logits[torch.tensor(s.mask[1:])].log_softmax(-1).detach())
    return told


def test_a_batch_that_does_not_fit_into_memory_is_read_in_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found, model = sequence_set(tmp_path / "sequences"), tiny_folder(tmp_path / "model")
    whole = stored(tmp_path / "whole", model, tmp_path / "sequences", form="logps")
    compute = signals.arrays_of

    def on_small_device(head: Head, states: torch.Tensor, *others: Any) -> dict[str, torch.Tensor]:
        if len(states) > 12:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 24.50 GiB")
        return compute(head, states, *others)

    monkeypatch.setattr(signals, "arrays_of", on_small_device)
    (tmp_path / "parts").mkdir()
    read = {"model": model, "sequences": tmp_path / "sequences"}
    told = {"form": "logps", "dtype": "float32"}
    measured = signals.run(SIGNALS.work(told, read, tmp_path / "parts", CONTEXT))
    assert measured["halved"] > 1 and len(caplog.records) == 1
    of_parts, of_whole = (Signals(at, found, None) for at in (tmp_path / "parts", whole))
    for i in range(len(found)):
        torch.testing.assert_close(of_parts.logps([i]), of_whole.logps([i]))


def test_log_probs_that_are_no_numbers_stop_the_step(tmp_path: Path) -> None:
    """Of a model that says nothing of one word alone: an accuracy would have counted them as lost."""
    model = loading.load(tiny_folder(tmp_path / "model"))
    model.config.tie_word_embeddings = False
    head = model.lm_head.weight.clone()
    model.get_input_embeddings().weight.data[20] = torch.nan
    loading.save(
        model,
        load_tokenizer(tmp_path / "model"),
        tmp_path / "model",
        {**model.state_dict(), "lm_head.weight": head},
    )
    sequence_set(tmp_path / "set")
    with pytest.raises(ValueError, match=r"the log-probs of [0-9]+ tokens are NaN"):
        stored(tmp_path / "logps", tmp_path / "model", tmp_path / "set", form="logps")


def test_hidden_states_give_the_models_own_log_probs_in_the_order_of_the_sequences(tmp_path: Path) -> None:
    model, found = tiny_folder(tmp_path / "model"), sequence_set(tmp_path / "set")
    folder = stored(tmp_path / "hidden", model, tmp_path / "set", form="hidden")
    head = loading.head_of(loading.load(model), VOCAB)
    read = Signals(folder, found, head)

    signal = read.distributions([5, 0], torch.device("cpu"))
    assert isinstance(signal, Hidden)
    expected = dense(model, found)
    torch.testing.assert_close(signal.head.logprobs(signal.states), torch.cat([expected[5], expected[0]]))
    realised = [
        e.gather(-1, torch.tensor(found[i].ids)[torch.tensor(found[i].mask)][:, None])[:, 0]
        for i, e in enumerate(expected)
    ]
    torch.testing.assert_close(read.logps(list(range(len(found)))), torch.cat(realised))


def test_top_k_holds_the_realised_token_and_accounts_for_all_mass(tmp_path: Path) -> None:
    model, found = tiny_folder(tmp_path / "model"), sequence_set(tmp_path / "set")
    folder = stored(tmp_path / "topk", model, tmp_path / "set", form="topk", k=4)
    signal = Signals(folder, found, None).distributions([0, 1, 2], torch.device("cpu"))

    assert isinstance(signal, TopK)
    tokens = torch.cat([torch.tensor(found[i].ids)[torch.tensor(found[i].mask)] for i in range(3)])
    assert (signal.ids == tokens[:, None]).any(-1).all()
    torch.testing.assert_close(signal.logprobs.exp().sum(-1) + signal.rest.exp(), torch.ones(len(tokens)))
    expected = torch.cat(dense(model, found)[:3])
    torch.testing.assert_close(signal.logprobs, expected.gather(-1, signal.ids))


def test_the_reference_teachers_top_k_stands_at_the_teachers_ids(tmp_path: Path) -> None:
    teacher, reference = tiny_folder(tmp_path / "a", seed=1), tiny_folder(tmp_path / "b", seed=2)
    found = sequence_set(tmp_path / "set")
    ids = stored(tmp_path / "of_a", teacher, tmp_path / "set", form="topk", k=3)
    at = stored(tmp_path / "of_b", reference, tmp_path / "set", {"ids": ids}, form="topk", k=3)
    one, two = (Signals(f, found, None).distributions([3, 4], torch.device("cpu")) for f in (ids, at))

    assert isinstance(one, TopK) and isinstance(two, TopK)
    torch.testing.assert_close(one.ids, two.ids)
    torch.testing.assert_close(two.logprobs, torch.cat(dense(reference, found)[3:5]).gather(-1, two.ids))


def test_bfloat16_hidden_states_come_back_bit_for_bit(tmp_path: Path) -> None:
    model, found = tiny_folder(tmp_path / "model"), sequence_set(tmp_path / "set", 1)
    folder = stored(tmp_path / "hidden", model, tmp_path / "set", form="hidden", dtype="bfloat16")
    half = loading.load(model, torch.bfloat16)
    s = found[0]
    with torch.no_grad():
        states = loading.body(half, torch.tensor([s.ids]))[0, :-1][torch.tensor(s.mask[1:])]

    signal = Signals(folder, found, loading.head_of(half, VOCAB)).distributions([0], torch.device("cpu"))
    assert isinstance(signal, Hidden)
    torch.testing.assert_close(signal.states, states, rtol=0, atol=0)


@pytest.mark.slow
def test_peak_memory_of_writing_and_reading_does_not_grow_with_the_set(tmp_path: Path) -> None:
    model = tiny_folder(tmp_path / "model", hidden=256)
    code = """
import resource, sys, torch
from pathlib import Path
from tests.harness.signals.test_signals import *
from harness.signals.stored import Signals
folder, model, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
found = sequence_set(folder / "set", count)
stored(folder / "hidden", model, folder / "set", form="hidden")
read = Signals(folder / "hidden", found, loading.head_of(loading.load(model), VOCAB))
for i in range(0, count - 8, 8):
    read.distributions(list(range(i, i + 8)), torch.device("cpu"))
size = (folder / "hidden" / "hidden.bin").stat().st_size
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, size)
"""
    peaks, sizes = [], []
    for count in (1_000, 16_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        out = subprocess.run(
            [sys.executable, "-c", code, str(folder), str(model), str(count)],
            capture_output=True,
            text=True,
            check=True,
        )
        peak, size = map(int, out.stdout.split())
        peaks.append(peak)
        sizes.append(size)

    assert sizes[1] - sizes[0] > 60e6  # what would show if the set were held whole
    assert peaks[1] - peaks[0] < 0.25 * (sizes[1] - sizes[0])
