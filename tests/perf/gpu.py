"""Steps of SFT and forward KD on one GPU: tokens a second, model FLOP/s and peak memory.

    python -m tests.perf.gpu --peak 989e12     the GPU's own bfloat16 FLOP/s, from its data sheet

A random student of 0.5 billion parameters in float32 under bfloat16 autocast, a random teacher of 7 billion
in bfloat16 that answers live, sequences of 1024 tokens of which half are the response. Writes
runs/perf/gpu.json, which `python -m tests.perf` puts on the page.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from harness import sequences
from harness.loop import set_up
from harness.models import training_flops
from harness.setting import Machine
from harness.store import Work
from tests.perf.ours import METHOD_FILE
from tests.perf.workloads import VOCABS
from tests.tiny_models import WORDS, tiny_tokenizer

LENGTH, BATCH, STEPS = 1024, 8, 6  # the first step warms up
SHAPES = {
    "student": {
        "hidden_size": 1024,
        "intermediate_size": 2816,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
    },
    "teacher": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    },
}
METHODS = {"SFT": (), "ForwardKD": ("teacher",)}  # the frozen models each asks


def prepare(at: Path, vocab: int) -> None:
    """Models and one step's sequences."""
    from transformers import LlamaConfig, LlamaForCausalLM

    words = [*WORDS[:5], *(f"w{n}" for n in range(vocab - 5))]
    for name, shape in SHAPES.items():
        config = LlamaConfig(vocab_size=vocab, tie_word_embeddings=True, dtype=torch.bfloat16, **shape)
        with torch.device("cuda"):
            LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(at / name)
        tiny_tokenizer(words).save_pretrained(at / name)
    half = LENGTH // 2
    rows = [torch.randint(5, vocab, (LENGTH,)).tolist() for _ in range(BATCH)]
    sequences.write(
        at / "chosen", (sequences.response(i, ids[:half], ids[half:]) for i, ids in enumerate(rows))
    )


def measured(at: Path, method: str, vocab: int, peak: float) -> dict[str, Any]:
    """The best of the timed steps."""
    inputs = {"start": at / "student", "view.chosen": at / "chosen"}
    inputs |= {f"live.{role}": at / role for role in METHODS[method]}
    settings = {"hp": {}, "seed": 0, "precision": "bf16", "teacher_dtype": "bfloat16", "training": {}}
    context = asdict(Machine(device="cuda")) | {"method": method, "method_file": METHOD_FILE}
    loop, optimizer = set_up(
        Work(settings, inputs, at, context),
        at / "student",
        lambda weights: torch.optim.AdamW(weights, lr=1e-5, fused=True),
    )
    torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(STEPS):
        torch.cuda.synchronize()
        began = time.perf_counter()
        loop.gradient(range(BATCH))
        loop.accelerator.clip_grad_norm_(loop.policy.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    tokens, best = BATCH * LENGTH, min(seconds[1:])
    flops = training_flops(loop.accelerator.unwrap_model(loop.policy).model, tokens, tokens // 2)
    return {
        "vocab": vocab,
        "method": method,
        "rate": tokens / best,
        "mfu": flops / best / peak,
        "peak": torch.cuda.max_memory_allocated(),
    }


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--peak", type=float, required=True, help="the GPU's bfloat16 FLOP/s without sparsity")
    ask.add_argument("--root", type=Path, default=Path("runs/perf"))
    given = ask.parse_args()
    told: dict[str, Any] = {"device": torch.cuda.get_device_name(), "measured": []}
    for vocab in VOCABS:
        at = given.root / f"gpu-{vocab}"
        if not (at / "chosen").exists():
            prepare(at, vocab)
        for method in METHODS:
            told["measured"].append(measured(at, method, vocab, given.peak))
            (given.root / "gpu.json").write_text(json.dumps(told, indent=1))
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
