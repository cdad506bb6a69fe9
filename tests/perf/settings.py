"""What each setting of training costs: processor time and peak memory of a DPO step, for docs/training.md.

    python -m tests.perf.settings [--repeats 5] [--only float32 bf16]

A random Llama (hidden 256, 4 layers, 32,000 words), 16 sequences of 64-256 tokens. Every setting has a
process of its own, whose peak is told; they take turns at one step each, and the fastest of each counts, in
seconds of the processor: what others do on the machine hardly shows.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

VOCAB, PAIRS = 32_000, 8
SETTINGS: dict[str, dict[str, Any]] = {
    "float32": {},
    "bf16": {"precision": "bf16"},
    "engine.checkpointing": {"checkpointing": True},
    "engine.fused": {"fused": True},
    "engine.compile": {"compile": True},
    "lora (r 16)": {"training": {"lr": 1e-5, "lora": {"r": 16, "alpha": 32, "targets": "all-linear"}}},
}


def prepared(folder: Path) -> dict[str, Path]:
    """A model, pairs of random tokens, and the reference's log-probs of them."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from harness.data import token_sequences
    from harness.signals import kinds, stored
    from tests.harness.models.tiny_models import WORDS, tiny_tokenizer

    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=4,
        num_attention_heads=4,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder / "model")
    tiny_tokenizer([*WORDS[:5], *(f"w{n}" for n in range(VOCAB - 5))]).save_pretrained(folder / "model")
    found = {"start": folder / "model"}
    for side in ("chosen", "rejected"):
        rows = []
        for row in range(PAIRS):
            prompt, answer = int(torch.randint(32, 65, ())), int(torch.randint(32, 193, ()))
            ids = torch.randint(0, VOCAB, (prompt + answer,)).tolist()
            rows.append(token_sequences.response(row, ids[:prompt], ids[prompt:]))
        token_sequences.write(folder / side, rows)
        out = folder / f"ref_{side}"
        out.mkdir()
        inputs = {"model": folder / "model", "sequences": folder / side}
        told = {"form": "logps", "dtype": "float32"}
        stored.run(kinds.SIGNALS.work(told, inputs, out, {"device": "cpu", "tokens": 4096}))
        found |= {f"view.{side}": folder / side, f"signal.{side}.ref": out}
    return found


def serve(folder: Path, name: str) -> None:
    """One optimizer step for every line on stdin; its processor time and the process's peak on stdout."""
    import torch

    from harness.train.costs import TRAIN
    from harness.train.loop import set_up

    given = json.loads((folder / "inputs.json").read_text())
    asked = SETTINGS[name]
    settings = {
        "formula": "methods.dpo.loss",
        "training": {"lr": 1e-5},
        "seed": 0,
        "precision": "no",
        "hp": {"beta": 0.1},
    }
    settings |= {key: value for key, value in asked.items() if key != "checkpointing"}
    context = {"device": "cpu", "tokens": 1024, "method": "DPO"}
    context |= {"method_file": None, "checkpointing": asked.get("checkpointing", False)}
    work = TRAIN.work(settings, {n: Path(p) for n, p in given.items()}, folder, context)

    def adamw(policy: Any, _: Any) -> torch.optim.Optimizer:
        moving = [w for w in policy.parameters() if w.requires_grad]
        return torch.optim.AdamW(moving, lr=1e-5, fused=asked.get("fused"))

    loop, optimizer = set_up(work, work.inputs.start, adamw)
    for _ in sys.stdin:
        began = time.process_time()
        loop.gradient(range(PAIRS))
        loop.accelerator.clip_grad_norm_(loop.policy.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # GiB
        print(json.dumps([time.process_time() - began, peak]), flush=True)


def measured(folder: Path, names: list[str], repeats: int) -> dict[str, tuple[float, float]]:
    """Setting -> processor seconds of its fastest step, and peak GiB of its process."""
    (folder / "inputs.json").write_text(json.dumps({n: str(p) for n, p in prepared(folder).items()}))
    workers = {
        name: subprocess.Popen(
            [sys.executable, "-m", "tests.perf.settings", "--serve", str(folder), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(repeats + 1):  # the first of each warms up
        for name, worker in workers.items():
            found[name].append(_asked(worker.stdin, worker.stdout))
    for worker in workers.values():
        worker.communicate()
    return {name: (min(s for s, _ in steps[1:]), steps[-1][1]) for name, steps in found.items()}


def _asked(stdin: IO[str] | None, stdout: IO[str] | None) -> tuple[float, float]:
    assert stdin and stdout
    stdin.write("\n")
    stdin.flush()
    seconds, peak = json.loads(stdout.readline())
    return seconds, peak


def main() -> None:
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--repeats", type=int, default=5)
    words.add_argument("--only", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    words.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.serve:
        serve(Path(given.serve[0]), given.serve[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), given.only, given.repeats)
    print("| setting | CPU-s a step | peak memory (GiB) |\n| --- | ---: | ---: |")
    for name, (seconds, peak) in found.items():
        print(f"| {name} | {seconds:.2f} | {peak:.2f} |")


if __name__ == "__main__":
    main()
