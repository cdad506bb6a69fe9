"""How the stages of a suite are trained: what it overrides of what was published, and how training runs."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from benchmarks.declaration import MOST_TOKENS
from harness.common.input.model_files import SIZES
from harness.suite.validation import Strict, Temperature

if TYPE_CHECKING:  # it imports torch, which takes seconds; a cost estimate needs none
    from methods.api import Training


MOST_EPOCHS = 1_000_000
MOST_RATE = 1_000  # a learning rate: Adam moves each weight by so much in a step
MOST_SAMPLES = 10_000  # of a prompt


class LoraSpec(Strict):
    """Adapters in place of all weights (see methods.api.LoRA); what is saved has them merged in."""

    r: int = Field(16, gt=0, le=SIZES["hidden_size"])
    """The rank of an adapter."""
    alpha: int = Field(32, gt=0)
    """Its scale: it is multiplied by alpha / r."""
    targets: Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)] = "all-linear"
    """The names of the linear layers that get one, or all of them but the head."""


@dataclass(frozen=True)
class Placement:
    """Over how many devices a training runs, None where nobody says, and whether they share its weights."""

    devices: int | None = None
    shard: Literal["", "fsdp2"] = ""


class TrainingSpec(Strict):
    """What a suite overrides of a stage's optimisation (see methods.api.Training); the rest stays as
    published.
    """

    lr: float | None = Field(None, gt=0, le=MOST_RATE)
    """The learning rate at its highest."""
    epochs: float | None = Field(None, gt=0, le=MOST_EPOCHS)
    """Passes over the training set; a part of one is allowed."""
    batch_size: int | None = Field(None, gt=0)
    """Examples of an optimizer step, on all devices together."""
    warmup: float | None = Field(None, ge=0, le=1)
    """The share of the steps in which the learning rate rises."""
    schedule: Literal["cosine", "linear", "constant"] | None = None
    """How the learning rate falls afterwards."""
    weight_decay: float | None = Field(None, ge=0)
    """AdamW's weight decay."""
    max_grad_norm: float | None = Field(None, gt=0)
    """The norm to which gradients are clipped."""
    lora: LoraSpec | None = None
    """Adapters in place of all weights."""
    optimizer: Literal["adamw", "adamw8bit"] | None = None
    """AdamW, or AdamW with its moments in 8 bits (needs torchao)."""
    cycles: float | None = Field(None, gt=0)
    """Of a cosine: 0.5 falls alone, 0.75 rises again to half of `lr`."""
    devices: int | None = Field(None, gt=0)
    """Over how many devices the stage runs, at most; no part of an id."""
    shard: Literal["fsdp2"] | None = None
    """Has the devices share the weights (FSDP2); needs `devices`, no part of an id."""

    @model_validator(mode="after")
    def _shares_among_several(self) -> "TrainingSpec":
        if self.shard and (self.devices or 1) < 2:
            raise ValueError(f"shard: {self.shard}: needs `devices`, 2 or more, beside it")
        return self

    def placed(self, base: Placement) -> Placement:
        """`base`, or what is said here of devices."""
        return Placement(self.devices, self.shard or "") if self.devices else base

    def over(self, base: "Training") -> "Training":
        """`base` with what is given here."""
        from methods.api import LoRA

        given = self.model_dump(
            exclude_none=True, include=set(TrainingSpec.model_fields) - {"devices", "shard"}
        )
        if self.lora:
            given["lora"] = LoRA(**self.lora.model_dump())
        # Who names a schedule means that one, and not a published recipe's cycles of another.
        if self.schedule and self.cycles is None:
            given["cycles"] = 0.5
        return replace(base, **given, source="suite" if given else base.source)


class Health(Strict):
    """What counts as a training that explodes and as answers that collapsed, and what becomes of the row: it
    is told under the tables, or stopped. A loss or gradient that is no number always stops its training.
    """

    grad_norm: float = Field(1e4, gt=0)
    """A gradient norm of one optimizer step, before clipping, over which a training explodes."""
    exploding: Literal["tell", "stop"] = "tell"
    """Whether such a training is told under the tables, or ends there and its row is "failed"."""
    empty: float = Field(0.5, gt=0, le=1)
    """A share of a row's answers to a benchmark: where more are empty, its model collapsed. 1: never."""
    repeated: float = Field(0.5, gt=0, le=1)
    """A share of them: where more repeat themselves, it collapsed. 1: never."""
    entropy: float = Field(0.1, ge=0, le=1)
    """Their entropy, from 0 (all alike) to 1 (no two are): where it is less, it collapsed. 0: never."""
    collapse: Literal["tell", "stop"] = "tell"
    """Whether such a row is told under the tables, or is "failed"."""


class RolloutsSpec(Strict):
    """What a suite overrides of how a method's rollouts are sampled (see methods.api.Rollouts)."""

    temperature: Temperature | None = None
    """0 is greedy."""
    top_p: float | None = Field(None, gt=0, le=1)
    """The share of the probability that tokens are drawn from."""
    samples: int | None = Field(None, gt=0, le=MOST_SAMPLES)
    """Responses to a prompt, each of which makes an example; several need a temperature."""


class MethodRecipe(Strict):
    """What a suite says of a method beside its hyper-parameters."""

    training: TrainingSpec | None = None
    """Its last stage, in place of what was published and of the suite's `training`."""
    starts_from: str | None = None
    """What its last stage starts from: `Student`, or another method, which is trained for it."""
    rollouts: RolloutsSpec | None = None
    """How the responses that it learns from are sampled, where it reads such."""


class PreferenceStage(TrainingSpec):
    """The DPO stage of a teacher."""

    beta: float = Field(0.01, gt=0)
    """DPO's beta."""


class Engine(Strict):
    """How training runs. What rounds otherwise is part of an id."""

    checkpointing: bool | Literal["auto"] = "auto"
    """Layers are computed again in the backward pass; auto: on a GPU that would not hold what they keep."""
    offload: bool = False
    """What the backward pass needs waits in the host's memory; changes no number."""
    deterministic: bool = False
    """A GPU adds up in one order: one of the results that it may have without."""
    compile: bool = False
    """torch.compile of the body; rounds otherwise, so it is part of an id."""
    fused: bool = False
    """AdamW in one kernel; rounds otherwise, so it is part of an id."""


class Selection(Strict):
    """Which checkpoint of a last stage is its result: the one whose greedy answers to the held-out prompts a
    reward model likes best, of those kept every so many epochs.
    """

    by: Literal["reward", "last"] = "reward"
    """A reward model's score, or simply the last one."""
    every: float = Field(0.5, gt=0)
    """A checkpoint is kept every so many epochs."""
    model: str = Field("sfairXC/FsfairX-LLaMA3-RM-v0.1", min_length=1)
    """The reward model, a folder or hub id."""
    max_tokens: int = Field(512, gt=0, le=MOST_TOKENS)
    """The most tokens of an answer that it reads."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What the reward model computes in."""
