"""What training takes: the operations that the record counts, and the memory of its largest moment.

Memory: float32 weights, gradients and AdamW's two moments are 16 bytes a parameter. Its step makes one more
copy (torch's `foreach` form), while activations are gone; the larger moment counts.
"""

import math
from typing import Any, NamedTuple

from harness.forecast.cost import Cost, Sizes
from harness.forecast.inference import passing
from harness.forecast.sizes import ModelSize
from harness.forecast.texts import LONGEST, Text
from harness.models.memory import ON_GPU
from harness.store.step import Step
from harness.train.step import PROBE
from methods.api import Needs, Online

STATE, STEP = 16, 20  # bytes a parameter while gradients are computed, and while they are applied


class Shape(NamedTuple):
    """The examples of a training step: how many, sequences of one, tokens and response tokens of one."""

    examples: int
    width: int
    tokens: float
    answered: float
    drawn: Text | None  # the policy's own responses to every prompt, where it writes some
    notes: tuple[str, ...]


def train(step: Step, sizes: Sizes) -> Cost:
    """Operations as harness.train.step records them, those of a live teacher and of the policy's own rollouts
    with them; disk: the model in float32, and each checkpoint.
    """
    model, needs = sizes.models.of(step.inputs["start"]), needs_of(step, sizes)
    shape, training = shape_of(step, needs, sizes), step.settings["training"]
    size = min(training["batch_size"], shape.examples)
    steps = max(1, round(training["epochs"] * shape.examples / size))
    seen, answered = steps * size * shape.tokens, steps * size * shape.answered
    drawn = _drawn(needs.online, steps, size, shape) if needs.online else 0.0
    own = shape.drawn
    sampled = (
        (drawn * own.tokens / own.sequences, drawn * own.answered / own.sequences) if own else (0.0, 0.0)
    )
    teachers = [sizes.models.of(source) for name, source in step.inputs.items() if name.startswith("live.")]
    beside = sum(2 * (t.body * seen + t.head * answered) for t in teachers)
    flops = 6 * (model.body * seen + model.head * answered)
    flops += 2 * (model.body * sampled[0] + model.head * sampled[1]) + beside
    micro = max(1, math.ceil(size * shape.tokens / sizes.machine.tokens))
    longest = step.settings.get("max_tokens", 0)
    live = ("a live teacher read on every view, at every step",) if teachers else ()
    return Cost(
        work="train",
        flops=flops,
        precision="bfloat16" if step.settings["precision"] == "bf16" else "float32",
        tokens=round(seen),
        sequential=3 * steps * micro + math.ceil(drawn / sizes.machine.batch) * longest,
        layers=model.layers,
        loads=8.0 * model.parameters + sum(_weights(t, step) for t in teachers),
        disk=4.0 * model.parameters * (1 + step.settings.get("checkpoints", 0)),
        memory=memory(model, shape.width, step, sizes) + sum(_weights(t, step) for t in teachers),
        fixed=STEP * model.parameters + sum(_weights(t, step) for t in teachers),
        assumed=(*model.notes, *shape.notes, *live),
    )


def _weights(teacher: ModelSize, step: Step) -> float:
    return teacher.parameters * (2.0 if step.settings.get("teacher_dtype") == "bfloat16" else 4.0)


def _drawn(online: Online, steps: int, size: int, shape: Shape) -> float:
    """Prompts that the policy answers: a buffer for each `passes` steps, and the probe before and after."""
    return math.ceil(steps / online.passes) * size + 2 * min(PROBE, shape.examples)


def needs_of(step: Step, sizes: Sizes) -> Needs:
    """What the method of a training step declares, at the step's setting."""
    method = sizes.registry[step.context["method"]]
    return method.needs(type(method.hparams)(**step.settings["hp"]))


def shape_of(step: Step, needs: Needs, sizes: Sizes) -> Shape:
    """The examples of a training step: those that every view holds."""
    counts, tokens, answered, width, drawn = [], 0.0, 0.0, 0, None
    notes: tuple[str, ...] = ()
    for view in needs.views:
        source = step.inputs[f"view.{view}"]
        text = sizes.texts.of(source)
        if view == "policy_rollout":
            n, most = text.sequences, step.settings["max_tokens"]
            text = drawn = Text(n, round(n * (text.prompt + most)), n * most, (*text.notes, LONGEST))
        each = step.sources[f"view.{view}"].settings["keep"] if view == "group" else 1
        counts.append(text.sequences // each)
        tokens += each * text.tokens / text.sequences
        answered += each * text.answered / text.sequences
        width, notes = width + each, (*notes, *text.notes)
    return Shape(min(counts), width, tokens, answered, drawn, notes)


def memory(model: ModelSize, width: int, step: Step, sizes: Sizes) -> float:
    """Bytes on the device at the peak of a training: a micro-batch holds one example at least."""
    machine = sizes.machine
    positions = max(machine.tokens, width * sizes.suite.max_length)
    half = step.settings["precision"] == "bf16"
    # What a layer of a Llama keeps of a position for the backward pass: the residual stream twice in float32;
    # normed inputs, queries, keys, values and attention's result; gate, up, their product and the activation.
    wide = model.heads * model.head_dim + 2 * model.kv * model.head_dim
    kept = 2 * model.hidden * 4 + (4 * model.hidden + wide + 4 * model.ffn) * (2 if half else 4)
    # Logits and their gradient; what is kept of them beyond this share is kept where there is room.
    logits = min(positions * model.vocab * 4 * 2, ON_GPU)
    working = STATE * model.parameters + positions * model.layers * kept + logits
    return float(max(working, STEP * model.parameters))


def objective(step: Step, sizes: Sizes) -> Cost:
    """Passes over all held-out examples under two models, forward only; two each where means come first."""
    model, needs = sizes.models.of(step.inputs["start"]), needs_of(step, sizes)
    shape = shape_of(step, needs, sizes)
    method: Any = sizes.registry[step.context["method"]]
    passes = 2 * (1 + (method.step_stats is not None) + (method.watch is not None))
    seen, answered = passes * shape.examples * shape.tokens, passes * shape.examples * shape.answered
    return Cost(
        work="forward",
        flops=2 * (model.body * seen + model.head * answered),
        precision="bfloat16" if step.settings["precision"] == "bf16" else "float32",
        tokens=round(seen),
        sequential=passes * max(1, math.ceil(shape.examples * shape.tokens / sizes.machine.tokens)),
        layers=model.layers,
        loads=8.0 * model.parameters,
        disk=500,
        memory=passing(model, sizes.machine.tokens, 4),
        assumed=(*model.notes, *shape.notes),
    )
