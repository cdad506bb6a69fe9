"""The training step: any method, on accelerate.

Parameters, optimizer state and checkpoints are float32; bf16 is autocast only. Dropout never acts. The seed
alone fixes which examples form a step.

    checkpoints/1, 2, ... n    the model on the way, each a whole folder, where settings ask for `checkpoints`
    checkpoints.json           {"1": 26, "2": 52}: the optimizer step after which each was written
"""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from transformers import get_scheduler

from harness.examples import Examples, orders
from harness.loop import Loop, set_up, teacher_flops
from harness.models import load, load_tokenizer, parameters, save, share_moved
from harness.store import Work
from methods.api import Method, Training

PROBE = 32  # examples on which the terms are compared before and after
LOG_EVERY = 10  # optimizer steps
START_TOLERANCE = {"no": 1e-3, "bf16": 5e-2}  # of what must hold before the first step


def run(work: Work) -> dict[str, Any]:
    """The step: train the model of input `start`, and write it as a Hugging Face folder with metrics
    beside.
    """
    settings, start = work.settings, work.inputs["start"]
    training = Training(**settings["training"])

    def adamw(weights: Iterator[torch.nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(weights, lr=training.lr, weight_decay=training.weight_decay)

    loop, optimizer = set_up(work, start, adamw)
    probe = list(range(min(PROBE, len(loop.examples))))
    before, seen_before = loop.measure(probe)
    _check_start(loop.method, loop.hp, before, START_TOLERANCE[settings["precision"]])
    measured = _optimize(loop, optimizer, training, settings["seed"] + settings.get("round", 0), work)
    after, seen_after = loop.measure(probe)
    trained = loop.accelerator.unwrap_model(loop.policy).model
    if loop.accelerator.is_main_process:
        save(trained, load_tokenizer(start), work.out)
        moved = share_moved(trained, load(start).state_dict())
        summary = {
            "before": before,
            "after": after,
            "watched": {name: [seen_before[name], seen_after[name]] for name in seen_before},
            "moved": moved,
            "steps": measured["steps"],
        }
        (work.out / "training.json").write_text(json.dumps(summary))
        if count := settings.get("checkpoints", 0):
            at = {str(k): step for k, step in enumerate(marks(measured["steps"], count), 1)}
            (work.out / "checkpoints.json").write_text(json.dumps(at))
    return {**measured, "parameters": parameters(trained), "device": str(loop.accelerator.device)}


def _check_start(method: Method, hp: Any, terms: dict[str, float], tolerance: float) -> None:
    """ValueError where a value that must hold at the start does not."""
    expected = method.at_start(hp) if method.at_start else {}
    for name, value in expected.items():
        if not math.isclose(terms[name], value, rel_tol=tolerance, abs_tol=tolerance):
            raise ValueError(
                f"{method.name}: before the first step {name} is {terms[name]:.6f} and must be {value:.6f}; "
                "the reference's log-probs are not those of the model that training starts from"
            )


def _stream(loop: Loop, size: int, steps: int, seed: int) -> Iterator[tuple[Examples, list[int]]]:
    """The examples of each optimizer step; those of an online method are drawn on the way."""
    n = len(loop.examples)
    if loop.sampler is None:
        return ((loop.examples, step) for step in orders(n, size, steps, seed))
    drawn = math.ceil(steps / loop.sampler.recipe.passes)
    return islice(loop.sampler.buffers(loop.examples, orders(n, size, drawn, seed)), steps)


def marks(steps: int, checkpoints: int) -> list[int]:
    """The optimizer steps, 1 to `steps`, after which a checkpoint is kept: evenly spaced, the last one last.

    A half is rounded up, so no two fall on one step; more checkpoints than steps are a ValueError.
    """
    if checkpoints > steps:
        raise ValueError(f"checkpoints: {checkpoints}, of a training of {steps} optimizer steps")
    return [(2 * k * steps + checkpoints) // (2 * checkpoints) for k in range(1, checkpoints + 1)]


def _keep(loop: Loop, work: Work, name: str) -> None:
    """Write the model as it is now to the checkpoint's folder."""
    if loop.accelerator.is_main_process:
        model = loop.accelerator.unwrap_model(loop.policy).model
        save(model, load_tokenizer(work.inputs["start"]), work.out / "checkpoints" / name)


def _optimize(
    loop: Loop, optimizer: torch.optim.Optimizer, training: Training, seed: int, work: Work
) -> dict[str, Any]:
    """All optimizer steps; one line of metrics per LOG_EVERY of them. Returns what was processed."""
    n = len(loop.examples)
    size = min(training.batch_size, n)
    if size < loop.accelerator.num_processes:
        raise ValueError(
            f"a batch of {size} examples is less than {loop.accelerator.num_processes} processes"
        )
    steps = max(1, round(training.epochs * n / size))
    kept = {step: str(k) for k, step in enumerate(marks(steps, work.settings.get("checkpoints", 0)), 1)}
    schedule = get_scheduler(training.schedule, optimizer, round(training.warmup * steps), steps)
    seen = answered = padded = 0
    with (work.out / "metrics.jsonl").open("w") as metrics:
        for number, (examples, step) in enumerate(_stream(loop, size, steps, seed), 1):
            now = replace(loop, examples=examples)
            terms = now.gradient(step)
            norm = float(loop.accelerator.clip_grad_norm_(loop.policy.parameters(), training.max_grad_norm))
            if not math.isfinite(sum(terms.values()) + norm):
                raise ValueError(
                    f"{loop.method.name}: step {number}: loss {terms}, gradient norm {norm}; lower lr?"
                )
            rate = schedule.get_last_lr()[0]
            optimizer.step()
            schedule.step()
            if number in kept:
                _keep(loop, work, kept[number])
            optimizer.zero_grad()
            for part in now.parts(step):
                counts = examples.tokens(part).values()
                seen, answered = seen + sum(a for a, _ in counts), answered + sum(b for _, b in counts)
                padded += len(part) * examples.width * int(examples.lengths[part].max())
            if number % LOG_EVERY == 0 or number == steps:
                metrics.write(json.dumps({"step": number, "lr": rate, "grad_norm": norm, **terms}) + "\n")
    size_of = parameters(loop.accelerator.unwrap_model(loop.policy).model)
    sampler = loop.sampler
    return {
        "steps": steps,
        "batch_size": size,
        "examples": n,
        "identical": loop.examples.identical,
        "drawn": sampler.drawn if sampler else 0,
        "truncated": sampler.truncated if sampler else 0,
        "tokens": seen,
        "padding_share": 1 - seen / padded,
        "flops": 6 * (size_of["body"] * seen + size_of["head"] * answered)
        + (sampler.flops if sampler else 0),
        "teacher_flops": teacher_flops(loop),
    }
