"""Answers of a model: batched decoding by transformers, the same for any batch composition.

Sampling adds Gumbel noise to the log-probs and takes the largest, which draws from them exactly; the noise
of a row comes from a generator of its own, so an answer does not depend on what was decoded beside it.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.generation import TopPLogitsWarper

from benchmarks.api import Sampling
from harness.models import Model


class Request(NamedTuple):
    """A prompt's ids, how to answer it, and the name that its random draws are seeded by."""

    prompt: list[int]
    sampling: Sampling
    name: str


class Generated(NamedTuple):
    """Response ids, the stop token included; `truncated` where none came within max_tokens."""

    ids: list[int]
    truncated: bool


class _GumbelMax(LogitsProcessor):  # type: ignore[misc]
    """Turns greedy decoding of row i into sampling at `sampling`, by noise seeded by the row's name."""

    def __init__(self, sampling: Sampling, names: Sequence[str], seed: int) -> None:
        self.sampling = sampling
        self.draws = [torch.Generator().manual_seed(_seed_of(name, seed)) for name in names]

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores.float() / self.sampling.temperature
        if self.sampling.top_p < 1.0:
            scores = TopPLogitsWarper(self.sampling.top_p)(ids, scores)
        noise = torch.stack(
            [-torch.empty(scores.shape[1]).exponential_(generator=g).log() for g in self.draws]
        )
        return scores + noise.to(scores.device)


def _seed_of(name: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:7], "big")


def generate(
    model: Model, requests: Sequence[Request], stop: list[int], *, batch: int, seed: int
) -> list[Generated]:
    """Answer every request, in its order. Prompts of like length are decoded together, `batch` at a time."""
    answers: list[Generated | None] = [None] * len(requests)
    order = sorted(
        range(len(requests)), key=lambda i: (requests[i].sampling.__repr__(), len(requests[i].prompt))
    )
    groups: list[list[int]] = []
    for i in order:
        if not groups or len(groups[-1]) == batch or requests[i].sampling != requests[groups[-1][0]].sampling:
            groups.append([])
        groups[-1].append(i)
    for group in groups:
        for i, answer in zip(group, _decode(model, [requests[i] for i in group], stop, seed), strict=True):
            answers[i] = answer
    return [a for a in answers if a is not None]


@torch.no_grad()
def _decode(model: Model, requests: Sequence[Request], stop: list[int], seed: int) -> list[Generated]:
    sampling, longest = requests[0].sampling, max(len(r.prompt) for r in requests)
    ids = torch.tensor(
        [[stop[0]] * (longest - len(r.prompt)) + r.prompt for r in requests], device=model.device
    )
    mask = torch.tensor(
        [[0] * (longest - len(r.prompt)) + [1] * len(r.prompt) for r in requests], device=model.device
    )
    noise = [_GumbelMax(sampling, [r.name for r in requests], seed)] if sampling.temperature > 0 else []
    out = model.generate(
        ids,
        attention_mask=mask,
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
        max_new_tokens=sampling.max_tokens,
        eos_token_id=stop,
        pad_token_id=stop[0],
        logits_processor=LogitsProcessorList(noise),
    )
    return [_cut(row, stop) for row in out[:, longest:].tolist()]


def _cut(row: list[int], stop: list[int]) -> Generated:
    end = next((i for i, token in enumerate(row) if token in stop), None)
    return Generated(row, True) if end is None else Generated(row[: end + 1], False)
