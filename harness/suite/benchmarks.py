"""The benchmarks that a suite names with their settings, and the rows that it only measures."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pydantic import Field, model_validator

from benchmarks.declaration import Benchmark, JudgedSettings
from harness.common.suggest import nearest
from harness.common.text import cut
from harness.endpoints.wire import BENCHMARKS, MAX_REFUSED, MAX_WAIT, OPENAI_KEY
from harness.suite.judging import WithTemperature
from harness.suite.measurement import Chosen, MeasuredBenchmark
from harness.suite.validation import Strict, Url, Variable, validated
from reports.records.benchmarks import Benchmark as Shown
from reports.records.rows import BenchmarkName

Control = Literal["constant", "empty", "copy"]  # what no model should gain by
LIKE = "like"  # a suite's key: the benchmark that one's own questions are asked and judged like
# How an endpoint is asked.
ASKED = ("api_key_env", "temperature", "tokens_field", "attempts", "timeout", "max_refused", "max_wait")


class ExternalModel(Strict):
    """A row that is measured as it is, nothing trained: one of `path`, `url`, `answers` and `control`."""

    path: str | None = Field(None, min_length=1)
    """A folder or hub id, which answers here."""
    url: Url | None = None
    """An OpenAI-compatible endpoint, with its `/v1`."""
    model: str | None = Field(None, min_length=1)
    """The model's name at the endpoint; with `url` alone."""
    api_key_env: Variable = OPENAI_KEY
    """The environment variable with the endpoint's key; never the key itself."""
    temperature: WithTemperature = BENCHMARKS
    """What is sent in place of the benchmark's own; null sends none, nor top_p, for models that take none."""
    tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the endpoint calls the most tokens of an answer."""
    attempts: int = Field(6, gt=0)
    """Tries of a call that fails."""
    timeout: float = Field(600.0, gt=0)
    """Seconds of a call."""
    max_refused: float = Field(MAX_REFUSED, ge=0, le=1)
    """The share of calls that may get no answer: three in any case, or half of less than six; none with 0."""
    max_wait: float = Field(MAX_WAIT, ge=0)
    """Seconds that it may ask to wait; where it asks for more, the step fails at once."""
    answers: str | None = Field(None, min_length=1)
    """A model whose answers lie in the benchmark's data."""
    control: Control | None = None
    """An answer that should gain nothing: a fixed text, an empty one, the question copied."""

    @model_validator(mode="after")
    def _one(self) -> "ExternalModel":
        given = [k for k in ("path", "url", "answers", "control") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of path, url, answers, control, not {' and '.join(given) or 'none'}")
        if (self.url is None) != (self.model is None):
            raise ValueError("url and model belong together")
        fields = type(self).model_fields
        if self.url is None and (told := [n for n in ASKED if getattr(self, n) != fields[n].default]):
            raise ValueError(f"{' and '.join(told)}: of a row that is asked at a url, which this is not")
        return self


@dataclass(frozen=True)
class Benchmarks:
    """What each row is measured by, in the registry's order, then the suite's own."""

    chosen: Mapping[str, Chosen]

    def settings_by_name(self) -> dict[str, Any]:
        """Name -> settings."""
        return {name: one.settings for name, one in self.chosen.items()}

    def judged(self) -> dict[str, JudgedSettings]:
        """Those of them that a judge reads."""
        return {n: s for n, s in self.settings_by_name().items() if isinstance(s, JudgedSettings)}


def benchmarks_of(
    raw: Mapping[str, Mapping[str, Any] | None], known: Mapping[str, MeasuredBenchmark], where: str
) -> Benchmarks:
    """The key `benchmarks` of a suite; null takes a benchmark away. ValueError: one line."""
    chosen = {}
    for name, given in raw.items():
        key = f"benchmarks.{cut(name)}"
        if given is None:
            if name not in known:
                fault = f"null, but there is no {cut(repr(name))} to take away"
                raise ValueError(f"{where}: {key}: {fault}; {nearest(name, list(known))}")
            continue
        if not isinstance(given, Mapping):
            raise ValueError(
                f"{where}: {key}: given {cut(repr(given))}; settings, or {{}} for the benchmark's own"
            )
        settings = dict(given)
        # Without `like` a benchmark is like itself, so one line serves both.
        like = settings.pop(LIKE, name)
        if not isinstance(like, str) or like not in known:
            like_key = f"{key}.{LIKE}" if LIKE in given else key
            fault = f"no benchmark {cut(repr(like))}; {nearest(str(like), list(known))}"
            raise ValueError(f"{where}: {like_key}: {fault}")
        checked = validated(known[like].declaration.settings, settings, where, key)
        if like != name:
            _check_new(name, known, where)
        benchmark = known[like] if like == name else _renamed(known[like], name)
        told = noted(benchmark.declaration, checked.note())
        chosen[name] = Chosen(name, replace(benchmark, declaration=told), checked)
    # The registry's order, whatever a suite lists first: a row's records have one order.
    order = [*known, *chosen]
    return Benchmarks({name: chosen[name] for name in sorted(chosen, key=order.index)})


def described(name: str, declared: Benchmark) -> Shown:
    """A benchmark as the reports know it; ValueError, one line, where they could not show it."""
    row = {"name": name, **asdict(declared.presentation)}
    benchmark: Shown = validated(Shown, row, f"benchmark {name}")
    return benchmark


def _check_new(name: object, known: Mapping[str, MeasuredBenchmark], where: str) -> None:
    """Columns and folders of exports are called by the name: a fault must show before anything runs."""
    validated(BenchmarkName, name, where, f"benchmarks.{name}")
    if name in known:
        raise ValueError(
            f"{where}: benchmarks.{name}.{LIKE}: {name} is a benchmark itself; choose another name"
        )


def noted(declared: Benchmark, note: str) -> Benchmark:
    """A benchmark whose columns say what a suite adds to their own notes."""
    base = declared.presentation
    columns = (replace(c, note=", ".join(filter(None, (c.note, note)))) for c in base.columns)
    return replace(declared, presentation=replace(base, columns=tuple(columns)))


def _renamed(benchmark: MeasuredBenchmark, name: str) -> MeasuredBenchmark:
    """A benchmark as tables show it under another name; what papers published is of other questions.

    Its steps keep the name of the declaration, by which the store and workers know it.
    """
    base = benchmark.declaration.presentation
    # Published numbers are of the original's questions, and must not stand beside others.
    columns = (replace(c, title=c.title.replace(base.title, name), published={}) for c in base.columns)
    renamed = replace(base, title=name, columns=tuple(columns))
    return replace(benchmark, declaration=replace(benchmark.declaration, presentation=renamed))
