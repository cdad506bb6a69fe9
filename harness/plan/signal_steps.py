"""What models write and what frozen models say of it, as steps; and which checkpoint of a last stage is kept.

rollouts -> group -> probes        responses of one model, the most different of them, the teacher's choices
signals, head                      log-probs, top-k or hidden states of a frozen model
train (checkpoints 1..n) -> rollouts of each on the held-out prompts -> rewards of each -> select
"""

import math
from dataclasses import asdict, replace
from typing import Any

from benchmarks.api import Sampling
from harness.common.text import slug
from harness.plan.context import Setting
from harness.store.step import Part, Step
from methods.api import Group, Training


def rollouts(
    setting: Setting, model: Step | Part, prompts: Part, *, drop: bool, sampling: Sampling, samples: int = 1
) -> Step:
    """Responses of a model to each prompt of a set of sequences."""
    suite = setting.suite
    settings = {
        **asdict(sampling),
        "samples": samples,
        "drop_truncated": drop,
        "template": suite.chat_template,
        "seed": suite.world_seed,
    }
    inputs: dict[str, Step | Part] = {"model": model, "prompts": prompts}
    name = model.label if isinstance(model, Step) else f"{model.step.label} {model.folder}"
    label, run = f"rollouts of {name}", "harness.signals.rollouts:run"
    return Step("rollouts", slug(name), label, settings, inputs, run, 3, context=setting.how)


def diverse_responses(setting: Setting, start: Step, prompts: Part, group: Group) -> Step:
    """The most different of several responses of the model that a stage starts from."""
    sampling = Sampling(group.temperature, group.top_p, setting.suite.generation.max_tokens)
    sampled = rollouts(setting, start, prompts, drop=False, sampling=sampling, samples=group.samples)
    label, run = f"group of {start.label}", "harness.signals.diverse_responses:run"
    return Step("group", slug(label), label, {"keep": group.keep}, {"rollouts": sampled}, run)


def preference_probes(setting: Setting, teacher: Step, group: Step, pairs: Step) -> Step:
    """Which of a prompt's responses the teacher would choose."""
    suite = setting.suite
    settings = {
        **suite.probe.model_dump(mode="json"),
        "template": suite.chat_template,
        "dtype": suite.teacher_dtype,
    }
    inputs: dict[str, Step | Part] = {"model": teacher, "group": group, "pairs": pairs}
    label, run = f"probes of {teacher.label} on {group.label}", "harness.signals.preference_probes:run"
    return Step("probes", slug(label), label, settings, inputs, run, context=setting.how)


def signals(
    setting: Setting,
    model: Step,
    name: str,
    sequences: Step | Part,
    form: str,
    dtype: str = "float32",
    k: int | None = None,
    ids: Step | None = None,
) -> Step:
    """What a frozen model says of a set of sequences, in one of the forms of signals/stored.py."""
    settings: dict[str, Any] = {"form": form, "dtype": dtype} | ({"k": k} if k else {})
    inputs: dict[str, Step | Part] = {"model": model, "sequences": sequences}
    if ids:
        inputs["ids"] = ids
    label, run = f"{form} of {model.label} on {name}", "harness.signals.stored:run"
    return Step("signals", slug(label), label, settings, inputs, run, context=setting.how)


def head(model: Step, dtype: str) -> Step:
    """The output head of a model, kept by itself."""
    label, run = f"head of {model.label}", "harness.signals.stored:run_head"
    return Step("head", slug(model.label), label, {"dtype": dtype}, {"model": model}, run)


def rewards(
    setting: Setting,
    model: str,
    responses: Step | Part,
    name: str,
    pairs: Step,
    tokenizer: Step,
    dtype: str = "float32",
) -> Step:
    """What a reward model says of responses to the prompts of some pairs."""
    inputs: dict[str, Step | Part] = {
        "model": setting.folder(model, "model"),
        "rollouts": responses,
        "pairs": pairs,
        "tokenizer": tokenizer,
    }
    label, run = f"rewards of {name}", "harness.signals.reward_model:run"
    return Step("rewards", slug(name), label, {"dtype": dtype}, inputs, run, context=setting.how)


def selected(setting: Setting, trained: Step, training: Training, pairs: Step, tokenizer: Step) -> Step:
    """The checkpoint of a last stage that the suite's selection keeps, by answers to held-out prompts."""
    spec = setting.suite.selection
    assert spec, "a suite that selects"
    count = round(training.epochs / spec.every)
    if count < 1 or not math.isclose(count * spec.every, training.epochs):
        raise ValueError(
            f"selection.every: {spec.every} epochs do not divide the {training.epochs} of {trained.label}"
        )
    kept = replace(trained, settings={**trained.settings, "checkpoints": count})
    inputs: dict[str, Step | Part] = {"trained": kept}
    greedy, prompts = Sampling(0.0, 1.0, spec.max_tokens), Part(pairs, "chosen")
    for n in range(1, count + 1):
        said = rollouts(setting, Part(kept, f"checkpoints/{n}"), prompts, drop=False, sampling=greedy)
        inputs[f"rewards.{n}"] = rewards(setting, spec.model, said, said.label, pairs, tokenizer, spec.dtype)
    label = f"selected {trained.label}"
    return Step("select", trained.slug, label, {"by": spec.by}, inputs, "harness.train.select_checkpoint:run")
