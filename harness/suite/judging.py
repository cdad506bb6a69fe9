"""What a kind of judge is: its settings, who it is for the ids, where and how it replies, what that costs."""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, with_config

from benchmarks.api import Decoding, Message, Sampling
from benchmarks.declaration import Benchmark
from harness.common.suggest import nearest
from harness.common.text import cut
from harness.endpoints.prices import Prices, Usage
from harness.endpoints.replies import EndpointReply
from harness.suite.validation import validated

Request = tuple[tuple[Message, ...], Decoding | Sampling, int]  # messages, how to reply, which repeat
Ask = Callable[[Sequence[Request]], list[EndpointReply]]
ROUNDING = 1e-9  # 0.1 of 30 are 3, not 4
# How an endpoint is asked, of judges and of rows.
WithTemperature = Annotated[float, Field(ge=0, le=2)] | Literal["benchmark"] | None
KIND = "kind"  # the key of a suite that says which kind of judge it is


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class Repeats:
    """What is judged again."""

    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of each benchmark's questions that is judged again."""
    times: Annotated[int, Field(ge=2)] = 2
    """How often these are judged in all."""

    def count(self, questions: int) -> int:
        """How many of so many questions are judged again."""
        return ceil(self.share * questions - ROUNDING)

    def sample(self, questions: Collection[str]) -> set[str]:
        """The questions, by their ids, that are judged again: the same of every row and in any order, and
        those of a smaller share are among those of a larger one.
        """
        drawn = sorted(questions, key=lambda name: (hashlib.sha256(name.encode()).digest(), name))
        return set(drawn[: self.count(len(drawn))])


class JudgeSettings(BaseModel):
    """What a suite says of a judge: unknown keys and wrong types are errors.

    `repeats` are no part of who the judge is: what it says first is the same without them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    repeats: Repeats | None = Field(None, exclude=True)
    """What is judged again, to know the judge's noise; a number means all questions, so many times."""

    @field_validator("repeats", mode="before")
    @classmethod
    def _of_all(cls, given: object) -> object:
        """A number alone is how often every question is judged."""
        if isinstance(given, int) and not isinstance(given, bool):
            return {"times": given}
        if given is None or isinstance(given, Mapping | Repeats):
            return given
        raise ValueError(f"given {given!r}; a whole number from 2 on, or {{share: 0.1, times: 2}}")


class JudgeArguments(NamedTuple):
    """A judge as it is typed: a model's name at an endpoint, a folder that is served here, or a kind."""

    model: str
    url: str | None = None
    key_env: str | None = None
    engine: str | None = None

    @property
    def name(self) -> str:
        """What tables call it."""
        return Path(self.model).name if self.served_here else self.model

    @property
    def served_here(self) -> bool:
        """Whether a server is started for it."""
        return Path(self.model).is_dir() or self.engine is not None


def free(settings: JudgeSettings, prices: Prices, usage: Usage) -> float | None:
    """A judge that is computed here costs nothing but its time."""
    return 0.0


def nothing_to_check(where: Mapping[str, Any], needing_logprobs: Sequence[Benchmark]) -> None:
    """A judge that is computed here is there."""


@dataclass(frozen=True)
class JudgeKind:
    """One kind of judge. Where it is asked is context; who it is, its seed and guard are identity.

    identity     settings -> what judgments depend on
    replies      (identity, context, world) of a running step -> what answers its requests, in their order
    endpoint     settings -> where it is asked; None: it is computed in the step
    served       whether a server is started for it, on this machine's device
    world        whether it reads the generated world, as the input "judge"
    check        before any work: ValueError, one line, where it is not there, or gives no log-probs that
                 these benchmarks, which need them, can read
    usd          what calls cost; None where no price is known
    typed        --judge's words -> settings; None where they mean another kind
    file         the --judge-file that defines it, "" for all others
    """

    name: str
    settings: type[JudgeSettings]
    identity: Callable[[Any], Mapping[str, Any]]
    replies: Callable[[Mapping[str, Any], Mapping[str, Any], Path | None], Ask]
    endpoint: Callable[[Any], Mapping[str, Any]] | None = None
    served: bool = False
    world: bool = False
    check: Callable[[Mapping[str, Any], Sequence[Benchmark]], None] = nothing_to_check
    usd: Callable[[Any, Prices, Usage], float | None] = free
    typed: Callable[[JudgeArguments], Mapping[str, Any] | None] | None = None
    file: str = ""

    def named_alone(self, world: bool) -> bool:
        """Whether a benchmark may name it without an entry among the suite's judges."""
        try:
            # What its settings demand (a model, a path) must be given; one without demands needs no entry.
            self.settings()
        except ValidationError:
            return False
        return world or not self.world


class ChosenJudge(NamedTuple):
    """A judge of a suite."""

    name: str
    kind: JudgeKind
    settings: Any  # of the kind's own model

    def asked_once(self) -> "ChosenJudge":
        """The same judge without repeats."""
        return self._replace(settings=self.settings.model_copy(update={"repeats": None}))


def judges_of(
    raw: Mapping[str, Mapping[str, Any]], known: Mapping[str, JudgeKind], where: str
) -> dict[str, ChosenJudge]:
    """The key `judges` of a suite; without a word an entry is of the first kind that is known."""
    chosen = {}
    for name, given in raw.items():
        key = f"judges.{cut(name)}"
        if not isinstance(given, Mapping):
            raise ValueError(f"{where}: {key}: given {cut(repr(given))}; the settings of a judge")
        settings = dict(given)
        kind = settings.pop(KIND, next(iter(known)))
        if not isinstance(kind, str) or kind not in known:
            fault = f"no such judge {cut(repr(kind))}; {nearest(str(kind), list(known))}"
            raise ValueError(f"{where}: {key}.{KIND}: {fault}")
        chosen[name] = ChosenJudge(name, known[kind], validated(known[kind].settings, settings, where, key))
    return chosen
