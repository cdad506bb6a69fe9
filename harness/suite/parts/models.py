"""The models of a suite: teachers and students, and what they are before any method."""

from typing import Annotated

from pydantic import Field, model_validator

from harness.common.input.model_files import SIZES
from harness.suite.training import PreferenceStage, TrainingSpec
from harness.suite.validation import Strict


class Architecture(Strict):
    """A Llama that is pretrained from scratch; its vocabulary is the tokenizer's, its embeddings are tied."""

    hidden: int = Field(gt=0, le=SIZES["hidden_size"])
    """The width of a layer's output; a multiple of twice the heads."""
    layers: int = Field(gt=0, le=SIZES["num_hidden_layers"])
    """How many layers it has."""
    heads: int = Field(gt=0, le=SIZES["num_attention_heads"])
    """Attention heads of a layer."""
    ffn: int = Field(gt=0, le=SIZES["intermediate_size"])
    """The width of a layer's feed-forward part."""
    rope_theta: float = Field(10_000.0, gt=0)
    """The base of its rotary positions."""
    initializer_range: float = Field(0.02, gt=0, le=1)
    """The standard deviation of its first weights."""

    @model_validator(mode="after")
    def _heads_share_hidden(self) -> "Architecture":
        # Rotary positions turn a head's numbers in pairs.
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden is a multiple of twice the heads ({2 * self.heads}), not {self.hidden}")
        return self


class Student(Strict):
    """The model that is aligned."""

    base: Annotated[str, Field(min_length=1)] | Architecture
    """A folder, a hub id (`name@revision`), or an architecture to pretrain on the world's text."""
    pretrain: TrainingSpec | None = None
    """How an architecture is pretrained; a model that is there needs none."""
    sft: TrainingSpec | None = None
    """A stage on the dialogues of `datasets.NAME.sft` before all methods; without it there is none."""


class Teacher(Student):
    """The model that guides: after `sft` it is the reference teacher, after `dpo` the teacher."""

    dpo: PreferenceStage | None = None
    """Its DPO on the preference pairs; without it the teacher is the reference teacher itself."""


class ModelPair(Strict):
    """A teacher and a student of one tokenizer."""

    teacher: Teacher
    """The model that guides."""
    student: Student
    """The model that is aligned; each method starts from it as it is after its `sft`."""
