"""Rows of a batch that are answered together: what each was asked, how far it is, and its next token.

Sampling adds Gumbel noise to the log-probs and takes the largest, which draws from them exactly; the noise of
a row comes from a generator of its own, on its model's device: another kind of device draws other answers.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from transformers.generation import TopPLogitsWarper

from benchmarks.api import Sampling


class Request(NamedTuple):
    """A prompt's ids, how to answer it, and the name that its random draws are seeded by."""

    prompt: list[int]
    sampling: Sampling
    name: str


@dataclass
class Row:
    """A request that is being answered. `position`: among all requests; `draws`: None for greedy."""

    position: int
    request: Request
    draws: torch.Generator | None
    ids: list[int] = field(default_factory=list)
    ended: bool = False


def seed_of(request: Request, seed: int) -> int:
    """What the draws of a request are seeded by, of which its name is a part."""
    digest = hashlib.sha256(f"{seed}/{request.name}".encode()).digest()
    # Seven bytes: torch takes no seeds over 63 bits.
    return int.from_bytes(digest[:7], "big")


def row_of(position: int, request: Request, seed: int, device: torch.device) -> Row:
    """The row of a request before its first token."""
    if request.sampling.temperature == 0:
        return Row(position, request, None)
    return Row(position, request, torch.Generator(device).manual_seed(seed_of(request, seed)))


@dataclass(frozen=True)
class Ends:
    """Where answers end: at a token of `stop`, at max_tokens, or with `longest` tokens, the prompt's included
    (None: no limit). Ids are below `vocab`.
    """

    stop: frozenset[int]
    vocab: int
    longest: int | None

    def check(self, request: Request) -> None:
        """ValueError for a prompt that the model cannot read."""
        if (highest := max(request.prompt, default=0)) >= self.vocab:
            raise ValueError(
                f"request {request.name}: id {highest} is none of the {self.vocab} that are tokens"
            )
        if self.longest is not None and len(request.prompt) >= self.longest:
            n = len(request.prompt)
            raise ValueError(f"request {request.name}: {n} tokens, of a model that reads {self.longest}")

    def take(self, rows: Sequence[Row], scores: Tensor) -> list[Row]:
        """Append its next token to each row that goes on, by scores [B, V]; returns those that end."""
        scores[:, self.vocab :] = -torch.inf
        ended = []
        for row, token in zip(rows, perturbed(scores, rows).argmax(-1).tolist(), strict=True):
            if not row.ended:
                row.ids.append(token)
                full = len(row.request.prompt) + len(row.ids) == self.longest
                row.ended = token in self.stop or full or len(row.ids) == row.request.sampling.max_tokens
                ended += [row] if row.ended else []
        return ended


def perturbed(scores: Tensor, rows: Sequence[Row]) -> Tensor:
    """Scores whose largest is the next token of each row: its draw where it samples. [B, V]"""
    alike: dict[Sampling, list[int]] = {}
    for i, row in enumerate(rows):
        if row.draws is not None and not row.ended:
            alike.setdefault(row.request.sampling, []).append(i)
    if not alike:
        return scores
    scores = scores.float()
    for sampling, members in alike.items():
        warm = scores[members] / sampling.temperature
        if sampling.top_p < 1.0:
            warm = TopPLogitsWarper(sampling.top_p)(None, warm)
        scores[members] = warm + _noise([rows[i] for i in members], warm)
    return scores


def _noise(rows: Sequence[Row], like: Tensor) -> Tensor:
    """Gumbel noise, row by row from its own generator: the n-th draw of a row is that of its n-th token."""
    noise = torch.empty_like(like)
    for row, drawn in zip(rows, noise, strict=True):
        drawn.exponential_(generator=row.draws)
    return noise.log_().neg_()
