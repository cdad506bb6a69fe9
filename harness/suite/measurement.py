"""How a benchmark measures a row of the table: which steps it takes, and how their artifacts become values.

steps(row, chosen)       {"answers": Step, "judgments": Step}   or NotRun in place of a step
read(chosen, folders)    Value("score", "81", 7.0, group="writing"), ...
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from benchmarks.declaration import Benchmark
from harness.store.step import Part, Step


class NotRun(Exception):
    """Why a benchmark has no number for a row."""


Measures = Mapping[str, Step | NotRun]
Folders = Mapping[str, Path]  # the artifacts of `Measures`, by the same names


class Value(NamedTuple):
    """One number of a benchmark, before it knows whose it is; `status` says why there is none, where that is
    not that it could not be read, and `marks` what is to be told of it.
    """

    metric: str
    question: str
    value: float | None
    group: str = ""
    turn: int = 1
    order: str = ""
    tokens: int = 0
    truncated: bool = False
    reference: str = ""
    version: str = ""
    status: str = ""
    marks: tuple[str, ...] = ()


class SummaryValue(NamedTuple):
    """A number of a whole benchmark, and the reference that it compares with."""

    reference: str
    metric: str
    value: float


class Row(Protocol):
    """What a row of the table offers to what measures it; NotRun where it has no such thing."""

    @property
    def model(self) -> Step:
        """Its checkpoint."""

    @property
    def start(self) -> Step:
        """What its implicit reward is measured against: the model before its preference stages."""

    @property
    def teacher(self) -> Step:
        """The aligned teacher."""

    @property
    def teacher_ref(self) -> Step:
        """The teacher before its preference stage."""

    @property
    def held_out(self) -> Step:
        """The held-out pairs, in folders `chosen` and `rejected`."""

    @property
    def teacher_dtype(self) -> str:
        """The type that teachers compute in."""

    @property
    def chat_template(self) -> str | None:
        """The suite's template; None: the tokenizer's own."""

    @property
    def runtime(self) -> dict[str, Any]:
        """How steps run on this machine: context, no identity."""

    def folder(self, path: str) -> Step | Part:
        """A data folder from outside, or "world/..." of the generated world."""

    def judged(self, chosen: "Chosen", answers_to: "Chosen | None" = None) -> Measures:
        """Its answers to a benchmark's questions (to another's, where one is given) and their judgments."""

    def log_probs(self, model: Step, name: str, sequences: Step | Part, dtype: str = "float32") -> Step:
        """Realised log-probs of a set of sequences."""

    def greedy(self, max_tokens: int) -> Step:
        """Its greedy answers to the held-out prompts."""

    def rewards(self, model: str, responses: Step | Part, name: str, dtype: str, key: str = "model") -> Step:
        """What a reward model says of responses to the held-out prompts; `key` of the suite names it."""

    def selection_curve(self) -> dict[str, Step]:
        """The rewards of its checkpoints, where one of them was selected."""

    def objective(self) -> Step | None:
        """Its method's own loss on the held-out pairs; None for a row without a method."""


def no_summaries(folders: Folders) -> Iterable[SummaryValue]:
    """Of a benchmark whose records say all."""
    return ()


def no_export(out: Path, rows: Mapping[str, Folders]) -> None:
    """Of a benchmark whose declaration has the export of judged answers, or none at all."""


def no_training(folders: Folders, maximised: str) -> Mapping[str, float]:
    """Of a benchmark that says nothing of what training changed."""
    return {}


@dataclass(frozen=True)
class MeasuredBenchmark:
    """A benchmark and how it is measured. `file`: the --benchmark-file that defines it, "" for all others.

    `training` gives fields of a row of training.jsonl; its second argument names the mean that the row's
    method raises, "" where it lowers a loss. `export` writes rows, by their names, in the files of its tool.
    """

    declaration: Benchmark
    steps: Callable[[Row, "Chosen"], Measures]
    read: Callable[["Chosen", Folders], Iterable[Value]]
    summaries: Callable[[Folders], Iterable[SummaryValue]] = no_summaries
    training: Callable[[Folders, str], Mapping[str, float]] = no_training
    export: Callable[[Path, Mapping[str, Folders]], None] = no_export
    file: str = ""


class Chosen(NamedTuple):
    """A benchmark of a suite, under the name of its columns."""

    name: str
    benchmark: MeasuredBenchmark
    settings: Any  # of the declaration's own model

    @property
    def declaration(self) -> Benchmark:
        return self.benchmark.declaration
