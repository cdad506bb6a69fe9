"""The kinds of step that train, and what they take: the operations that the record counts, and the memory of
the largest moment.

They stand here and not beside the functions in train/step.py, whose libraries a plan is made without.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, TypeGuard

from harness.common.cost import Cost, ModelSize, TextSize, training_flops
from harness.signals.diverse_responses import GROUP
from harness.signals.rollouts import LONGEST, ROLLOUTS, RolloutSettings
from harness.store.step import Ref, Sizes, Source, Step, StepKind
from harness.store.step_record import FLATTENED, optional, several
from harness.suite.method_file import method_of
from harness.train.placing.memory import Run, peak, states
from methods.api import Method, Needs, Training

PROBE = 32  # examples on which the terms are compared before and after


@dataclass(frozen=True)
class OnlineSettings:
    """How the policy answers while it trains; passes: how many optimizer steps learn from each answer."""

    max_tokens: int
    template: str | None
    passes: int = optional(1)


@dataclass(frozen=True)
class TrainSettings:
    """What decides the numbers of a method's loss and of its training, beside the inputs.

    file: the hash of a method's own file; training: None where only the loss is measured; round: of several,
    from 0; checkpoints: models that are kept on the way.
    """

    formula: str
    hp: Mapping[str, Any]
    seed: int
    precision: Literal["no", "bf16", "fp16"]
    online: OnlineSettings | None = field(metadata=FLATTENED)
    teacher_dtype: str | None = optional()
    file: str | None = optional()
    training: Training | None = optional()
    compile: bool = optional(False)
    fused: bool = optional(False)
    round: int = optional(0)
    checkpoints: int = optional(0)


@dataclass(frozen=True)
class TrainInputs(Generic[Ref]):
    """start: the model that is trained; views, by name, with scores and signals of frozen models, by view and
    role; heads of these models, or the models themselves (live), by role; after: what a finished stage made.
    """

    start: Ref
    views: Mapping[str, Ref] = several("view")
    scores: Mapping[tuple[str, str], Ref] = several("scores", 2)
    signals: Mapping[tuple[str, str], Ref] = several("signal", 2)
    heads: Mapping[str, Ref] = several("head")
    live: Mapping[str, Ref] = several("live")
    after: Ref | None = None


TrainStep = Step[TrainSettings, TrainInputs[Source]]


class Shape(NamedTuple):
    """The examples of a training step: how many, sequences of one, tokens and response tokens of one."""

    examples: int
    width: int
    tokens: float
    answered: float
    drawn: TextSize | None  # the policy's own responses to every prompt, where it writes some
    notes: tuple[str, ...]


def batch_and_steps(settings: TrainSettings, examples: int) -> tuple[int, int]:
    """The batch size, which cannot be larger than the set, and the number of optimizer steps: epochs count
    prompts, so passes over what was drawn add to them.
    """
    training, passes = settings.training, settings.online.passes if settings.online else 1
    assert training, "of a training step"
    size = min(training.batch_size, examples)
    return size, passes * max(1, round(training.epochs * examples / size))


def train_cost(step: TrainStep, sizes: Sizes) -> Cost:
    """Operations as train/step.py records them, those of a live teacher and of the policy's own rollouts
    with them; disk: the model in float32, and each checkpoint.
    """
    model, method = sizes.model(step.inputs.start), _method(step)
    needs = _needs(step, method)
    shape, training = shape_of(step, needs, sizes), step.settings.training
    assert training, "of a training step"
    size, steps = batch_and_steps(step.settings, shape.examples)
    tokens_read, answered = steps * size * shape.tokens, steps * size * shape.answered
    online, text = step.settings.online, shape.drawn
    drawn = steps // online.passes * size if online else 0  # each prompt once an epoch
    sampled = (
        (drawn * text.tokens / text.sequences, drawn * text.answered / text.sequences) if text else (0.0, 0.0)
    )
    teachers = [sizes.model(source) for source in step.inputs.live.values()]
    beside = sum(_weights(t, step) for t in teachers)
    teacher_flops = sum(t.forward_flops(tokens_read, answered) for t in teachers)
    flops = training_flops(model.body, model.head, tokens_read, answered)
    flops += model.forward_flops(*sampled) + teacher_flops
    run = run_of(step, shape.width, sizes)
    again = model.body * 2 * tokens_read if run.recomputed else 0.0
    micro = max(1, math.ceil(size * shape.tokens / run.positions / run.devices))
    # The probe is answered before and after.
    longest, answers = (online.max_tokens, drawn + 2 * min(PROBE, shape.examples)) if online else (0, 0)
    live = ("a live teacher read on every view, at every step",) if teachers else ()
    return Cost(
        work="train",
        flops=flops,
        computed=1 + again / flops,
        devices=run.devices,
        precision="bfloat16" if step.settings.precision == "bf16" else "float32",
        tokens=round(tokens_read),
        sequential=3 * steps * micro + math.ceil(answers / sizes.limits.batch) * longest,
        layers=model.layers,
        loads=8.0 * model.parameters + beside,
        disk=4.0 * model.parameters * (1 + step.settings.checkpoints),
        memory=peak(model, run, training) + beside,
        fixed=states(model, run, training) + beside,
        assumed=(*model.notes, *shape.notes, *live),
    )


def _weights(teacher: ModelSize, step: TrainStep) -> float:
    return teacher.parameters * (2.0 if step.settings.teacher_dtype == "bfloat16" else 4.0)


def _method(step: TrainStep) -> Method:
    return method_of(step.context["method"], step.context["method_file"])


def _needs(step: TrainStep, method: Method) -> Needs:
    """What the method of a training step declares, at the step's setting."""
    return method.needs(type(method.hparams)(**step.settings.hp))


def shape_of(step: TrainStep, needs: Needs, sizes: Sizes) -> Shape:
    """The examples of a training step: those that every view holds."""
    counts, tokens, answered, width, drawn = [], 0.0, 0.0, 0, None
    notes: tuple[str, ...] = ()
    several = [s.settings.samples for s in step.inputs.views.values() if _is_rollouts(s)]
    copies = min(several, default=1)  # examples of a prompt
    for view in needs.views:
        source = step.inputs.views[view]
        text = sizes.sequences(source)
        if step.settings.online and view == "policy_rollout":
            n, most = text.sequences, step.settings.online.max_tokens
            text = drawn = TextSize(n, round(n * (text.prompt + most)), n * most, (*text.notes, LONGEST))
        per_example = source.settings.keep if isinstance(source, Step) and source.kind == GROUP else 1
        counts.append(text.sequences // per_example * (1 if _is_rollouts(source) else copies))
        tokens += per_example * text.tokens / text.sequences
        answered += per_example * text.answered / text.sequences
        width, notes = width + per_example, (*notes, *text.notes)
    return Shape(min(counts), width, tokens, answered, drawn, notes)


def _is_rollouts(source: Source) -> TypeGuard[Step[RolloutSettings, Any]]:
    return isinstance(source, Step) and source.kind == ROLLOUTS


def run_of(step: TrainStep, width: int, sizes: Sizes) -> Run:
    """How a training runs by its context, on examples of so many sequences."""
    context, longest = step.context, sizes.limits.max_length
    return Run(
        # One example may be longer than a micro-batch, which holds one at least.
        max(context["tokens"], width * longest),
        longest,
        half=step.settings.precision != "no",
        recomputed=context.get("checkpointing") is True,
        offloaded=bool(context.get("offload")),
        foreach=context.get("foreach", True) and has_foreach(step.settings),
        devices=context.get("processes") or 1,
        sharded=bool(context.get("shard")),
    )


def has_foreach(settings: TrainSettings) -> bool:
    """Whether AdamW has a form for all parameters at once: fused, and in 8 bits, it goes one by one."""
    return not settings.fused and settings.training is not None and settings.training.optimizer == "adamw"


def objective_cost(step: TrainStep, sizes: Sizes) -> Cost:
    """Passes over all held-out examples under two models, forward only; two each where means come first."""
    model, method = sizes.model(step.inputs.start), _method(step)
    needs = _needs(step, method)
    shape = shape_of(step, needs, sizes)
    passes = 2 * (1 + (method.step_stats is not None) + (method.watch is not None))
    tokens_read, answered = passes * shape.examples * shape.tokens, passes * shape.examples * shape.answered
    return Cost(
        work="forward",
        flops=model.forward_flops(tokens_read, answered),
        precision="bfloat16" if step.settings.precision == "bf16" else "float32",
        tokens=round(tokens_read),
        sequential=passes * max(1, math.ceil(shape.examples * shape.tokens / sizes.limits.tokens)),
        layers=model.layers,
        loads=8.0 * model.parameters,
        disk=500,
        memory=model.forward_memory(sizes.limits.tokens, 4),
        assumed=(*model.notes, *shape.notes),
    )


def trained_size(step: TrainStep, sizes: Sizes) -> ModelSize:
    """The size of the model that a training makes: of that which it starts from."""
    return sizes.model(step.inputs.start)


TRAIN = StepKind(
    "train",
    TrainSettings,
    TrainInputs,
    "harness.train.step:run",
    on_device=True,
    processes="processes",
    cost=train_cost,
    model=trained_size,
)
OBJECTIVE = StepKind(
    "objective",
    TrainSettings,
    TrainInputs,
    "harness.train.step:run_objective",
    on_device=True,
    cost=objective_cost,
)
