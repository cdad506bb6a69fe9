"""The head alone: log-probs of 2048 positions with their gradients, ours, TRL's, and the bare products."""

from typing import Any

import torch

from tests.perf.limit import best, products

POSITIONS, WIDTH = 2048, 256


def run(side: str, vocab: int) -> dict[str, Any]:
    """Seconds of a forward and backward pass, and their loss; of `limit` the three products alone."""
    if side == "limit":
        return products(POSITIONS, WIDTH, vocab)
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(POSITIONS, WIDTH, generator=draw).requires_grad_()
    weight = (0.02 * torch.randn(vocab, WIDTH, generator=draw)).requires_grad_()
    tokens = torch.randint(vocab, (POSITIONS,), generator=draw)
    losses = []

    def step() -> None:
        hidden.grad = weight.grad = None
        loss = -_logps(side, hidden, weight, tokens).mean()
        loss.backward()
        losses.append(float(loss.detach()))

    return best(step) | {"losses": losses[-1:]}


def _logps(side: str, hidden: torch.Tensor, weight: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    if side == "trl":
        from trl.kernels.chunked_logprob import ChunkedLogProbFunction
        from trl.trainer.utils import _CHUNKED_LOGPROB_CHUNK_SIZE

        size = _CHUNKED_LOGPROB_CHUNK_SIZE
        said: torch.Tensor = ChunkedLogProbFunction.apply(
            hidden, weight, None, tokens, 1.0, size, None, 1.0, ()
        )[0]
        return said
    if side == "plain":
        return -torch.nn.functional.cross_entropy(hidden @ weight.T, tokens, reduction="none")
    from harness.models.memory import memory_budget
    from methods.kernels.token_statistics import Head, token_statistics

    head = Head(weight, None, len(weight))
    return token_statistics(hidden, head, tokens, (), {}, None, memory_budget(side, hidden.device))[0]
