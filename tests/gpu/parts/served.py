"""Answers of a real vLLM by way of our own steps: whether it takes what they send, and answers as ours do."""

import time
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.api import Sampling
from harness.endpoints.servers import Servers, ServerSpec, program_of
from harness.models.decoding.rows import Ends, Request
from harness.models.generation import generate
from harness.models.loading import load
from harness.signals import vllm
from tests.gpu import world
from tests.gpu.check import Absent, Check, Line
from tests.gpu.measure import device, emptied
from tests.gpu.parts.generation import VLLM_SHARE, drawn_prompts
from tests.perf.generation import END

LONGEST = 1024  # tokens of prompt and answer


def served(check: Check) -> Iterator[Line]:
    """Greedy answers, which may differ from ours where two tokens are nearly as likely; and twice the same
    samples.
    """
    try:
        program_of("vllm")
    except ValueError as absent:
        raise Absent(str(absent)) from absent
    folder, (prompts, most) = world.ready(check) / "student", drawn_prompts(check)
    for dtype in ("float32", "bfloat16"):
        greedy = [Request(ids, Sampling(0.0, 1.0, most), str(i)) for i, ids in enumerate(prompts)]
        ours = _ours(folder, dtype, greedy)
        emptied()
        extra = ("--gpu-memory-utilization", str(VLLM_SHARE), "--max-model-len", str(LONGEST))
        with Servers(check.folder / "logs") as servers:
            spec = ServerSpec("vllm", str(folder), dtype, extra=extra)
            ends, rows = Ends(frozenset({END}), world.vocab(check), None), len(prompts)
            server = vllm.started(servers, spec, ends, columns=world.vocab(check), batch=rows, seed=0)
            began = time.perf_counter()
            theirs = [answer.ids for _, answer in sorted(server.decoded(greedy))]
            taken, said = time.perf_counter() - began, sum(map(len, theirs))
            told = {"dtype": dtype, "version": server.version(), "rows": rows, "tokens": said}
            same = sum(a == b for a, b in zip(ours, theirs, strict=True))
            yield {**told, "tokens_s": said / taken, "same_as_ours": same}
            sampled = [request._replace(sampling=Sampling(0.7, 0.95, most)) for request in greedy]
            one, two = (sorted(server.decoded(sampled)) for _ in range(2))
            yield {**told, "sampled_twice_the_same": sum(a == b for a, b in zip(one, two, strict=True))}


def _ours(folder: Path, dtype: str, requests: list[Request]) -> list[list[int]]:
    model = load(folder, getattr(torch, dtype)).to(device())
    vocab = model.config.vocab_size
    return [a.ids for a in generate(model, requests, [END], vocab=vocab, batch=len(requests), seed=0)]
