"""Answers to 256 prompts, by `harness.models.generation` and by transformers in batches of the same size."""

import time
from pathlib import Path
from typing import Any

import torch

from tests.perf import world

PROMPTS, BATCH, NEW, END = 256, 64, 64, 3


def run(at: Path, side: str) -> dict[str, Any]:
    """Seconds, and how many tokens were answered; greedy, the student of the world."""
    from harness.models.loading import load

    model = load(at / "student")
    every = world.pairs(at)
    prompts = [(every[i % len(every)][0] * 2)[: 32 + i % 33] for i in range(PROMPTS)]
    began, used = time.perf_counter(), time.process_time()
    answered = _ours(model, prompts) if side == "ours" else _transformers(model, prompts)
    taken = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}
    return taken | {"answered": answered}


def _ours(model: Any, prompts: list[list[int]]) -> int:
    from benchmarks.api import Sampling
    from harness.models.decoding.rows import Request
    from harness.models.generation import generate

    how = Sampling(temperature=0.0, max_tokens=NEW)
    requests = [Request(prompt, how, str(i)) for i, prompt in enumerate(prompts)]
    vocab = model.config.vocab_size
    return sum(len(a.ids) for a in generate(model, requests, [END], vocab=vocab, batch=BATCH, seed=0))


@torch.no_grad()
def _transformers(model: Any, prompts: list[list[int]]) -> int:
    answered = 0
    for first in range(0, len(prompts), BATCH):
        rows = prompts[first : first + BATCH]
        longest = max(map(len, rows))
        ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
        there = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        how = {"max_new_tokens": NEW, "do_sample": False, "eos_token_id": END, "pad_token_id": 0}
        for row in model.generate(ids, attention_mask=there, **how)[:, longest:].tolist():
            answered += row.index(END) + 1 if END in row else len(row)
    return answered
