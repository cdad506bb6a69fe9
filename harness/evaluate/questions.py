"""Benchmarks that put questions to a model: what a suite asks of them, their steps, and their values."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Protocol

from benchmarks.api import Answer, JudgedBenchmark, Question
from benchmarks.declaration import Benchmark, QuestionSettings
from harness.common.cost import Cost
from harness.common.files import read_json_lines
from harness.endpoints.prices import Prices, Usage
from harness.evaluate import benchmark_files
from harness.store.step import Sizes
from harness.suite.judging import Repeats
from harness.suite.measurement import Chosen, Folders, MeasuredBenchmark, Measures, Row, SummaryValue, Value
from harness.suite.schema import Suite

# The names of measures; of a comparison with a row, "judgments.<row>" and "repeats.<row>".
JUDGMENTS, REPEATS = "judgments", "repeats"


class JudgingSizes(Sizes, Protocol):
    """What the estimate of a judge's calls looks up besides."""

    @property
    def suite(self) -> Suite:
        """The suite, which says who judges what."""

    @property
    def prices(self) -> Prices:
        """What endpoints charge."""


def load(
    declared: Benchmark, folder: Path, settings: Mapping[str, Any]
) -> tuple[list[Question], JudgedBenchmark]:
    """The first `limit` questions of a benchmark and its functions, from the settings of a step."""
    assert declared.load, f"{declared.name} asks no questions"
    questions, benchmark = declared.load(folder, _settings(declared, settings))
    if not questions:
        raise ValueError(f"{folder}: its files hold no questions")
    return questions[: settings.get("limit")], benchmark


def stored(
    declared: Benchmark, folder: Path, settings: Mapping[str, Any], model: str, needed: Sequence[Question]
) -> list[Answer]:
    """Answers to the questions that lie in the data: of a named model, or of the authors' "baseline"."""
    answers = declared.stored and declared.stored(folder, _settings(declared, settings), model)
    if not answers:
        raise ValueError(f"{declared.name}: its data holds no answers of {model!r}")
    if missing := [q.id for q in needed if q.id not in answers]:
        raise ValueError(
            f"{declared.name}: {model} has no answer to {len(missing)} of {len(needed)} questions, "
            f"{missing[0]} the first"
        )
    return [answers[q.id] for q in needed]


def _settings(declared: Benchmark, settings: Mapping[str, Any]) -> Any:
    """A declaration's settings from those of a step, where "judge" is who the judge is and not its name."""
    # Who judges and what is compared are inputs and settings of the step's own, in another form.
    own = declared.settings.model_fields.keys() - {"judge", "reference"}
    return declared.settings.model_validate({k: v for k, v in settings.items() if k in own})


def read_answers(folder: Path) -> dict[str, Answer]:
    """Question id -> answer, of an artifact of answers."""
    lists = [f.name for f in fields(Answer) if f.name != "question"]
    rows = read_json_lines(folder / "answers.jsonl")
    return {r["question"]: Answer(r["question"], **{n: tuple(r.get(n, ())) for n in lists}) for r in rows}


def measured(declared: Benchmark, file: str = "") -> MeasuredBenchmark:
    """A benchmark of questions with the steps that all of these share; ValueError where it has a fault."""
    fault = f"benchmark {declared.name}"
    if not (isinstance(declared.settings, type) and issubclass(declared.settings, QuestionSettings)):
        raise ValueError(f"{fault}: settings: given {declared.settings!r}; must be a QuestionSettings")
    if declared.load is None:
        raise ValueError(f"{fault}: load: missing; it gives the questions")
    means = [c.metric for c in declared.presentation.columns if c.aggregate == "mean"]
    if misspelt := [metric for metric in means if metric != declared.metric]:
        raise ValueError(f"{fault}: a column of {misspelt[0]!r}, but its records hold {declared.metric!r}")
    return MeasuredBenchmark(declared, steps, read, summaries, file=file)


def steps(row: Row, chosen: Chosen) -> Measures:
    """A row's answers, and what a judge or a rule of the benchmark says of them."""
    return row.judged(chosen)


def read(chosen: Chosen, folders: Folders) -> Iterator[Value]:
    """Every judgment; those against a reference stand in a folder of its name."""
    for _, value in _verdicts(chosen, folders, JUDGMENTS):
        yield value


def read_repeats(chosen: Chosen, folders: Folders) -> Iterator[tuple[int, str, Value]]:
    """Every verdict that was asked for again: its repeat, from 1, the hash of its request, and its value."""
    for row, value in _verdicts(chosen, folders, REPEATS):
        yield row["repeat"], row["request"], value


def _verdicts(chosen: Chosen, folders: Folders, measure: str) -> Iterator[tuple[Mapping[str, Any], Value]]:
    """The rows of all judgments of a measure, and their values."""
    answers, missing = read_answers(folders["answers"]), chosen.declaration.unparsed
    for name in (n for n in folders if n.partition(".")[0] == measure):
        for row in read_json_lines(folders[name] / f"{measure}.jsonl"):
            answer, index = answers[row["question"]], row["turn"] - 1
            status = row.get("status", "")
            unread = None if status else missing
            yield (
                row,
                Value(
                    chosen.declaration.metric,
                    row["question"],
                    unread if row["value"] is None else row["value"],
                    row["category"],
                    row["turn"],
                    row["order"],
                    answer.tokens[index],
                    answer.truncated[index],
                    name.partition(".")[2],
                    status=status,
                    marks=tuple(row.get("marks", ())),
                ),
            )


def summaries(folders: Folders) -> Iterator[SummaryValue]:
    """Every number that the benchmark's own way of adding up gives."""
    for name in (n for n in folders if n.startswith(JUDGMENTS)):
        for metric, value in json.loads((folders[name] / "metrics.json").read_text()).items():
            yield SummaryValue(name.partition(".")[2], metric, value)


def judge_usage(chosen: Chosen, repeats: Repeats | None = None) -> Usage:
    """What judging one row takes, against one reference: the typical usage in proportion to the questions.

    With `repeats`, what asking again takes on top of that.
    """
    known, *typical = chosen.declaration.usage
    count = _number_of_questions(chosen)
    # Typical tokens were measured on all questions; fewer take their share.
    asked = known if count is None else count
    verdicts = repeats.count(asked) * (repeats.times - 1) if repeats else asked
    orders = chosen.declaration.orders(chosen.settings)
    return Usage(*(round(n * (verdicts / known)) * orders for n in typical))


def judging_cost(
    benchmark: str,
    judge_of_step: Mapping[str, Any],
    context: Mapping[str, Any],
    sizes: JudgingSizes,
    repeats: Repeats | None = None,
) -> Cost:
    """Calls to an endpoint, and their price, for first verdicts or, with `repeats`, for those that follow; a
    judge that is computed costs nothing.
    """
    # The suite may have a name of its own for the benchmark.
    chosen = sizes.suite.benchmarks.chosen[context.get("benchmark_name", benchmark)]
    judge = sizes.suite.judges.get(chosen.settings.judged_by())
    if judge is None or judge.kind.endpoint is None:
        return Cost(work="judge")
    usage = judge_usage(chosen, repeats)
    cost = Cost(
        "judge",
        calls=usage.calls,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
    )
    if judge.kind.served:
        note = f"the time of {judge_of_step['model']}, which is served here, is not in the estimate"
        return replace(cost, assumed=(note,))
    usd = judge.kind.usd(judge.settings, sizes.prices, usage)
    note = f"tokens of judging {chosen.declaration.name}: typical ones"
    return replace(cost, usd=usd, disk=4.0 * usage.completion_tokens, assumed=(note,))


def _number_of_questions(chosen: Chosen) -> int | None:
    """How many questions are asked: of the data where it is at hand, else the published number."""
    declared, settings = chosen.declaration, chosen.settings
    limit: int | None = settings.limit
    try:
        if settings.data:
            folder = Path(settings.data)
        elif declared.data_set:
            folder = benchmark_files.find(declared.data_set)
        else:
            return limit
        loaded, _ = load(declared, folder, settings.model_dump())
    except (ValueError, OSError, KeyError):
        return limit
    return len(loaded)
