"""Random models, pairs of random tokens, and what frozen models say of them: files that both sides read."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

BATCH, STEPS = 8, 3  # examples of an optimizer step; steps, of which the first warms up
PROMPT, TOTAL = (32, 64), (64, 256)  # tokens, both ends included
STUDENT = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
TEACHER = {"hidden_size": 512, "num_hidden_layers": 6, "num_attention_heads": 8, "intermediate_size": 2048}
SIDES = ("chosen", "rejected")


def folder(root: Path, vocab: int) -> Path:
    return root / f"world-{vocab}"


def make(at: Path, vocab: int) -> dict[str, float]:
    """Write the world, and say how many seconds each frozen model's pass over it took."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.tiny_models import WORDS, tiny_tokenizer

    words = [*WORDS[:5], *(f"w{n}" for n in range(vocab - 5))]
    for seed, (name, shape) in enumerate({"student": STUDENT, "teacher": TEACHER}.items()):
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=vocab, tie_word_embeddings=True, eos_token_id=3, pad_token_id=0, **shape
        )
        LlamaForCausalLM(config).save_pretrained(at / name)
        tiny_tokenizer(words).save_pretrained(at / name)
    _write_pairs(at, vocab)
    return {
        "ref": sum(_signal(at, f"ref.{side}", "student", side, "logps") for side in SIDES),
        "teacher": _signal(at, "teacher.chosen", "teacher", "chosen", "hidden"),
    }


def _write_pairs(at: Path, vocab: int) -> None:
    import torch

    from harness import sequences

    draw = torch.Generator().manual_seed(7)

    def integer(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=draw))

    pairs = []
    for _ in range(BATCH * STEPS):
        prompt = integer(*PROMPT)
        lengths = [prompt, *(max(integer(*TOTAL) - prompt, 16) for _ in SIDES)]
        pairs.append([torch.randint(5, vocab, (n,), generator=draw).tolist() for n in lengths])
    for i, side in enumerate(SIDES, 1):
        rows = (sequences.response(row, pair[0], pair[i]) for row, pair in enumerate(pairs))
        sequences.write(at / side, rows)
    (at / "pairs.json").write_text(json.dumps(pairs))


def _signal(at: Path, name: str, model: str, side: str, form: str) -> float:
    from harness import signals
    from harness.setting import Machine
    from harness.store import Work

    (at / name).mkdir()
    inputs = {"model": at / model, "sequences": at / side}
    began = time.perf_counter()
    signals.run(Work({"form": form, "dtype": "float32"}, inputs, at / name, asdict(Machine())))
    if form == "hidden":
        (at / f"head.{model}").mkdir()
        signals.run_head(Work({"dtype": "float32"}, inputs, at / f"head.{model}", asdict(Machine())))
    return time.perf_counter() - began


def pairs(at: Path) -> list[list[list[int]]]:
    """Prompt, chosen and rejected answer of each example, as token ids."""
    found: list[list[list[int]]] = json.loads((at / "pairs.json").read_text())
    return found


def counts(at: Path, sides: int) -> dict[str, int]:
    """Tokens of a timed step on average: all, with every prompt once, and of responses."""
    timed = pairs(at)[BATCH:]
    prompts = sum(len(pair[0]) for pair in timed)
    answers = sum(len(answer) for pair in timed for answer in pair[1 : 1 + sides])
    total: dict[str, Any] = {
        "tokens": sides * prompts + answers,
        "once": prompts + answers,
        "answers": answers,
    }
    return {name: n // (STEPS - 1) for name, n in total.items()}
