"""What a suite says of each benchmark, and of what else is measured."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Strict(BaseModel):
    """A part of a suite: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Judged(Strict):
    """A judged benchmark. data: a folder, or "world/test"."""

    data: str
    judge: Literal["rule"] = "rule"
    max_tokens: int = Field(1024, gt=0)


class Pairwise(Judged):
    """A judged comparison with the answers of another row of the table, or of each of several."""

    reference: tuple[str, ...] = Field(("ADPA",), min_length=1)
    order: Literal["random", "both"] = "both"

    @field_validator("reference", mode="before")
    @classmethod
    def _several(cls, given: object) -> object:
        return (given,) if isinstance(given, str) else given


class OpenLLM(Strict):
    """lm-eval tasks: the YAML files of a folder, or lm-eval's own names on the data of a folder."""

    tasks: tuple[str, ...] = Field(min_length=1)
    include: str | None = None
    data: str | None = None
    num_fewshot: int | None = Field(None, ge=0)
    limit: int | None = Field(None, gt=0)
    batch_size: int = Field(64, gt=0)


class ImplicitReward(Strict):
    """Accuracy of log pi_theta - log pi_student on the held-out pairs."""


class TeacherReward(Strict):
    """log pi_dpo - log pi_ref, the teacher's implicit reward, of greedy answers to the held-out prompts."""

    max_tokens: int = Field(512, gt=0)


class Objective(Strict):
    """Each method's own objective on the held-out pairs, before and after its last stage."""


class Benchmarks(Strict):
    """What each row is measured by; what is left out is not run."""

    mt_bench: Judged | None = Field(None, alias="mt-bench")
    alpaca_eval: Pairwise | None = Field(None, alias="alpaca-eval")
    rule: Judged | None = None
    openllm: OpenLLM | None = None
    implicit_reward: ImplicitReward | None = Field(None, alias="implicit-reward")
    teacher_reward: TeacherReward | None = Field(None, alias="teacher-reward")
    objective: Objective | None = None

    def named(self) -> dict[str, Strict]:
        """The benchmarks that are run, by name."""
        specs = {field.alias or name: getattr(self, name) for name, field in Benchmarks.model_fields.items()}
        return {name: spec for name, spec in specs.items() if spec is not None}
