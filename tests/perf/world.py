"""Random models, pairs of random tokens, and what frozen models say of them: files that both sides read."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.perf.scales import Scale, Shape
from tests.perf.workloads import WORKLOADS

SIDES = ("chosen", "rejected")
FORMS = {  # model and form of a frozen model
    "ref": ("student", "logps"),
    "teacher": ("teacher", "hidden"),
    "teacher_ref": ("teacher_ref", "hidden"),
}


def folder(root: Path, vocab: int) -> Path:
    return root / f"world-{vocab}"


def make(at: Path, vocab: int, scale: Scale) -> dict[str, float]:
    """Write the world, and say how many seconds each frozen model's passes over it took."""
    asked = sorted({folder for name in scale.workloads for folder in WORKLOADS[name].signals.values()})
    for seed, (name, (shape, dtype)) in enumerate(scale.models.items()):
        if name in {"student", *map(_of, asked)}:
            write_model(at / name, shape, dtype, vocab, scale.device, seed)
    _write_pairs(at, vocab, scale)
    took = dict.fromkeys(map(_of, asked), 0.0)
    for name in asked:
        took[_of(name)] += _said(at, name, scale)
    return took


def write_model(at: Path, shape: Shape, dtype: str, vocab: int, device: str, seed: int) -> None:
    """Write a random Llama, and a tokenizer of as many words."""
    import torch
    from transformers import LlamaForCausalLM

    from tests.harness.models.tiny_models import WORDS, tiny_tokenizer

    torch.manual_seed(seed)
    with torch.device(device):
        model = LlamaForCausalLM(_config(shape, vocab)).to(getattr(torch, dtype))
    model.save_pretrained(at)
    words = [*WORDS[:5], *(f"w{n}" for n in range(vocab - 5))]
    tiny_tokenizer(words).save_pretrained(at)


def _config(shape: Shape, vocab: int) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(vocab_size=vocab, tie_word_embeddings=True, eos_token_id=3, pad_token_id=0, **shape)


def _write_pairs(at: Path, vocab: int, scale: Scale) -> None:
    import torch

    from harness.data import token_sequences

    draw = torch.Generator().manual_seed(7)

    def integer(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=draw))

    pairs = []
    for _ in range(scale.batch * scale.steps):
        prompt = integer(*scale.prompt)
        lengths = [prompt, *(max(integer(*scale.total) - prompt, 16) for _ in SIDES)]
        pairs.append([torch.randint(5, vocab, (n,), generator=draw).tolist() for n in lengths])
    for i, side in enumerate(SIDES, 1):
        rows = (token_sequences.response(row, pair[0], pair[i]) for row, pair in enumerate(pairs))
        token_sequences.write(at / side, rows)
    (at / "pairs.json").write_text(json.dumps(pairs))


def _of(name: str) -> str:
    """The frozen model of a folder: of "teacher.chosen" the teacher, of "head.teacher" too."""
    return next(part for part in name.split(".") if part in FORMS)


def _said(at: Path, name: str, scale: Scale) -> float:
    """Write what a frozen model says of one side, or its head; seconds."""
    from harness.executors.options import Machine
    from harness.signals import kinds, output_head, stored

    (at / name).mkdir()
    model, form = FORMS[_of(name)]
    _, dtype = scale.models[model]
    inputs, context = {"model": at / model}, asdict(Machine(device=scale.device))
    began = time.perf_counter()
    if name.startswith("head."):
        output_head.run(kinds.HEAD.work({"dtype": dtype}, inputs, at / name, context))
    else:
        inputs["sequences"] = at / name.partition(".")[2]
        settings = {"form": form, "dtype": dtype}
        stored.run(kinds.SIGNALS.work(settings, inputs, at / name, context))
    return time.perf_counter() - began


def pairs(at: Path) -> list[list[list[int]]]:
    """Prompt, chosen and rejected answer of each example, as token ids."""
    found: list[list[list[int]]] = json.loads((at / "pairs.json").read_text())
    return found


def counts(at: Path, scale: Scale, sides: int) -> dict[str, int]:
    """Tokens of a timed step on average: all, with every prompt once, and of responses."""
    timed = pairs(at)[scale.batch :]
    prompts = sum(len(pair[0]) for pair in timed)
    answers = sum(len(answer) for pair in timed for answer in pair[1 : 1 + sides])
    total: dict[str, Any] = {
        "tokens": sides * prompts + answers,
        "once": prompts + answers,
        "answers": answers,
    }
    return {name: n // (scale.steps - 1) for name, n in total.items()}


def flops(at: Path, scale: Scale, sides: int, vocab: int) -> int:
    """Operations that a step's tokens ask of the student, every prompt once: 6 per parameter and token of the
    body and per response token of the head; attention's own products and the teacher's are left out.
    """
    import torch
    from transformers import LlamaForCausalLM

    from harness.models.loading import training_flops

    with torch.device("meta"):
        model = LlamaForCausalLM(_config(scale.student, vocab))
    n = counts(at, scale, sides)
    return training_flops(model, n["once"], n["answers"])
