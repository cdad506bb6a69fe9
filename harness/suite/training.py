"""How the stages of a suite are trained: what it overrides of what was published, and how training runs."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from harness.suite.validation import Strict

if TYPE_CHECKING:  # it imports torch, which takes seconds; a cost estimate needs none
    from methods.api import Training


class LoraSpec(Strict):
    """Adapters in place of all weights (see methods.api.LoRA); what is saved has them merged in."""

    r: int = Field(16, gt=0)
    alpha: int = Field(32, gt=0)
    targets: Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)] = "all-linear"


@dataclass(frozen=True)
class Placement:
    """Over how many devices a training runs, None where nobody says, and whether they share its weights."""

    devices: int | None = None
    shard: Literal["", "fsdp2"] = ""


class TrainingSpec(Strict):
    """What a suite overrides of a stage's optimisation (see methods.api.Training); the rest stays as
    published. `devices` and `shard` say where it runs, so they are no part of an id.
    """

    lr: float | None = Field(None, gt=0)
    epochs: float | None = Field(None, gt=0)
    batch_size: int | None = Field(None, gt=0)
    warmup: float | None = Field(None, ge=0, le=1)
    schedule: Literal["cosine", "linear", "constant"] | None = None
    weight_decay: float | None = Field(None, ge=0)
    max_grad_norm: float | None = Field(None, gt=0)
    lora: LoraSpec | None = None
    optimizer: Literal["adamw", "adamw8bit"] | None = None
    cycles: float | None = Field(None, gt=0)
    devices: int | None = Field(None, gt=0)
    shard: Literal["fsdp2"] | None = None

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


class RolloutsSpec(Strict):
    """What a suite overrides of how a method's rollouts are sampled (see methods.api.Rollouts)."""

    temperature: float | None = Field(None, ge=0)
    top_p: float | None = Field(None, gt=0, le=1)
    samples: int | None = Field(None, gt=0)


class PreferenceStage(TrainingSpec):
    """The DPO stage of a teacher."""

    beta: float = Field(0.01, gt=0)


class Engine(Strict):
    """How training runs: `checkpointing` computes layers again in the backward pass (auto: on GPUs that would
    not hold what they keep), `offload` keeps what it needs in the host's memory; neither changes a number.
    `deterministic` has a GPU add up in one order: what that gives is one of the results that a training may
    have without it.
    `compile` (torch.compile) and `fused` (AdamW in one kernel) round otherwise, so they are part of an id.
    """

    checkpointing: bool | Literal["auto"] = "auto"
    offload: bool = False
    deterministic: bool = False
    compile: bool = False
    fused: bool = False
