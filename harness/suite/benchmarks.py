"""What a suite says of each benchmark, of the judges, and of what else is measured."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

BASELINE = "baseline"  # as a reference: the answers that the benchmark's authors compare with
Control = Literal["constant", "empty", "copy"]  # what no model should gain by


class Strict(BaseModel):
    """A part of a suite: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Judge(Strict):
    """Who judges. openai: any OpenAI-compatible endpoint; server: one that is started and stopped here.

    `guard` breaks up what reads like a chat template's token in the texts under judgment ("<|im_end|>"), for
    servers that would take it for one; None means everywhere but at api.openai.com, which takes it as text.
    `max_tokens` takes the place of the benchmark's own limit of a reply; `timeout` is in seconds.
    """

    kind: Literal["openai", "server"] = "openai"
    model: str
    base_url: str = "https://api.openai.com/v1"
    api_key_env: str = "OPENAI_API_KEY"
    engine: Literal["transformers", "vllm"] = "transformers"
    seed: int | None = None
    guard: bool | None = None
    max_tokens: int | None = Field(None, gt=0)
    tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    timeout: float = Field(600.0, gt=0)
    concurrency: int = Field(16, gt=0)
    attempts: int = Field(6, gt=0)

    def guarded(self) -> bool:
        """Whether texts under judgment are guarded."""
        official = self.kind == "openai" and "api.openai.com" in self.base_url
        return not official if self.guard is None else self.guard


class ExternalModel(Strict):
    """A row that is measured as it is, nothing trained: exactly one of the ways to answer.

    path: a folder or hub id; url: an OpenAI-compatible endpoint that serves `model`; answers: a model whose
    answers lie in the benchmark's data; control: what no model should gain by.
    """

    path: str | None = None
    url: str | None = None
    model: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    answers: str | None = None
    control: Control | None = None

    @model_validator(mode="after")
    def _one(self) -> "ExternalModel":
        given = [k for k in ("path", "url", "answers", "control") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of path, url, answers, control, not {' and '.join(given) or 'none'}")
        if (self.url is None) != (self.model is None):
            raise ValueError("url and model belong together")
        return self


class Judged(Strict):
    """A judged benchmark. data: a folder, or "world/..."; None reads what `bench data` fetched or added.

    `limit` takes the first questions; max_tokens None is the benchmark's own.
    """

    data: str | None = None
    judge: str = "rule"
    max_tokens: int | None = Field(None, gt=0)
    limit: int | None = Field(None, gt=0)


class MTBench(Judged):
    """references: the set of reference answers that the judge sees in math, reasoning and coding."""

    references: str = "gpt-4"


class Compared(Judged):
    """A judged comparison with the answers of another row of the table, or of each of several."""

    reference: tuple[str, ...] = Field((BASELINE,), min_length=1)

    @field_validator("reference", mode="before")
    @classmethod
    def _several(cls, given: object) -> object:
        return (given,) if isinstance(given, str) else given


class Pairwise(Compared):
    """AlpacaEval. order: one seeded order an item as upstream, or both."""

    order: Literal["random", "both"] = "both"


class AlpacaEval2(Pairwise):
    """AlpacaEval 2: the weighted judge, one seeded order as upstream unless told otherwise."""

    order: Literal["random", "both"] = "random"


class ArenaHard(Compared):
    """Arena-Hard: both orders always."""

    version: Literal["v0.1", "v2.0"] = "v0.1"


class Computed(Strict):
    """A benchmark of generated answers that needs no judge."""

    data: str | None = None
    max_tokens: int | None = Field(None, gt=0)
    limit: int | None = Field(None, gt=0)


class OpenLLM(Strict):
    """lm-eval tasks: the YAML files of a folder, or lm-eval's own names on the data of a folder."""

    tasks: tuple[str, ...] = Field(min_length=1)
    include: str | None = None
    data: str | None = None
    num_fewshot: int | None = Field(None, ge=0)
    limit: int | None = Field(None, gt=0)
    batch_size: int = Field(64, gt=0)
    chat: bool = False


class ImplicitReward(Strict):
    """Accuracy of log pi_theta - log pi_student on the held-out pairs."""


class TeacherReward(Strict):
    """log pi_dpo - log pi_ref, the teacher's implicit reward, of greedy answers to the held-out prompts."""

    max_tokens: int = Field(512, gt=0)


class Reward(Strict):
    """The score that a reward model gives greedy answers to the held-out prompts; against: the data's own
    responses of which the share that it beats is the win rate.
    """

    model: str = "sfairXC/FsfairX-LLaMA3-RM-v0.1"
    max_tokens: int = Field(512, gt=0)


class Objective(Strict):
    """Each method's own objective on the held-out pairs, before and after its last stage."""


class Benchmarks(Strict):
    """What each row is measured by; what is left out is not run."""

    mt_bench: MTBench | None = Field(None, alias="mt-bench")
    alpaca_eval: Pairwise | None = Field(None, alias="alpaca-eval")
    alpaca_eval_2: AlpacaEval2 | None = Field(None, alias="alpaca-eval-2")
    arena_hard: ArenaHard | None = Field(None, alias="arena-hard")
    rule: Judged | None = None
    openllm: OpenLLM | None = None
    openllm_v2: OpenLLM | None = Field(None, alias="openllm-v2")
    gsm8k_cot: Computed | None = Field(None, alias="gsm8k-cot")
    implicit_reward: ImplicitReward | None = Field(None, alias="implicit-reward")
    teacher_reward: TeacherReward | None = Field(None, alias="teacher-reward")
    reward: Reward | None = None
    objective: Objective | None = None

    def named(self) -> dict[str, Strict]:
        """The benchmarks that are run, by name."""
        specs = {field.alias or name: getattr(self, name) for name, field in Benchmarks.model_fields.items()}
        return {name: spec for name, spec in specs.items() if spec is not None}

    def judged(self) -> dict[str, Judged]:
        """Those of them that a judge reads, by name."""
        return {name: spec for name, spec in self.named().items() if isinstance(spec, Judged)}
