"""The training loop: any method, on accelerate.

The loop owns the denominators: a loss divides by the counts of the whole optimizer step, so micro-batches and
processes add up to the same gradient. Parameters, optimizer state and checkpoints are float32; bf16 is
autocast only. Dropout never acts. The seed alone fixes which examples form a step.
"""

import json
import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor
from transformers import get_scheduler

from harness import examples as data
from harness.examples import Examples
from harness.extension import method_of
from harness.models import load, load_tokenizer, parameters, save, share_moved, vocabulary
from harness.policy import Policy, Scored
from harness.store import Work
from methods.api import Batch, Method, Terms, Training

PROBE = 32  # examples on which the terms are compared before and after
LOG_EVERY = 10  # optimizer steps
LOGIT_BYTES = 24  # per token and vocabulary entry that the backward pass keeps: some six float32 copies
START_TOLERANCE = {"no": 1e-3, "bf16": 5e-2}  # of what must hold before the first step


@dataclass(frozen=True)
class Loop:
    """A method on its examples, with the model it trains as accelerate wrapped it."""

    method: Method
    hp: Any
    policy: torch.nn.Module
    examples: Examples
    accelerator: Accelerator
    tokens: int  # padded positions of a micro-batch

    def parts(self, step: Sequence[int]) -> list[list[int]]:
        """This process's micro-batches of an optimizer step."""
        mine = step[self.accelerator.process_index :: self.accelerator.num_processes]
        return self.examples.micro_batches(mine, self.tokens)

    def score(self, part: Sequence[int], step: Sequence[int]) -> Batch:
        """The forward pass over one micro-batch."""
        scored: list[Scored] = self.policy(self.examples.inputs(part), self.hp)
        return self.examples.batch(part, scored, step)

    def loss(self, part: Sequence[int], step: Sequence[int], means: dict[str, Tensor]) -> Terms:
        """The loss terms of one micro-batch."""
        return self.method.loss(replace(self.score(part, step), step_means=means), self.hp)

    @torch.no_grad()
    def step_means(self, parts: Sequence[Sequence[int]], step: Sequence[int]) -> dict[str, Tensor]:
        """What the method's `step_stats` declares, over all micro-batches and processes of a step."""
        if self.method.step_stats is None:
            return {}
        found = [self.method.step_stats(self.score(part, step), self.hp) for part in parts]
        return {
            name: self.accelerator.reduce(torch.stack([f[name][0] for f in found]).sum())
            / self.accelerator.reduce(torch.stack([f[name][1] for f in found]).sum())
            for name in found[0]
        }

    def gradient(self, step: Sequence[int]) -> dict[str, float]:
        """Accumulate the gradient of one optimizer step; returns its terms over all processes."""
        total: dict[str, Tensor] = {}
        parts = self.parts(step)
        means = self.step_means(parts, step)
        for number, part in enumerate(parts, 1):
            last = number == len(parts)
            with nullcontext() if last else self.accelerator.no_sync(self.policy):
                terms = self.loss(part, step, means)
                # Gradients are averaged over processes; the loss divides by the whole step already.
                loss = torch.stack(list(terms.values())).sum() * self.accelerator.num_processes
                self.accelerator.backward(loss)
            for name, value in terms.items():
                total[name] = total.get(name, torch.zeros_like(value)) + value.detach()
        return {name: float(self.accelerator.reduce(value)) for name, value in total.items()}

    @torch.no_grad()
    def terms(self, step: Sequence[int]) -> dict[str, float]:
        """The terms of some examples, taken as one optimizer step."""
        parts = self.parts(step)
        means = self.step_means(parts, step)
        found = [self.loss(part, step, means) for part in parts]
        return {n: float(self.accelerator.reduce(torch.stack([f[n] for f in found]).sum())) for n in found[0]}


def run(work: Work) -> dict[str, Any]:
    """The step: train the model of input `start`, and write it as a Hugging Face folder with metrics
    beside.
    """
    settings, context = work.settings, work.context
    method = method_of(context["method"], context["method_file"])
    hp = type(method.hparams)(**settings["hp"])
    training = Training(**settings["training"])
    AcceleratorState._reset_state()  # one process runs many steps, each with a precision of its own
    accelerator = Accelerator(mixed_precision=settings["precision"], cpu=context["device"] == "cpu")
    tokenizer = load_tokenizer(work.inputs["start"])
    model = load(work.inputs["start"])
    vocab = vocabulary(tokenizer)
    recompute = context["tokens"] * vocab * LOGIT_BYTES > context["keep"]
    policy = Policy(model, vocab, context["chunk"], recompute)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=training.lr, weight_decay=training.weight_decay)
    policy, optimizer = accelerator.prepare(policy, optimizer)
    examples = data.load(method.needs(hp), work.inputs, accelerator.device)
    loop = Loop(method, hp, policy, examples, accelerator, context["tokens"])

    probe = list(range(min(PROBE, len(examples))))
    before = loop.terms(probe)
    _check_start(method, hp, before, START_TOLERANCE[settings["precision"]])
    measured = _optimize(loop, optimizer, training, settings["seed"], work)
    after = loop.terms(probe)
    if accelerator.is_main_process:
        trained = accelerator.unwrap_model(policy).model
        save(trained, tokenizer, work.out)
        moved = share_moved(trained, load(work.inputs["start"]).state_dict())
        summary = {"before": before, "after": after, "moved": moved, "steps": measured["steps"]}
        (work.out / "training.json").write_text(json.dumps(summary))
    return {**measured, "parameters": parameters(model), "device": str(accelerator.device)}


def _check_start(method: Method, hp: Any, terms: dict[str, float], tolerance: float) -> None:
    """ValueError where a value that must hold at the start does not."""
    expected = method.at_start(hp) if method.at_start else {}
    for name, value in expected.items():
        if not math.isclose(terms[name], value, abs_tol=tolerance):
            raise ValueError(
                f"{method.name}: before the first step {name} is {terms[name]:.6f} and must be {value:.6f}; "
                "the reference's log-probs are not those of the model that training starts from"
            )


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
    schedule = get_scheduler(training.schedule, optimizer, round(training.warmup * steps), steps)
    seen = answered = padded = 0
    with (work.out / "metrics.jsonl").open("w") as metrics:
        for number, step in enumerate(data.orders(n, size, steps, seed), 1):
            terms = loop.gradient(step)
            norm = float(loop.accelerator.clip_grad_norm_(loop.policy.parameters(), training.max_grad_norm))
            if not math.isfinite(sum(terms.values()) + norm):
                raise ValueError(
                    f"{loop.method.name}: step {number}: loss {terms}, gradient norm {norm}; lower lr?"
                )
            rate = schedule.get_last_lr()[0]
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            for part in loop.parts(step):
                counts = loop.examples.tokens(part).values()
                seen, answered = seen + sum(a for a, _ in counts), answered + sum(b for _, b in counts)
                padded += len(part) * len(loop.examples.views) * int(loop.examples.lengths[part].max())
            if number % LOG_EVERY == 0 or number == steps:
                metrics.write(json.dumps({"step": number, "lr": rate, "grad_norm": norm, **terms}) + "\n")
    size_of = parameters(loop.accelerator.unwrap_model(loop.policy).model)
    return {
        "steps": steps,
        "batch_size": size,
        "examples": n,
        "tokens": seen,
        "padding_share": 1 - seen / padded,
        "flops": 6 * (size_of["body"] * seen + size_of["head"] * answered),
    }
