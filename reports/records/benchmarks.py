"""What a run's benchmarks are: the file `benchmarks.json` beside `results.jsonl`, by which reports know them.

    [{"name": "my-bench", "title": "My bench", "summary_unit": "score",
      "columns": [{"metric": "score", "title": "My bench", "unit": "score", "alignment_tax": "gain"}],
      "categories": {"prefix": "score/", "range": [1, 10], "note": "mean of both turns, 1-10"}}, ...]

It holds every benchmark that the run's registry knows, measured or not, in the order of the tables' columns.
`benchmarks_default.json` describes runs that were written before there was such a file.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, RootModel, ValidationError

from reports.records import jsonl
from reports.records.rows import BenchmarkName

NAME = "benchmarks.json"
Unit = Literal[
    "score", "share", "nats", "loss", "tokens", "count", "flops", "seconds", "usd", "p", "rank", "text"
]


class Frozen(BaseModel):
    """A row of the file: a key that it does not know is an error, not a property that nothing reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Tasks(Frozen):
    """A benchmark that averages over tasks, which weigh alike; a record's `group` is its task.

    `titles` names the tasks of the whole benchmark, for people; `subtasks` maps the beginning of a group's
    name to the task that such groups are parts of: {"mmlu_": "mmlu"}, its 57 subjects weigh as one task.
    """

    titles: dict[str, str] = {}
    subtasks: dict[str, str] = {}

    def task(self, group: str) -> str:
        """The task that a record's group belongs to."""
        return next((task for start, task in self.subtasks.items() if group.startswith(start)), group)


class Categories(Frozen):
    """Summaries by category, drawn as a heat map: "score/writing" and "score/math" with prefix "score/"."""

    prefix: str
    range: tuple[float, float]
    note: str = ""


class BenchmarkColumn(Frozen):
    """A number of the benchmark that the tables show.

    `aggregate`: "mean" is the mean over questions of the records of `metric`, tested and with a bootstrap
    interval; "summary" is the benchmark's own number of that name in `summaries.jsonl`, whose `bounds` name
    the ends of its interval and `count` its number of items. Values are in the records' unit (shares 0-1).
    `best`: the highest value is the best; else the column only describes.
    `judged` is the metric of the judgments behind a summary, where that is not its own name.
    `both_orders`: a question that was asked in two orders and has a verdict in one alone is half-judged:
    counted, and in no number. Else it has the verdict that there is.
    `parts`: where the summary is missing, a column for each that begins so, titled by its task.
    `note` says what the number is; `reference_note` stands where the reference is itself a row of the table.
    `published` maps a paper ("adpa", "pad") to the name of the number that it publishes of this column.
    `alignment_tax`: what alignment gains, or what it may cost, in the figure of one against the other.
    """

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
    published: dict[str, str] = {}
    alignment_tax: Literal["", "gain", "cost"] = ""


class Benchmark(Frozen):
    """A benchmark as the reports see it: how it is called, its columns, and what its records mean.

    `family` is the title of several versions together, where notes need not tell them apart.
    `length_of` is what a record's `tokens` and `truncated` describe. `summary_unit` is the unit of those
    numbers in `summaries.jsonl` that are no counts and no lengths. `flags` are summaries that are 0 or 1:
    metric -> the footnote where it is 1. `checkpoint_metric` is the metric of the records whose group is the
    optimizer step of a checkpoint.
    """

    name: BenchmarkName
    title: str
    family: str = ""
    columns: tuple[BenchmarkColumn, ...] = ()
    tasks: Tasks | None = None
    categories: Categories | None = None
    length_of: Literal["answer", "prompt"] = "answer"
    summary_unit: Unit = "share"
    flags: dict[str, str] = {}
    checkpoint_metric: str = ""

    def both_orders(self, metric: str) -> bool:
        """Whether a column of this metric wants the verdicts of both orders."""
        return any(c.both_orders for c in self.columns if c.metric == metric)


class Benchmarks(RootModel[tuple[Benchmark, ...]]):
    """All benchmarks of a run, in the order of their columns."""

    model_config = ConfigDict(frozen=True)

    def __iter__(self) -> Iterator[Benchmark]:  # type: ignore[override]  # pydantic iterates over fields
        return iter(self.root)

    def get(self, name: str) -> Benchmark:
        """The benchmark of this name; one that the file does not know has no columns."""
        return next((b for b in self.root if b.name == name), None) or Benchmark(name=name, title=name)

    def units(self, name: str) -> dict[str, Unit]:
        """The unit of each column of a benchmark, by its metric."""
        return {column.metric: column.unit for column in self.get(name).columns}

    def publishing(self, paper: str, number: str) -> str:
        """The benchmarks of a number that a paper publishes, for a sentence: "My bench or Your bench"."""
        return " or ".join(
            b.title for b in self.root if any(c.published.get(paper) == number for c in b.columns)
        )

    def text(self) -> str:
        """The file's text."""
        return self.model_dump_json(indent=1, exclude_defaults=True) + "\n"


def read(folder: Path) -> Benchmarks:
    """The benchmarks of a run's folder; ValueError where the file says what reports do not know, or is not as
    the run wrote it: units decide what numbers say.
    """
    path = folder / NAME
    if not path.is_file():
        if NAME in jsonl.checksums(folder):
            raise ValueError(f"{path}: no file; {jsonl.ANEW}")
        return DEFAULT
    jsonl.check_written(path, jsonl.checksum(path))
    try:
        return Benchmarks.model_validate_json(path.read_bytes())
    except ValidationError as e:
        raise ValueError(f"{path}: not the benchmarks of a run: {jsonl.first_fault(e)}") from e


DEFAULT = Benchmarks.model_validate_json(Path(__file__).with_name("benchmarks_default.json").read_bytes())
