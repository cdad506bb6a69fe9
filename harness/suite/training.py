"""How the stages of a suite are trained: what it overrides of what was published, and how training runs."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from harness.suite.validation import Strict

if TYPE_CHECKING:  # it imports torch, which takes seconds; a cost estimate needs none
    from methods.api import Training


class LoraSpec(Strict):
    """Adapters in place of all weights (see methods.api.LoRA); what is saved has them merged in."""

    r: int = Field(16, gt=0)
    alpha: int = Field(32, gt=0)
    targets: Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)] = "all-linear"


class TrainingSpec(Strict):
    """What a suite overrides of a stage's optimisation (see methods.api.Training); the rest stays as
    published.
    """

    lr: float | None = Field(None, gt=0)
    epochs: float | None = Field(None, gt=0)
    batch_size: int | None = Field(None, gt=0)
    warmup: float | None = Field(None, ge=0, le=1)
    schedule: Literal["cosine", "linear", "constant"] | None = None
    weight_decay: float | None = Field(None, ge=0)
    max_grad_norm: float | None = Field(None, gt=0)
    lora: LoraSpec | None = None

    def over(self, base: "Training") -> "Training":
        """`base` with what is given here."""
        from methods.api import LoRA

        given = self.model_dump(exclude_none=True, include=set(TrainingSpec.model_fields))
        if self.lora:
            given["lora"] = LoRA(**self.lora.model_dump())
        return replace(base, **given, source="suite" if given else base.source)


class PreferenceStage(TrainingSpec):
    """The DPO stage of a teacher."""

    beta: float = Field(0.01, gt=0)


class Engine(Strict):
    """How training runs: `checkpointing` computes layers again in the backward pass, `offload` keeps what it
    needs in the host's memory; neither changes a number.
    `compile` (torch.compile) and `fused` (AdamW in one kernel) round otherwise, so they are part of an id.
    """

    checkpointing: bool = False
    offload: bool = False
    compile: bool = False
    fused: bool = False
