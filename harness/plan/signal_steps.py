"""What models write and what frozen models say of it, as steps; and which checkpoint of a last stage is kept.

rollouts -> group -> probes        responses of one model, the most different of them, the teacher's choices
signals, head                      log-probs, top-k or hidden states of a frozen model
train (checkpoints 1..n) -> rollouts of each on the held-out prompts -> rewards of each -> select
"""

import math
from dataclasses import replace

from benchmarks.api import Sampling
from harness.plan.context import PlanContext, TrainStep
from harness.signals.diverse_responses import GROUP
from harness.signals.kinds import HEAD, PROBES, REWARDS, SIGNALS, SignalInputs, SignalSettings
from harness.signals.rollouts import ROLLOUTS, RolloutInputs, RolloutSettings
from harness.store.step import Part, Source, Step
from harness.suite.schema import Suite
from harness.train.select_checkpoint import SELECT
from methods.api import Group, Needs, Training
from methods.batch import Role

MOST_CHECKPOINTS = 1_000  # of a last stage; each has answers and rewards of its own
SignalStep = Step[SignalSettings, SignalInputs[Source]]


def rollouts(
    setting: PlanContext,
    model: Source,
    prompts: Part,
    *,
    drop: bool,
    sampling: Sampling,
    seed: int,
    samples: int = 1,
) -> Step[RolloutSettings, RolloutInputs[Source]]:
    """Responses of a model to each prompt of a set of sequences."""
    suite = setting.suite
    # Greedy responses depend on no seed: a model that several worlds share answers once for all of them.
    drawn = seed if sampling.temperature else setting.first_world(model, seed)
    settings = ROLLOUTS.settings(
        sampling, samples, drop, suite.chat_template, drawn, suite.generation.decoder
    )
    # A checkpoint on the way is a part of a training step, and named by where it lies in it.
    name = model.label if isinstance(model, Step) else f"{model.step.label} {model.folder}"
    inputs = ROLLOUTS.inputs(model, prompts)
    return ROLLOUTS.step(f"rollouts of {name}", settings, inputs, setting.answering, name=name)


def diverse_responses(setting: PlanContext, start: Step, prompts: Part, group: Group, seed: int) -> Step:
    """The most different of several responses of the model that a stage starts from."""
    sampling = Sampling(group.temperature, group.top_p, setting.suite.generation.max_tokens)
    # Nothing is dropped here: a prompt is left out only where too few of its responses differ.
    sampled = rollouts(
        setting, start, prompts, drop=False, sampling=sampling, seed=seed, samples=group.samples
    )
    return GROUP.step(f"group of {start.label}", GROUP.settings(group.keep), GROUP.inputs(sampled))


def preference_probes(setting: PlanContext, teacher: Step, group: Step, pairs: Step) -> Step:
    """Which of a prompt's responses the teacher would choose."""
    suite, probe = setting.suite, setting.suite.probe
    settings = PROBES.settings(
        probe.question, probe.options, probe.max_tokens, suite.chat_template, suite.teacher_dtype
    )
    label = f"probes of {teacher.label} on {group.label}"
    return PROBES.step(label, settings, PROBES.inputs(teacher, group, pairs), setting.runtime)


def form(suite: Suite, role: Role, dense: bool, needs: Needs) -> SignalSettings:
    """What is stored of a role's signals: whole distributions where a statistic reads them."""
    # The reference is where the policy starts, and must say the very same at the first step (`at_start`).
    dtype = "float32" if role == "ref" else suite.teacher_dtype
    if not dense:
        return SignalSettings("logps", dtype)
    if needs.support == "full":
        return SignalSettings("hidden", dtype)
    return SignalSettings("topk", dtype, needs.support)


def signals(
    setting: PlanContext,
    model: Step,
    name: str,
    sequences: Source,
    settings: SignalSettings,
    ids: Step | None = None,
) -> SignalStep:
    """What a frozen model says of a set of sequences, which `name` names."""
    inputs = SIGNALS.inputs(model, sequences, ids)
    return SIGNALS.step(f"{settings.form} of {model.label} on {name}", settings, inputs, setting.runtime)


def head(model: Step, dtype: str) -> Step:
    """The output head of a model, kept by itself."""
    return HEAD.step(f"head of {model.label}", HEAD.settings(dtype), HEAD.inputs(model), name=model.label)


def rewards(
    setting: PlanContext,
    model: Step,
    responses: Source,
    name: str,
    pairs: Step,
    tokenizer: Step,
    dtype: str,
) -> Step:
    """What a reward model says of responses to the prompts of some pairs."""
    inputs = REWARDS.inputs(model, responses, pairs, tokenizer)
    return REWARDS.step(f"rewards of {name}", REWARDS.settings(dtype), inputs, setting.runtime, name=name)


def selected(
    setting: PlanContext, trained: TrainStep, training: Training, pairs: Step, tokenizer: Step, seed: int
) -> Step:
    """The checkpoint of a last stage that the suite's selection keeps, by answers to held-out prompts."""
    spec = setting.suite.selection
    assert spec, "a suite that selects"
    count = round(training.epochs / spec.every)
    # Epochs are floats: 3 / 0.5 must count as 6, 3 / 0.7 as none.
    if count < 1 or not math.isclose(count * spec.every, training.epochs):
        raise ValueError(
            f"selection.every: {spec.every} epochs do not divide the {training.epochs} of {trained.label}"
        )
    if count > MOST_CHECKPOINTS:
        raise ValueError(
            f"selection.every: {spec.every} epochs make {count:,} checkpoints of {trained.label}, each with "
            f"answers of its own; {MOST_CHECKPOINTS:,} at most"
        )
    # The same training without checkpoints has another id: its folder holds other files.
    stage = replace(trained, settings=replace(trained.settings, checkpoints=count))
    greedy, prompts = Sampling(0.0, 1.0, spec.max_tokens), Part(pairs, "chosen")
    scored: dict[str, Source] = {}
    model = setting.model(spec.model, "selection.model")
    for n in range(1, count + 1):
        checkpoint = Part(stage, f"checkpoints/{n}")
        answers = rollouts(setting, checkpoint, prompts, drop=False, sampling=greedy, seed=seed)
        scored[str(n)] = rewards(setting, model, answers, answers.label, pairs, tokenizer, spec.dtype)
    inputs = SELECT.inputs(stage, scored)
    return SELECT.step(f"selected {trained.label}", SELECT.settings(spec.by), inputs, name=trained.label)
