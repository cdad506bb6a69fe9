"""What a frozen model says of a set of sequences, computed once for all methods, epochs and seeds.

    logps.bin float32 [N]                        log p of the realised token; in every form
    hidden.bin [N, d]                            final hidden states ("hidden"; exact over all of V)
    ids.bin int32, top.bin float32 [N, k]        the teacher's k ids and log-probs at them ("topk")
    rest.bin float32 [N]                         the log of the mass that they leave out: the bias, reported

N counts response tokens in the order of the sequences. The reference teacher's `topk` stands at the
teacher's ids. Where another form of the same pass is at hand (plan/shared_passes), the model is not run
again: log-probs are copied, a top-k is the head of the hidden states. Both are the same bit for bit.
"""

import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from harness.common.cost import CHUNK
from harness.common.tokenizer import load_tokenizer, vocabulary
from harness.common.underway import news
from harness.data.token_sequences import Sequences, batches_of, common_vocabulary, vocabulary_of
from harness.models.loading import body, forward_flops, head_of, load, load_head
from harness.models.memory import in_halves
from harness.models.policy import pad
from harness.signals.kinds import SignalInputs, SignalSettings
from harness.store.append_log import FlushTimer
from harness.store.array_file import ArrayFile, ArrayFileWriter, Note
from harness.store.integrity import RECORD, drop
from harness.store.step import Work
from methods.kernels.token_statistics import Head, Hidden, Signal, TopK, log_rest, top_ids

Arrays = dict[str, NDArray[np.generic]]  # name -> rows of one sequence

log = logging.getLogger(__name__)
WINDOW = 256  # sequences that are sorted by length together
SignalWork = Work[SignalSettings, SignalInputs[Path]]


@dataclass(frozen=True)
class _Source:
    """Where final hidden states come from: (sequences, ids [B, T], response tokens [B, T]) -> [N, d]."""

    states: Callable[[list[int], Tensor, Tensor], Tensor]
    head: Head
    device: torch.device
    flops: int


def run(work: Work[SignalSettings, SignalInputs[Path]]) -> dict[str, Any]:
    """The step: one pass of `model` over `sequences`, written in order as it goes.

    `flops` are those of a pass of its own, `passes` how many were run: 0 where another form was at hand.
    """
    settings, sequences = work.settings, Sequences(work.inputs.sequences)
    derived_from = work.derived_from.get("signals")
    # Every form holds the log-probs of the realised tokens: a copy, no arithmetic.
    if derived_from and settings.form == "logps":
        return _copied(derived_from, work.out)
    source = _stored(work, sequences, derived_from) if derived_from else _of_model(work, sequences)
    id_array = ArrayFile(work.inputs.ids, "ids") if work.inputs.ids else None
    k = min(settings.k or 0, source.head.vocab)
    # numpy has no bfloat16; its bits are kept as they are.
    hidden_dtype = "int16" if settings.dtype == "bfloat16" else "float32"
    arrays = {
        "logps": {"logps": ("float32", 0)},
        "hidden": {"logps": ("float32", 0), "hidden": (hidden_dtype, source.head.weight.shape[1])},
        "topk": {"logps": ("float32", 0), "ids": ("int32", k), "top": ("float32", k), "rest": ("float32", 0)},
    }[settings.form]

    halved = 0

    def arrays_of_window(window: range) -> dict[int, Arrays]:
        nonlocal halved
        of_batch = partial(_of_batch, source, sequences, k, id_array)
        arrays_by_sequence, parted = _of_window(of_batch, sequences, window, work.context["tokens"])
        if parted and not halved:
            log.warning("batches that do not fit into memory are halved; what the model says stays")
        halved += parted
        return arrays_by_sequence

    cut = _write(work, arrays, sequences, arrays_of_window)
    answered = int(sequences.response_lengths.sum())
    return {
        "tokens": int(sequences.lengths.sum()),
        "response_tokens": answered,
        "flops": source.flops,
        "cut_mass": cut / answered,
        "passes": int(derived_from is None),
        "halved": halved,
    }


def _of_model(work: SignalWork, sequences: Sequences) -> _Source:
    """The hidden states as the model's body gives them."""
    device = torch.device(work.context["device"])
    model = load(work.inputs.model, getattr(torch, work.settings.dtype)).to(device)
    own = vocabulary(load_tokenizer(work.inputs.model), work.inputs.model)
    head = head_of(model, common_vocabulary(own, work.inputs.sequences))
    tokens, answered = int(sequences.lengths.sum()), int(sequences.response_lengths.sum())

    def states(batch: list[int], ids: Tensor, mask: Tensor) -> Tensor:
        # The state before a token predicts it: states are one position ahead of the mask.
        return body(model, ids)[:, :-1][mask[:, 1:]]

    return _Source(states, head, device, forward_flops(model, tokens, answered))


def _stored(work: SignalWork, sequences: Sequences, source: Path) -> _Source:
    """The hidden states as another step stored them, with the model's head."""
    device = torch.device(work.context["device"])
    head = load_head(work.derived_from["head"], device, vocabulary_of(work.inputs.sequences))
    read = Signals(source, sequences, head)

    def states(batch: list[int], ids: Tensor, mask: Tensor) -> Tensor:
        distributions = read.distributions(batch, device)
        assert isinstance(distributions, Hidden)
        return distributions.states

    return _Source(states, head, device, _measured(source)["flops"])


def _copied(source: Path, out: Path) -> dict[str, Any]:
    """The log-probs, which every form has."""
    for name in ("logps.bin", "logps.json"):
        shutil.copyfile(source / name, out / name)
    return {**_measured(source), "cut_mass": 0.0, "passes": 0, "halved": 0}


def _measured(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / RECORD).read_text())["measured"])


def _write(
    work: SignalWork,
    arrays: Mapping[str, tuple[str, int]],
    sequences: Sequences,
    arrays_of_window: Callable[[range], Mapping[int, Arrays]],
) -> float:
    """Append window after window to the arrays; returns the mass that a top-k leaves out, summed over tokens.

    They grow in the folder that outlives a kill, with a note of how many sequences are in them for certain;
    where they do not match it, all is computed again.
    """
    folder = work.kept / "signals" if work.kept else work.out
    folder.mkdir(parents=True, exist_ok=True)
    note, beat = folder / "written.json", FlushTimer()
    start, cut, known = Note.read(note)
    rows = int(sequences.response_offsets[start])
    with ExitStack() as files:
        writers = {
            n: files.enter_context(ArrayFileWriter(folder, n, *a, rows=rows)) for n, a in arrays.items()
        }
        if known != {n: writer.checksum for n, writer in writers.items() if start}:
            assert work.kept
            drop(work.kept, folder, "differs from its checksums")
            return _write(work, arrays, sequences, arrays_of_window)
        counted = news.count("sequences", len(sequences), start)
        for first in range(start, len(sequences), WINDOW):
            window = range(first, min(first + WINDOW, len(sequences)))
            rows_by_sequence = arrays_of_window(window)
            for name, writer in writers.items():
                writer.append(np.concatenate([rows_by_sequence[i][name] for i in window]))
            if "rest" in arrays:
                cut += sum(float(np.exp(r["rest"]).sum()) for r in rows_by_sequence.values())
            counted.at(window.stop)
            # A sync for each window would take longer than the pass over a small model.
            if beat.due():
                for writer in writers.values():
                    writer.to_disk()
                Note(window.stop, cut, {n: writer.checksum for n, writer in writers.items()}).write(note)
    note.unlink(missing_ok=True)  # before the arrays leave: half of them would be none
    for name in arrays if work.kept else ():
        for path in (folder / f"{name}.json", folder / f"{name}.bin"):
            path.rename(work.out / path.name)
    return cut


def _of_window(
    of_batch: Callable[[Sequence[int]], list[Arrays]], sequences: Sequences, window: range, tokens: int
) -> tuple[dict[int, Arrays], int]:
    """Sequence -> array name -> its rows, and how often a batch was halved; batches hold sequences of like
    length, at most `tokens` padded.
    """
    # Sequences of like length share a batch, so little is padded; a window bounds what waits for its turn.
    order = sorted(window, key=lambda i: int(sequences.lengths[i]))
    arrays_by_sequence: dict[int, Arrays] = {}
    halved = 0
    for batch in batches_of(order, sequences.lengths, tokens):
        arrays, parted = in_halves(of_batch, batch, "teacher_dtype")
        arrays_by_sequence |= zip(batch, arrays, strict=True)
        halved += parted
    return arrays_by_sequence, halved


@torch.no_grad()
def _of_batch(
    source: _Source, sequences: Sequences, k: int, id_array: ArrayFile | None, batch: Sequence[int]
) -> list[Arrays]:
    """Array name -> rows, of each sequence of a batch."""
    read = [sequences[i] for i in batch]
    ids, mask = (
        pad([s.ids for s in read], source.device),
        pad([s.mask for s in read], source.device).bool(),
    )
    states = source.states(list(batch), ids, mask)
    spans = [_span(sequences, i) for i in batch]
    stored = None if id_array is None else _gather(id_array, spans).to(source.device)
    arrays = arrays_of(source.head, states, ids[mask], k, stored)
    if wrong := int(arrays["logps"].isnan().sum()):
        raise ValueError(f"the log-probs of {wrong} tokens are NaN; are the weights sound? Try float32")
    lengths = [int(sequences.response_lengths[i]) for i in batch]
    split = {name: torch.split(rows.cpu(), lengths) for name, rows in arrays.items()}
    return [{name: rows[j].numpy() for name, rows in split.items()} for j in range(len(batch))]


def arrays_of(head: Head, states: Tensor, tokens: Tensor, k: int, stored: Tensor | None) -> dict[str, Tensor]:
    """What each form stores of the response tokens of a batch. states [N, d], tokens [N]"""
    parts: dict[str, list[Tensor]] = {"logps": [], "ids": [], "top": [], "rest": []}
    # [tokens, V] in float32 at once would be gigabytes at V = 128,256.
    for a in range(0, len(tokens), CHUNK):
        logits = head.logits(states[a : a + CHUNK])
        logprobs, realised = F.log_softmax(logits, -1), tokens[a : a + CHUNK]
        parts["logps"].append(logprobs.gather(-1, realised[:, None])[:, 0])
        if k:
            ids = top_ids(logprobs, realised, k) if stored is None else stored[a : a + CHUNK].long()
            parts["ids"].append(ids.int())
            parts["top"].append(logprobs.gather(-1, ids))
            parts["rest"].append(log_rest(logits, ids))
    hidden = states.view(torch.int16) if states.dtype == torch.bfloat16 else states.float()
    return {"hidden": hidden, **{name: torch.cat(rows) for name, rows in parts.items() if rows}}


def _span(sequences: Sequences, i: int) -> tuple[int, int]:
    return int(sequences.response_offsets[i]), int(sequences.response_offsets[i + 1])


def _gather(array: ArrayFile, spans: list[tuple[int, int]]) -> Tensor:
    return torch.from_numpy(np.concatenate([array.rows(a, b) for a, b in spans]))


class Signals:
    """A finished signal folder over `sequences`, read by sequence; `head` is the model's, for the hidden
    form.
    """

    def __init__(self, folder: Path, sequences: Sequences, head: Head | None) -> None:
        self.sequences, self.head = sequences, head
        self.arrays = {p.stem: ArrayFile(folder, p.stem) for p in folder.glob("*.bin")}

    def logps(self, batch: list[int]) -> Tensor:
        return _gather(self.arrays["logps"], self._spans(batch))

    def distributions(self, batch: list[int], device: torch.device, ids: Tensor | None = None) -> Signal:
        spans = self._spans(batch)
        if "hidden" in self.arrays:
            assert self.head is not None
            states = _gather(self.arrays["hidden"], spans).to(device)
            return Hidden(states.view(torch.bfloat16) if states.dtype == torch.int16 else states, self.head)
        own, top, rest = (_gather(self.arrays[name], spans).to(device) for name in ("ids", "top", "rest"))
        own = own.long()
        # One tensor of what is one: whoever compares two on a GPU makes the process wait.
        same = ids is not None and torch.equal(own, ids)
        return TopK(ids if ids is not None and same else own, top, rest, realised=True)

    def prefetch(self, batch: list[int]) -> None:
        """What of some sequences will be asked for soon."""
        for span in self._spans(batch):
            for array in self.arrays.values():
                array.prefetch(*span)

    def _spans(self, batch: list[int]) -> list[tuple[int, int]]:
        return [_span(self.sequences, i) for i in batch]
