"""Which checkpoint of a last stage is its result, and what a reward model says of responses.

train (checkpoints 1..n) -> rollouts of each on the held-out prompts -> rewards of each -> select
"""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.api import Sampling
from harness.common.text import slug
from harness.store.step import Part, Step
from methods.api import Training

if TYPE_CHECKING:
    from harness.plan.lineage import Lineage


def selected(lineage: "Lineage", trained: Step, training: Training) -> Step:
    """The checkpoint of a last stage that the suite's selection keeps; the last where it has none."""
    spec = lineage.setting.suite.selection
    if spec is None:
        return trained
    count = round(training.epochs / spec.every)
    if count < 1 or not math.isclose(count * spec.every, training.epochs):
        raise ValueError(
            f"selection.every: {spec.every} epochs do not divide the {training.epochs} of {trained.label}"
        )
    kept = replace(trained, settings={**trained.settings, "checkpoints": count})
    inputs: dict[str, Step | Part] = {"trained": kept}
    greedy, prompts = Sampling(0.0, 1.0, spec.max_tokens), Part(lineage.validation_pairs, "chosen")
    for n in range(1, count + 1):
        said = lineage.rollouts(Part(kept, f"checkpoints/{n}"), prompts, drop=False, sampling=greedy)
        inputs[f"rewards.{n}"] = rewards(lineage, spec.model, said, said.label, spec.dtype)
    label = f"selected {trained.label}"
    return Step("select", trained.slug, label, {"by": spec.by}, inputs, "harness.train.select_checkpoint:run")


def rewards(lineage: "Lineage", model: str, said: Step | Part, name: str, dtype: str = "float32") -> Step:
    """What a reward model says of responses to the held-out prompts."""
    inputs: dict[str, Step | Part] = {
        "model": lineage.setting.folder(model, "model"),
        "rollouts": said,
        "pairs": lineage.validation_pairs,
        "tokenizer": lineage.base("student"),
    }
    label, run, how = f"rewards of {name}", "harness.signals.reward_model:run", lineage.setting.how
    return Step("rewards", slug(name), label, {"dtype": dtype}, inputs, run, context=how)


def head_step(model: Step, dtype: str) -> Step:
    """The output head of a model, kept by itself."""
    settings, inputs = {"dtype": dtype}, {"model": model}
    label = f"head of {model.label}"
    return Step("head", slug(model.label), label, settings, inputs, "harness.signals.stored:run_head")
