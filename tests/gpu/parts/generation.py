"""Answers of the student: tokens a second, what sampling adds to a token, and vLLM's beside them."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec

import torch

from benchmarks.api import Sampling
from harness.models.decoding.rows import Request
from harness.models.generation import generate
from harness.models.loading import load
from tests.gpu import world
from tests.gpu.check import Absent, Check, Line
from tests.gpu.measure import device, emptied, memory
from tests.perf.clock import synchronize
from tests.perf.generation import END

PROMPTS, LENGTHS, MOST = 128, (64, 700), 128  # how many, their tokens, and tokens of an answer
SMALL_PROMPTS, SMALL_LENGTHS, SMALL_MOST = 8, (8, 20), 8
SAMPLED = 8  # one part in so many of the tokens, since noise may be slow
VLLM_SHARE = 0.8  # of the memory, for vLLM's weights and cache
VLLM = """
import json, sys, time
from vllm import LLM, SamplingParams
asked = json.loads(sys.argv[1])
model = LLM(asked["model"], dtype=asked["dtype"], gpu_memory_utilization=asked["share"], max_model_len=1024)
how = SamplingParams(temperature=0.0, max_tokens=asked["most"], ignore_eos=True)
prompts = [{"prompt_token_ids": ids} for ids in asked["prompts"]]
model.generate(prompts[:8], how, use_tqdm=False)
began = time.perf_counter()
answers = model.generate(prompts, how, use_tqdm=False)
taken = time.perf_counter() - began
print(json.dumps({"seconds": taken, "tokens": sum(len(a.outputs[0].token_ids) for a in answers)}))
"""


def generation(check: Check) -> Iterator[Line]:
    """Greedy and sampled, in both dtypes; and how many greedy answers are the same in smaller batches."""
    at, (prompts, most) = world.ready(check), drawn_prompts(check)
    for dtype in (torch.float32, torch.bfloat16):
        emptied()
        model = load(at / "student", dtype).to(device())
        # With a warm GPU, and where the model's cache has been tried.
        _answered(model, prompts[:2], Sampling(0.0, 1.0, 2), batch=2)
        pace = {}
        for temperature in (0.0, 0.7):
            tokens = most if temperature == 0 else max(2, most // SAMPLED)
            how = Sampling(temperature, 1.0, tokens)
            synchronize()
            began = time.perf_counter()
            answers = _answered(model, prompts, how, batch=len(prompts))
            taken, said = time.perf_counter() - began, sum(map(len, answers))
            pace[temperature] = taken / max(map(len, answers))
            told = {"dtype": str(dtype), "temperature": temperature, "rows": len(prompts), "tokens": said}
            yield {**told, "tokens_s": said / taken, "step_ms": 1e3 * pace[temperature], **memory()}
        # Prompts are read once for fewer sampled tokens, so that this is the most that noise can take.
        yield {"dtype": str(dtype), "noise_ms_a_step_at_most": 1e3 * (pace[0.7] - pace[0.0])}
        how = Sampling(0.0, 1.0, min(most, 32))
        whole, parts = (_answered(model, prompts, how, batch=n) for n in (len(prompts), len(prompts) // 3))
        same = sum(a == b for a, b in zip(whole, parts, strict=True))
        yield {"dtype": str(dtype), "same_in_smaller_batches": same, "of": len(prompts)}
        del model


def vllm(check: Check) -> Iterator[Line]:
    """The same greedy answers by vLLM, in a process of its own."""
    if not find_spec("vllm"):
        raise Absent("vllm is not installed")
    at, (prompts, most) = world.ready(check), drawn_prompts(check)
    for dtype in ("float32", "bfloat16"):
        asked = {"model": str(at / "student"), "dtype": dtype, "share": VLLM_SHARE}
        asked |= {"most": most, "prompts": prompts}
        command = [sys.executable, "-c", VLLM, json.dumps(asked)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        said = json.loads(done.stdout.splitlines()[-1])
        yield {"dtype": dtype, "rows": len(prompts), **said, "tokens_s": said["tokens"] / said["seconds"]}


def drawn_prompts(check: Check) -> tuple[list[list[int]], int]:
    """Prompts of random tokens, and how many tokens an answer may have."""
    draw, words = random.Random(0), world.vocab(check)
    n, lengths = (SMALL_PROMPTS, SMALL_LENGTHS) if check.small else (PROMPTS, LENGTHS)
    prompts = [[draw.randrange(5, words) for _ in range(draw.randint(*lengths))] for _ in range(n)]
    return prompts, SMALL_MOST if check.small else MOST


def _answered(model: torch.nn.Module, prompts: list[list[int]], how: Sampling, batch: int) -> list[list[int]]:
    requests = [Request(prompt, how, str(i)) for i, prompt in enumerate(prompts)]
    vocab = model.config.vocab_size
    return [a.ids for a in generate(model, requests, [END], vocab=vocab, batch=batch, seed=0)]
