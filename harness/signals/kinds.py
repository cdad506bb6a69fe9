"""The kinds of step that ask frozen models: what they are set to, what they read, and what that takes.

They stand here and not beside their functions, which compute by torch: a plan is made without it.
"""

from dataclasses import dataclass, replace
from typing import Generic, Literal

from harness.common.cost import BYTES, Cost, batches, pass_cost
from harness.signals.diverse_responses import GroupInputs, GroupSettings
from harness.store.step import Ref, Sizes, Source, Step, StepKind
from harness.store.step_record import optional

Form = Literal["logps", "hidden", "topk"]


@dataclass(frozen=True)
class SignalSettings:
    """k: of a top-k."""

    form: Form
    dtype: str
    k: int | None = optional()


@dataclass(frozen=True)
class SignalInputs(Generic[Ref]):
    """ids: another top-k, at whose ids this one stands."""

    model: Ref
    sequences: Ref
    ids: Ref | None = None


def _signal_cost(step: Step[SignalSettings, SignalInputs[Source]], sizes: Sizes) -> Cost:
    """One pass of a frozen model; what is stored depends on the form."""
    model, text = sizes.model(step.inputs.model), sizes.sequences(step.inputs.sequences)
    settings = step.settings
    topk = 8 + 8 * min(settings.k or 0, model.vocab)
    token_bytes = {"logps": 4, "hidden": 4 + model.hidden * BYTES[settings.dtype], "topk": topk}
    return pass_cost(
        model, text, settings.dtype, sizes.limits.tokens, text.answered * token_bytes[settings.form]
    )


SIGNALS = StepKind(
    "signals", SignalSettings, SignalInputs, "harness.signals.stored:run", on_device=True, cost=_signal_cost
)


@dataclass(frozen=True)
class HeadSettings:
    dtype: str


@dataclass(frozen=True)
class HeadInputs(Generic[Ref]):
    model: Ref


def _head_cost(step: Step[HeadSettings, HeadInputs[Source]], sizes: Sizes) -> Cost:
    model, number = sizes.model(step.inputs.model), BYTES[step.settings.dtype]
    return Cost(disk=model.head * number, loads=model.parameters * number, assumed=model.notes)


HEAD = StepKind("head", HeadSettings, HeadInputs, "harness.signals.output_head:run", cost=_head_cost)


@dataclass(frozen=True)
class ProbeSettings:
    """How the question is worded, and how many tokens of a response it shows."""

    question: str
    options: tuple[str, str]
    max_tokens: int
    template: str | None
    dtype: str


@dataclass(frozen=True)
class ProbeInputs(Generic[Ref]):
    model: Ref
    group: Ref
    pairs: Ref


def _probe_cost(
    step: Step[ProbeSettings, ProbeInputs[Step[GroupSettings, GroupInputs[Source]]]], sizes: Sizes
) -> Cost:
    """Every ordered pair of a prompt's responses, in one question each."""
    model, group = sizes.model(step.inputs.model), sizes.sequences(step.inputs.group)
    probes = group.sequences * (step.inputs.group.settings.keep - 1)
    words = len(step.settings.question.split())
    tokens = round(probes * (group.prompt + words + 2 * group.answered / max(1, group.sequences)))
    number, most = BYTES[step.settings.dtype], sizes.limits.tokens
    return Cost(
        work="forward",
        flops=model.forward_flops(tokens, probes),
        precision=step.settings.dtype,
        tokens=tokens,
        sequential=batches(tokens, most),
        layers=model.layers,
        loads=model.parameters * number,
        disk=4 * group.sequences,
        memory=model.forward_memory(most, number, batches(most, tokens // probes)),
        assumed=(*model.notes, *group.notes, "a token for each word of the probe's question"),
    )


PROBES = StepKind(
    "probes",
    ProbeSettings,
    ProbeInputs,
    "harness.signals.preference_probes:run",
    2,
    on_device=True,
    cost=_probe_cost,
)


@dataclass(frozen=True)
class RewardSettings:
    """template and max_length: in place of the reward model's own."""

    dtype: str
    template: str | None = optional()
    max_length: int | None = optional()


@dataclass(frozen=True)
class RewardInputs(Generic[Ref]):
    """tokenizer: of the responses' ids; pairs: where the prompts stand as text."""

    model: Ref
    rollouts: Ref
    pairs: Ref
    tokenizer: Ref


def _reward_cost(step: Step[RewardSettings, RewardInputs[Source]], sizes: Sizes) -> Cost:
    """A pass over prompts and responses, without an output head."""
    model, text = sizes.model(step.inputs.model), sizes.sequences(step.inputs.rollouts)
    note, disk = "the reward model's tokens are the student's", 80 * text.sequences
    whole = pass_cost(model, text, step.settings.dtype, sizes.limits.tokens, disk, (note,))
    flops = model.forward_flops(text.tokens, 0)
    memory = model.forward_memory(sizes.limits.tokens, BYTES[step.settings.dtype], rows=0)
    return replace(whole, flops=flops, memory=memory)


REWARDS = StepKind(
    "rewards",
    RewardSettings,
    RewardInputs,
    "harness.signals.reward_model:run",
    on_device=True,
    cost=_reward_cost,
)
