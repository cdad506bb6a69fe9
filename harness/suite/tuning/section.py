"""The key `tuning` of a suite, which `bench tune` reads and a run does not.

tuning:
  score: {benchmark: reward, settings: {model: models/reward}, hold_out: 200}
  search: random
  trials: 9
  methods: {DPO: {lr: {log: [1e-7, 1e-5]}, beta: [0.01, 0.1, 0.5]}}
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from harness.common.text import cut
from harness.suite.validation import Strict

MOST = 1_000  # trials of a method
TRIALS = "tuning.csv"  # all of them, in the folder of `bench tune` and in that of a run of its best


def _tried_once(given: tuple[float, ...]) -> tuple[float, ...]:
    if len(set(given)) < len(given):
        raise ValueError(f"given {cut(repr(list(given)))}; each value is tried once")
    return given


Tried = Annotated[tuple[float, ...], Field(min_length=1), AfterValidator(_tried_once)]


class Span(Strict):
    """A range that a random search draws a setting from: one of the two."""

    log: tuple[float, float] | None = None
    """Least and greatest value, above 0; what is drawn evenly is the logarithm."""
    uniform: tuple[float, float] | None = None
    """Least and greatest value; what is drawn evenly is the value."""

    @model_validator(mode="after")
    def _one_range(self) -> "Span":
        if (self.log is None) == (self.uniform is None):
            raise ValueError("give one of log, uniform: [least, greatest]")
        low, high = self.ends
        if not low < high:
            raise ValueError(f"given [{low}, {high}]; the least value first, then a greater one")
        if self.log and low <= 0:
            raise ValueError(f"log: given [{low}, {high}]; both are greater than 0")
        return self

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest value."""
        ends = self.log or self.uniform
        assert ends
        return ends


class Score(Strict):
    """What trials are compared by: a benchmark's number in the main table, on validation questions."""

    benchmark: str
    """One of the suite's, or any other that is known: `mt-bench` by a judge, `reward` by a reward model."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the benchmark over those that the suite has for it: its judge, its reward model."""
    data: str | None = Field(None, min_length=1)
    """Validation questions, as the benchmark's own data, or a file of held-out pairs; no test questions."""
    hold_out: int | None = Field(None, gt=0)
    """In place of `data`: so many of the first pairs, on which trials do not train."""

    @model_validator(mode="after")
    def _one_source(self) -> "Score":
        if self.data is not None and self.hold_out is not None:
            raise ValueError("give one of data, hold_out")
        return self


class Tuning(Strict):
    """How `bench tune` chooses settings: equally many trials of every method, or equally many FLOPs."""

    score: Score | None = None
    """What trials are compared by; the rule of a generated world, if absent."""
    search: Literal["grid", "random"] = "grid"
    """Combinations of listed values, or Halton points of ranges and listed values."""
    trials: int | None = Field(None, gt=0, le=MOST)
    """Trials of each method; all of its grid, if absent, which is then as large for every method."""
    flops: float | None = Field(None, gt=0)
    """In place of `trials`: of each method as many as its own stages take no more FLOPs for."""
    seed: int = Field(0, ge=0)
    """Drives which settings are tried; trainings have the suite's seeds."""
    methods: dict[str, dict[str, Tried | Span]] = Field(default_factory=dict)
    """Values or a range of each setting, `lr` too; without any, learning rates from a tenth to ten times."""

    @model_validator(mode="after")
    def _one_budget(self) -> "Tuning":
        if self.trials is not None and self.flops is not None:
            raise ValueError("give one of trials, flops: the budget of each method")
        for method, settings in self.methods.items():
            for name, values in settings.items():
                if self.search == "grid" and isinstance(values, Span):
                    where = f"methods.{cut(method)}.{cut(name)}"
                    raise ValueError(f"{where}: a range; a grid has a list of values, `search: random` draws")
        return self
