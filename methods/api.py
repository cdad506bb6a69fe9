"""What a method is: a formula (methods/batch.py is what it sees), and a declaration of what it reads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Gt, Le, Lt

from methods.batch import Batch, Role, ScoreName, Statistic, Terms, ViewName
from methods.lazy_torch import Tensor

# Numbers by what they may be, for the fields of hyper-parameters: what is out of range is refused before any
# work. All are finite, and none is a boolean.
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]
OpenShare = Annotated[float, Gt(0), Lt(1)]  # without its ends
TopP = Annotated[float, Gt(0), Le(1)]
Count = Annotated[int, Ge(1)]
Several = Annotated[int, Ge(2)]
Support = Count | Literal["full"]
Kind = Literal["paper", "ablation", "variant", "addition"]
Stats = Callable[[Batch, Any], dict[str, tuple[Tensor, Tensor]]]
Loss = TypeVar("Loss", bound=Callable[..., Terms])
_NAMES: dict[Callable[..., Terms], str] = {}  # of losses


def formula(name: str) -> Callable[[Loss], Loss]:
    """Gives a loss the name that ids are made of: what it trained is found again wherever its code moves."""

    def named(loss: Loss) -> Loss:
        _NAMES[loss] = name
        return loss

    return named


@dataclass(frozen=True)
class Reads:
    """What a loss reads on one view: statistics, whose log-probs of the realised tokens, whose state values
    ("policy", "old": a scalar head on the policy's hidden states), and scores per sequence.
    """

    stats: tuple[Statistic, ...] = ()
    logps: tuple[Role, ...] = ()
    values: tuple[Role, ...] = ()
    scores: tuple[ScoreName, ...] = ()

    def dense_roles(self) -> set[Role]:
        """The frozen models whose distributions are read."""
        return {r for s in self.stats for r in s.reads}

    def signal_roles(self) -> set[Role]:
        """The frozen models whose distributions or log-probs are read."""
        return (self.dense_roles() | set(self.logps)) - {"policy", "old"}


@dataclass(frozen=True)
class Group:
    """How the view `group` is made: `samples` responses a prompt at a temperature and top_p, of which the
    `keep` most different stay; a prompt with fewer different ones is dropped and counted.
    """

    samples: Count
    keep: Count
    temperature: Positive = 1.0
    top_p: TopP = 1.0


@dataclass(frozen=True)
class Rollouts:
    """How the views `teacher_rollout` and `student_rollout` are made: `samples` responses to each prompt,
    each of which makes an example, at a temperature (0: greedy) and top_p.
    """

    temperature: NotNegative = 0.0
    top_p: TopP = 1.0
    samples: Count = 1

    def __post_init__(self) -> None:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"samples: given {self.samples}; greedy responses (temperature 0) to a prompt are all alike"
            )


@dataclass(frozen=True)
class Online:
    """How the view `policy_rollout` is made: rollouts of `batches` optimizer steps' prompts at a time, which
    are gone through `passes` times before the policy is sampled again. Epochs count prompts: each is answered
    once an epoch, and `passes` multiply the optimizer steps.

    value_lr: the learning rate of the linear head, on the policy's last hidden states, that state values come
        from; None where none are read. value_alone: the share of the optimizer steps, the first ones, that
        train it alone.
    """

    batches: Count = 1
    passes: Count = 1
    temperature: Positive = 1.0
    value_lr: Positive | None = None
    value_alone: Share = 0.0


@dataclass(frozen=True)
class Needs:
    """The views a loss reads, and how they are made.

    support: what teacher statistics run over: all of V, or the teacher's top k.
    distinct: an example whose teacher and student rollouts are the same tokens is dropped and counted.
    rounds: the stage is run so many times, each from the result of the one before, with a like share of the
        epochs; what is sampled from its start is sampled again.
    """

    views: Mapping[ViewName, Reads]
    support: Support = "full"
    distinct: bool = False
    rollouts: Rollouts = Rollouts()
    group: Group | None = None
    online: Online | None = None
    rounds: Count = 1

    def __post_init__(self) -> None:
        if any(reads.values for reads in self.views.values()) and (
            self.online is None or self.online.value_lr is None
        ):
            raise ValueError("needs: state values are read, so `online` must say their `value_lr`")


@dataclass(frozen=True)
class LoRA:
    """Adapters of rank r, scaled by alpha / r, on the layers of those names: the only weights trained."""

    r: Count = 16
    alpha: Count = 32
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"  # the output head is not one


@dataclass(frozen=True)
class Training:
    """How a stage is optimised: `epochs` passes over its examples; `source` says whose numbers that
    are which no entry's `sources` name. A cosine goes through so many `cycles`: half of one falls to 0, 0.75
    rise again to half of `lr`, as torch's CosineAnnealingLR does behind its T_max.
    """

    lr: Positive
    epochs: Positive = 1.0
    batch_size: Count = 128
    warmup: Share = 0.1  # of the steps, linear
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    weight_decay: NotNegative = 0.0
    max_grad_norm: Positive = 1.0
    source: str = field(default="ours", metadata={"recorded": False})  # no part of an id
    lora: LoRA | None = field(default=None, metadata={"optional": True})  # None: all weights are trained
    # 8bit: AdamW whose two moments are kept in 8 bits, in blocks with a scale each (arXiv 2110.02861).
    optimizer: Literal["adamw", "adamw8bit"] = field(default="adamw", metadata={"optional": True})
    cycles: Positive = field(default=0.5, metadata={"optional": True})

    def __post_init__(self) -> None:
        if self.cycles != 0.5 and self.schedule != "cosine":
            raise ValueError(f"cycles: {self.cycles:g} is of schedule cosine, not {self.schedule}")


@dataclass(frozen=True)
class Method:
    """One entry of the registry.

    kind: a row of the papers' tables, an ablation of one, another reading of a formula, or an addition.
    sources: whose each part and number is, by its name (methods/sources.py): the loss, hyper-parameters,
        views that are sampled, and what of the training is not `training.source`'s. No part of an id.
    about: what this entry is, where the docstring of its formula's file is of several.
    starts_from: "Student", or the entry whose result the last stage starts from and, where it reads a
        `student_rollout`, samples with.
    roles: puts another model into a role, {"teacher": "teacher_ref"} for an ablation without the aligned
        teacher. "reverse_teacher" is the SFT teacher after its DPO with chosen and rejected exchanged.
    step_stats: `(batch, hp) -> {name: (sum, count)}` over the whole optimizer step, computed without gradient
        before its first backward pass; a loss finds sum / count in `batch.means`.
    set_stats: the same over the whole training set, once, from what is stored alone (no policy).
    watch: the same over a fixed probe, for the tables; `limits` names what such a mean should not pass.
    maximises: the watched mean that the method raises, where its loss is a surrogate that says nothing.
    at_start: `hp -> {term: value}` that must hold before the first step, where the policy is the reference.
    start_stats: the same where it depends on the examples: means over a fixed probe, as `watch`.
    """

    name: str
    paper: str
    hparams: Any
    training: Training
    needs: Callable[[Any], Needs]
    loss: Callable[[Batch, Any], Terms]
    kind: Kind = "addition"
    about: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    starts_from: str = "Student"
    roles: Mapping[Role, Role | Literal["reverse_teacher"]] = field(default_factory=dict)
    step_stats: Stats | None = None
    set_stats: Stats | None = None
    watch: Stats | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    maximises: str = ""
    at_start: Callable[[Any], dict[str, float]] | None = None
    start_stats: Stats | None = None

    @property
    def formula(self) -> str:
        """The name of the loss, its import path where it was given none: entries with one formula, one
        setting and one data are one computation.
        """
        return _NAMES.get(self.loss, f"{self.loss.__module__}.{self.loss.__qualname__}")
