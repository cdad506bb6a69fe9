"""The training step: any method, on accelerate.

Parameters, optimizer state and checkpoints are float32; bf16 is autocast only. Dropout never acts. The seed
alone fixes which examples form a step.

    checkpoints/1, 2, ... n    the model on the way, each a whole folder, where settings ask for `checkpoints`
    checkpoints.json           {"1": 26, "2": 52}: the optimizer step after which each was written
    objective.json             {"before": {"dpo": 0.69}, "after": {"dpo": 0.61}, "watched": {}}
"""

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.common import shutdown
from harness.common.tokenizer import load_tokenizer
from harness.common.underway import news
from harness.models import lora
from harness.models.loading import Model, load, parameters, save, share_moved, training_flops
from harness.models.policy import Policy
from harness.store.integrity import checksums
from harness.train import launcher
from harness.train.accelerate_setup import deterministic, optimizer_of, overflowed, step_of, weights_of
from harness.train.checkpoints import Checkpoints, Progress, publish
from harness.train.costs import PROBE, batch_and_steps
from harness.train.examples import Examples, TrainWork
from harness.train.loop import Loop, set_up, teacher_flops
from harness.train.micro_batches.order import orders
from harness.train.optimizing import health, value_head
from harness.train.optimizing.health import Moment
from harness.train.optimizing.on_the_way import Told
from methods.api import Online, Training

LOG_EVERY = 10  # optimizer steps
STEPS = "optimizer step"  # as it is told
START_TOLERANCE = {"no": 1e-3, "fp16": 1e-2, "bf16": 5e-2}  # of what must hold before the first step


def run(work: TrainWork) -> dict[str, Any]:
    """The step: train the model of input `start`, and write it as a Hugging Face folder with metrics
    beside.
    """
    # Several processes are the launcher's: this one waits for them and reads what they measured.
    if launcher.needs_launcher(work.context):
        return launcher.run(work)
    with deterministic(bool(work.context.get("deterministic"))):
        return _trained(work)


def _trained(work: TrainWork) -> dict[str, Any]:
    settings, start = work.settings, work.inputs.start
    training = settings.training
    assert training, "of a training step"

    def optimized(policy: Policy, recipe: Online | None) -> torch.optim.Optimizer:
        foreach, moving = work.context.get("foreach", True), value_head.groups(policy, recipe)
        return optimizer_of(training, moving, fused=settings.fused, foreach=foreach)

    loop, optimizer = set_up(work, start, optimized)
    # The first examples, not random ones: two methods on one data set are probed on the same prompts.
    probe = list(range(min(PROBE, len(loop.examples))))
    news.count(
        STEPS, batch_and_steps(settings, len(loop.examples))[1]
    )  # what an online method draws is inside
    terms_before, watched_before = loop.measure(probe)
    health.check_probe(work, terms_before, "before the first step")
    # Where the policy is its own reference the loss is known; another value means a wrong reference.
    _check_start(loop, probe, terms_before, START_TOLERANCE[settings.precision])
    measured = _optimize(loop, optimizer, training, settings.seed + settings.round, work)
    terms_after, watched_after = loop.measure(probe)
    health.check_probe(work, terms_after, f"behind step {measured['steps']}, the last,")
    health.check_names(work, "terms of its loss", terms_before, terms_after)
    health.check_names(work, "means of its watch", watched_before, watched_after)
    trained, weights = _model(loop), _weights(loop)
    if loop.accelerator.is_main_process:
        save(trained, load_tokenizer(start), work.out, weights)
        summary = {
            "before": terms_before,
            "after": terms_after,
            "watched": {name: [watched_before[name], watched_after[name]] for name in watched_before},
            "moved": share_moved(weights, load(start)),
            "steps": measured["steps"],
        }
        (work.out / "training.json").write_text(json.dumps(summary))
        if count := settings.checkpoints:
            step_of = {str(k): step for k, step in enumerate(marks(measured["steps"], count), 1)}
            (work.out / "checkpoints.json").write_text(json.dumps(step_of))
            # Moved, not copied: they may be as large as all else together.
            shutil.move(_models(work), work.out / "checkpoints")
    moving = sum(p.numel() for p in trained.parameters() if p.requires_grad)
    return {
        **measured,
        "halved": loop.room.halved + (loop.sampler.limit.halved if loop.sampler else 0),
        "parameters": {**parameters(trained), "trained": moving},
        "device": str(loop.accelerator.device),
        "processes": loop.accelerator.num_processes,
    }


def run_objective(work: TrainWork) -> dict[str, Any]:
    """The step that measures a method's own objective on held-out prompts: its terms over all of them, as of
    one optimizer step, under the model its last stage started from and under its result.
    """
    with deterministic(bool(work.context.get("deterministic"))):
        return _objective(work)


def _objective(work: TrainWork) -> dict[str, Any]:
    assert work.inputs.after
    loop, _ = set_up(work, work.inputs.start)
    all_examples = range(len(loop.examples))
    terms_before, watched_before = loop.measure(all_examples)
    halved = loop.room.halved
    loop, _ = set_up(work, work.inputs.after)
    terms_after, watched_after = loop.measure(all_examples)
    watched = {name: [watched_before[name], watched_after[name]] for name in watched_before}
    objective = {"before": terms_before, "after": terms_after, "watched": watched}
    (work.out / "objective.json").write_text(json.dumps(objective))
    halved += loop.room.halved
    return {"examples": len(all_examples), "identical": loop.examples.identical, "halved": halved}


def _check_start(loop: Loop, probe: Sequence[int], terms: dict[str, float], tolerance: float) -> None:
    """ValueError where a value that must hold of the probe at the start does not."""
    method = loop.method
    expected = dict(method.at_start(loop.hp)) if method.at_start else {}
    expected |= {name: float(x) for name, x in loop.means_of(method.start_stats, probe).items()}
    for name, value in expected.items():
        if not math.isclose(terms[name], value, rel_tol=tolerance, abs_tol=tolerance):
            raise ValueError(
                f"{method.name}: before the first step {name} is {terms[name]:.6f} and must be {value:.6f}; "
                "the reference's log-probs are not those of the model that training starts from"
            )


def _between(loop: Loop) -> int:
    """Optimizer steps from one buffer to the next; 1 where there are none."""
    return loop.sampler.recipe.batches * loop.sampler.recipe.passes if loop.sampler else 1


def _stream(loop: Loop, size: int, steps: int, seed: int, start: int) -> Iterator[tuple[Examples, list[int]]]:
    """The examples of each optimizer step from `start` on; those of an online method are drawn on the
    way.
    """
    n = len(loop.examples)
    if loop.sampler is None:
        remaining = islice(orders(n, size, steps, seed), start, None)
        return ((loop.examples, step) for step in loop.read_ahead(remaining))
    recipe, number = loop.sampler.recipe, start // _between(loop)
    order = orders(n, size, steps // recipe.passes, seed)
    # A resumed training goes on behind the buffers that were drawn before it was killed.
    remaining = islice(order, number * recipe.batches, None)
    return islice(loop.sampler.buffers(loop.examples, remaining, number), steps - start)


def marks(steps: int, checkpoints: int) -> list[int]:
    """The optimizer steps, 1 to `steps`, after which a checkpoint is kept: evenly spaced, the last one last.

    A half is rounded up, so no two fall on one step; more checkpoints than steps are a ValueError.
    """
    if checkpoints > steps:
        raise ValueError(f"checkpoints: {checkpoints}, of a training of {steps} optimizer steps")
    return [(2 * k * steps + checkpoints) // (2 * checkpoints) for k in range(1, checkpoints + 1)]


def _model(loop: Loop) -> Model:
    return loop.accelerator.unwrap_model(loop.policy).model


def _weights(loop: Loop) -> dict[str, Tensor]:
    """The whole weights of the model as it is now, with adapters merged in. All processes take part."""
    return lora.merged(_model(loop), weights_of(loop.accelerator, loop.policy))


def _models(work: TrainWork) -> Path:
    """Where the models of the way stand until the training is done."""
    return (work.kept or work.out) / "models"


def _keep(loop: Loop, work: TrainWork, name: str) -> dict[str, dict[str, str]]:
    """Write the model as it is now to the checkpoint's folder; the main process returns its checksums."""
    weights, known = _weights(loop), dict[str, dict[str, str]]()
    if loop.accelerator.is_main_process:
        new = _models(work) / "writing"
        shutil.rmtree(new, ignore_errors=True)
        save(_model(loop), load_tokenizer(work.inputs.start), new, weights)
        known[name] = checksums(new)
        publish(new, _models(work) / name)
    return known


def _optimize(
    loop: Loop, optimizer: torch.optim.Optimizer, training: Training, seed: int, work: TrainWork
) -> dict[str, Any]:
    """All optimizer steps; one line of metrics per LOG_EVERY of them. Returns what was processed."""
    n = len(loop.examples)
    size, steps = batch_and_steps(work.settings, n)
    checkpoint_names = {step: str(k) for k, step in enumerate(marks(steps, work.settings.checkpoints), 1)}
    recipe = loop.examples.needs.online
    schedule = value_head.schedule(training, recipe, optimizer, steps)
    with shutdown.deferred():
        checkpoints = Checkpoints(work, loop, schedule, optimizer, _between(loop))
        progress = checkpoints.progress
        counted = news.count(STEPS, steps, progress.step, progress.tokens)
        for examples, step in _stream(loop, size, steps, seed, progress.step):
            share = progress.step / steps
            progress.step += 1
            logged = progress.step % LOG_EVERY == 0 or progress.step == steps
            current = replace(loop, examples=examples, progress=share, told=Told(wanted=logged))
            terms = current.gradient(step)
            if progress.step <= value_head.steps_alone(recipe, steps):
                value_head.drop_gradient(loop.accelerator.unwrap_model(loop.policy))
            norm = value_head.clipped(loop.accelerator, loop.policy, training.max_grad_norm)
            overflow = overflowed(norm, loop.accelerator.scaler)
            progress.skipped += overflow
            rate = float(schedule.get_last_lr()[0])  # a tensor of an optimizer in 8 bits
            moment = Moment(progress.step, terms, norm, rate)
            health.check(work, moment, steps, progress.metrics, overflowed=overflow)
            progress.note_norm(0.0 if overflow else norm)
            step_of(optimizer, training, loop.accelerator.device)
            schedule.step()
            # Before the gradient is dropped and after the weights moved: the model of this very step.
            if progress.step in checkpoint_names:
                checkpoints.models |= _keep(loop, work, checkpoint_names[progress.step])
            optimizer.zero_grad()
            progress.count(current, step)
            counted.at(progress.step, f"loss {sum(terms.values()):.4g}", progress.tokens)
            if logged:
                told = current.told.means(loop.accelerator)
                checkpoints.log(replace(moment, told=told).line + "\n")
            checkpoints.after_step(last=progress.step == steps)
    return {"steps": steps, "batch_size": size, "examples": n, **_processed(loop, progress)}


def _processed(loop: Loop, progress: Progress) -> dict[str, Any]:
    flops = training_flops(_model(loop), progress.tokens, progress.answered)
    sampler = loop.sampler
    return {
        "identical": loop.examples.identical,
        "drawn": sampler.drawn if sampler else 0,
        "truncated": sampler.truncated if sampler else 0,
        "tokens": progress.tokens,
        "padding_share": progress.padding / progress.positions,
        "positions": progress.positions,
        "padded_positions": progress.padded,
        "sharing": f"padded: {loop.unshared}" if loop.unshared else "shared",
        "skipped": progress.skipped,
        "grad_norm": {"largest": progress.largest_norm, "step": progress.largest_at},
        "flops": flops + (sampler.flops if sampler else 0),
        "teacher_flops": teacher_flops(loop),
    }
