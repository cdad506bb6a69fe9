"""What a benchmark declares of itself: one folder, and one line in benchmarks/registry.py.

    Benchmark(name="gsm8k-cot", settings=QuestionSettings, metric="accuracy", load=load, unparsed=0.0,
              presentation=Presentation("GSM8K 0-shot CoT", (Column("accuracy", "GSM8K (%)", "share"),)))

Declarations are data and pure functions; who answers, who judges, and where that runs is the harness's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, field_validator

from benchmarks.api import Answer, JudgedBenchmark, JudgeRequest, Question, Score
from benchmarks.referee import Referee

MOST_TOKENS = 1_000_000  # of an answer: no model has positions for more
BASELINE = "baseline"  # as a reference: the answers that the benchmark's authors compare with
Unit = Literal["score", "share", "nats", "tokens", "count"]
# What a row of judgments.jsonl holds: see harness/evaluate/judgments.py.
JudgmentRow = Mapping[str, Any]


OPTIONAL: dict[str, JsonValue] = {"optional": True}


def optional(default: Any) -> Any:
    """A setting that is part of an id only where it is not its default: ids from before it was there hold."""
    return Field(default, json_schema_extra=OPTIONAL)


class BenchmarkSettings(BaseModel):
    """What a suite says of a benchmark: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def unset(self) -> set[str]:
        """The settings that are `optional` and have their defaults."""
        fields = type(self).model_fields.items()
        return {n for n, f in fields if f.json_schema_extra == OPTIONAL and getattr(self, n) == f.default}

    def judged_by(self) -> str:
        """Who judged, for the records; "" where nobody did."""
        return ""

    def note(self) -> str:
        """What of these settings stands below each table with the benchmark's columns; "" for nothing."""
        return ""

    def reference_answers(self) -> str:
        """The set of reference answers that a judge is shown, for the records."""
        return ""


class FrozenModelSettings(BenchmarkSettings):
    """A frozen model gives numbers."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """What the model computes in; other than float32 it is told below tables."""

    def note(self) -> str:
        return "" if self.dtype == "float32" else f"computed in {self.dtype}"


class QuestionSettings(BenchmarkSettings):
    """Questions are put to a model."""

    data: str | None = Field(None, min_length=1)
    """A folder with the questions, or `world/...`; what `bench data` fetched or added, if absent."""
    max_tokens: int | None = Field(None, gt=0, le=MOST_TOKENS)
    """The most tokens of an answer; the benchmark's own limit, if absent."""
    limit: int | None = Field(None, gt=0)
    """The first so many questions; all, if absent."""
    thoughts: Literal["strip", "keep"] = optional("strip")
    """`<think>...</think>` before an answer is taken out, of earlier turns too, or is part of it."""


class JudgedSettings(QuestionSettings):
    """A judge reads the answers."""

    judge: str = "rule"
    """Who reads the answers: a name of `judges`, or a kind that needs no settings."""

    def judged_by(self) -> str:
        return self.judge


class ComparedSettings(JudgedSettings):
    """A judge compares the answers with those of another row of the table, or of each of several."""

    reference: tuple[str, ...] = Field((BASELINE,), min_length=1)
    """The row or rows to compare with; `baseline` is the authors' own answers."""

    @field_validator("reference", mode="before")
    @classmethod
    def _one_or_several(cls, given: object) -> object:
        return (given,) if isinstance(given, str) else given


@dataclass(frozen=True)
class DataFile:
    """One file of a data set, pinned by its content. Without those that are `needed` nothing can be run.

    sha256  of its bytes; with `fields`, of these fields of the rows of its JSON list (json_files.rows_hash)
    note    what whoever has to find the file should know
    """

    name: str
    url: str
    sha256: str
    needed: bool = True
    fields: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class DataSet:
    """The files of a benchmark under the names that its loader reads, and the licence their homes state."""

    name: str
    licence: str
    files: tuple[DataFile, ...]

    @classmethod
    def pinned(cls, file: Path) -> "DataSet":
        """The data set that a JSON file pins: name, licence, and of each file name, url and sha256."""
        return TypeAdapter(cls).validate_json(file.read_bytes())


@dataclass(frozen=True)
class Column:
    """A number that the tables show; reports/records/benchmarks.py says what each property means."""

    metric: str
    title: str
    unit: Unit
    best: bool = True
    aggregate: Literal["mean", "summary"] = "mean"
    bounds: tuple[str, str] | None = None
    count: str = ""
    judged: str = ""
    both_orders: bool = False
    parts: str = ""
    note: str = ""
    reference_note: str = ""
    published: Mapping[str, str] = field(default_factory=dict)
    alignment_tax: Literal["", "gain", "cost"] = ""


@dataclass(frozen=True)
class Tasks:
    """The tasks that a benchmark averages over; `subtasks`: beginning of a group's name -> its task."""

    titles: Mapping[str, str] = field(default_factory=dict)
    subtasks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Categories:
    """Summaries by category, drawn as a heat map: "score/writing", "score/math" with prefix "score/"."""

    prefix: str
    range: tuple[float, float]
    note: str = ""


@dataclass(frozen=True)
class Presentation:
    """How tables and figures show a benchmark: what a run writes into `benchmarks.json` for the reports."""

    title: str
    columns: tuple[Column, ...] = ()
    family: str = ""
    tasks: Tasks | None = None
    categories: Categories | None = None
    length_of: Literal["answer", "prompt"] = "answer"
    summary_unit: Unit = "share"
    flags: Mapping[str, str] = field(default_factory=dict)
    checkpoint_metric: str = ""

    @classmethod
    def described(cls, file: Path, name: str) -> "Presentation":
        """That of one of the benchmarks which a JSON file describes by name; an unknown key is an error."""
        presentations = TypeAdapter(dict[str, Presentation], config=ConfigDict(extra="forbid"))
        return presentations.validate_json(file.read_bytes())[name]


class TypicalUsage(NamedTuple):
    """What judging one model takes, measured with upstream's judge: calls and tokens for all questions."""

    questions: int
    calls: int
    prompt_tokens: int
    completion_tokens: int


class QuestionSizes(NamedTuple):
    """Questions, their turns, mean tokens of a turn's prompt, and the most tokens of an answer."""

    questions: int
    turns: int = 1
    prompt: int = 100
    max_tokens: int = 1024


EIGHTY_QUESTIONS = QuestionSizes(80)
MT_BENCH_USAGE = TypicalUsage(80, 160, 130_000, 30_000)


class JudgedAnswers(NamedTuple):
    """The answers of one row as one judge read them, against one reference where the benchmark compares.

    `row` and `reference` are what the two are called in an export ("baseline": the authors' own);
    `judge_folder` and `reference_folder` are names as parts of a path; `data` is the folder of the questions.
    """

    row: str
    judge: str
    reference: str
    judge_folder: str
    reference_folder: str
    questions: list[Question]
    benchmark: JudgedBenchmark
    answers: dict[str, Answer]
    reference_answers: dict[str, Answer]
    judgments: list[dict[str, Any]]
    data: Path

    def requests(self) -> Iterator[tuple[Question, JudgeRequest | Score, JudgmentRow]]:
        """What was asked or settled without asking, and the row of judgments.jsonl that came of it."""
        rows = iter(self.judgments)
        for q in self.questions:
            for item in self.benchmark.requests(q, self.answers[q.id], self.reference_answers.get(q.id)):
                yield q, item, next(rows)


@dataclass(frozen=True)
class Benchmark:
    """One benchmark. `metric` names the value of each record, also of one that says why there is none.

    load            (folder, settings) -> all questions, and how they are asked, judged and added up
    stored          (folder, settings, model) -> answers that lie in the data; None: it holds none of theirs
    unparsed        the value of an answer without a verdict; None: it has none, and is counted
    judging         settings that only judging reads: answers do not depend on them
    revision        raised where the same answers get other judgments than before: part of their ids
    logprobs        whether the verdict is in the log-probs of the judge's first token
    usage, orders   what judging takes, and how often each pair is shown under these settings
    comparison      the judge's prompt for any two answers, in both orders, to check judges with
    export          writes judged answers in the files of the benchmark's own tool
    referee         that tool, which adds an export up again
    defaults        what `bench eval` sets where nothing is said
    any_model       whether models that were not trained here can be measured
    likelihoods     whether it needs log-likelihoods of given texts, which endpoints do not give
    tuning_data     the world's data to choose settings on, for `bench tune`
    """

    name: str
    settings: type[BenchmarkSettings]
    metric: str
    presentation: Presentation
    data_set: DataSet | None = None
    load: Callable[[Path, Any], tuple[list[Question], JudgedBenchmark]] | None = None
    stored: Callable[[Path, Any, str], Mapping[str, Answer] | None] | None = None
    unparsed: float | None = None
    judging: tuple[str, ...] = ()
    revision: int = 1
    logprobs: bool = False
    sizes: QuestionSizes = EIGHTY_QUESTIONS
    usage: TypicalUsage = MT_BENCH_USAGE
    orders: Callable[[Any], int] = lambda settings: 1
    comparison: Callable[[], JudgedBenchmark] | None = None
    export: Callable[[Path, Sequence[JudgedAnswers]], None] | None = None
    referee: Referee | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    any_model: bool = True
    likelihoods: bool = False
    tuning_data: str = ""

    @property
    def judged(self) -> bool:
        """Whether a judge reads its answers."""
        return issubclass(self.settings, JudgedSettings)
