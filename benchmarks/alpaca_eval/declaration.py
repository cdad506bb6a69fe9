"""AlpacaEval 1 and 2 as the registry has them: settings, data, columns, export."""

import json
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from benchmarks.alpaca_eval import benchmark, files, reference
from benchmarks.alpaca_eval import length_controlled as lc
from benchmarks.api import Answer, JudgedBenchmark, Question, Reply, Score, Unparsed
from benchmarks.declaration import (
    BASELINE,
    Benchmark,
    ComparedSettings,
    DataSet,
    JudgedAnswers,
    Presentation,
    QuestionSizes,
    TypicalUsage,
)
from benchmarks.referee import Referee

FOLDER = Path(__file__).parent
DATA_SET = DataSet.pinned(FOLDER / "data.json")


class AlpacaEvalSettings(ComparedSettings):
    """A judge says which of two answers is better."""

    order: Literal["random", "both"] = "both"
    """One seeded order of the two answers an item, as upstream, or both."""


class AlpacaEval2Settings(AlpacaEvalSettings):
    """The weighted judge, one seeded order as upstream unless told otherwise."""

    order: Literal["random", "both"] = "random"
    """One seeded order of the two answers an item, as upstream, or both."""


def load(
    folder: Path, settings: AlpacaEvalSettings, evaluator: str = benchmark.RANKED
) -> tuple[list[Question], JudgedBenchmark]:
    """The questions, and one of upstream's evaluators."""
    max_tokens = settings.max_tokens or benchmark.MAX_TOKENS
    return benchmark.load(folder, evaluator=evaluator, order=settings.order, max_tokens=max_tokens)


def _stored(evaluator: str, folder: Path, settings: AlpacaEvalSettings, model: str) -> dict[str, Answer]:
    """A model's outputs, or those of the evaluator's own baseline."""
    if model != BASELINE:
        return benchmark.baseline(folder, model)
    questions = files.read_questions(folder, tuple(benchmark.BASELINE.values()))
    return reference.read(folder, benchmark.BASELINE[evaluator], questions, DATA_SET)


def export(out: Path, judged: Sequence[JudgedAnswers]) -> None:
    """gpt-4/baseline/leaderboard.csv and, below it, ADPA/model_outputs.json and ADPA/annotations.json."""
    boards: dict[Path, dict[str, Any]] = defaultdict(dict)
    controlled: dict[Path, list[JudgedAnswers]] = defaultdict(list)
    for one in judged:
        folder = out / one.judge_folder / one.reference_folder
        scores, judged_ones, replies, unjudged = [], [], {}, dict[str, str]()
        for q, item, row in one.requests():
            value = Unparsed(row["reply"]) if row["value"] is None else float(row["value"])
            scores.append(Score(q.id, value, q.category, 1, row["order"], item.covariates))
            if row["request"] or not row.get("status"):
                judged_ones.append(scores[-1])
            else:
                unjudged[q.id] = row["status"]
            if row["request"] and not row.get("status"):  # what was refused or filtered was not read
                replies[q.id] = Reply(row["reply"], row["logprobs"], row["finish_reason"])
        values = benchmark.item_values(scores)
        ours, theirs = files.Side(one.row, one.answers), files.Side(one.reference, one.reference_answers)
        once = len(scores) == len(values)
        said = replies if once else None
        rows = files.annotations(
            one.questions, theirs, ours, values, annotator=one.judge, replies=said, unjudged=unjudged
        )
        _write(folder / one.row / "model_outputs.json", files.model_outputs(one.questions, ours))
        _write(folder / one.row / "annotations.json", rows)
        metrics = one.benchmark.aggregate(judged_ones)
        boards[folder][one.row] = files.leaderboard_row(values, metrics)
        if "lc_win_rate" in metrics:
            controlled[folder].append(one)
    for folder, rows_of in controlled.items():
        _write_controls(folder, rows_of)
    for folder, board in boards.items():
        (folder / "leaderboard.csv").write_text(files.leaderboard(board))


def _write_controls(folder: Path, judged: Sequence[JudgedAnswers]) -> None:
    """What the length-controlled code was given besides: its file of gamed answers, and which instruction of
    the 805 each one is. length_controlled.json: {"gamed": "df_gamed.csv", "rows": ["ADPA"], "places": {...}}
    """
    one = judged[0]
    baseline = files.read_rows(files.outputs_path(one.data, benchmark.BASELINE[benchmark.WEIGHTED]))
    gamed, places = lc.find_gamed(one.data), lc.places([row["instruction"] for row in baseline])
    assert gamed and places, "without these there is no length-controlled win rate"
    shutil.copyfile(gamed.path, folder / gamed.path.name)
    asked = {q.turns[0]: places[q.turns[0]] for q in one.questions}
    told = {"gamed": gamed.path.name, "rows": [of.row for of in judged], "places": asked}
    _write(folder / "length_controlled.json", told)


def _write(path: Path, rows: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False))


def _orders(settings: AlpacaEvalSettings) -> int:
    """The typical usage is that of one order."""
    return 2 if settings.order == "both" else 1


REFEREE = Referee(
    "alpaca-eval",
    FOLDER / "referee.py",
    {
        "difficulty": "an instruction's difficulty is looked up by its place among the 805; alpaca_eval takes"
        " the row's number",
        "judged items": "the length-controlled fit and its mean are of the items with a verdict; alpaca_eval "
        "predicts the others too",
        "whole characters": "alpaca_eval cuts the mean length to a whole number",
        "answers there": "what has no answer is in no number",
        "same rank": "two answers of one rank tie; alpaca_eval looks at the rank of the first alone",
        "thoughts": "what a judge thought before its reply is not read here",
        "spelling": "a name may bear its tokenizer's mark of a word's beginning; alpaca_eval knows m and M",
    },
)
ONE = Benchmark(
    name="alpaca-eval",
    settings=AlpacaEvalSettings,
    metric="win_rate",
    presentation=Presentation.described(FOLDER / "presentation.json", "alpaca-eval"),
    data_set=DATA_SET,
    load=load,
    stored=partial(_stored, benchmark.RANKED),
    judging=("order",),
    sizes=QuestionSizes(805, prompt=60, max_tokens=benchmark.MAX_TOKENS),
    # Tokens follow from what its judgments were recorded to cost, USD 12.7 with gpt-4.
    usage=TypicalUsage(805, 805, 376_000, 23_700),
    orders=_orders,
    comparison=partial(benchmark.comparison, benchmark.RANKED, "both"),
    export=export,
    referee=REFEREE,
    defaults={"order": "random"},  # as upstream
)
TWO = replace(
    ONE,
    name="alpaca-eval-2",
    settings=AlpacaEval2Settings,
    presentation=Presentation.described(FOLDER / "presentation.json", "alpaca-eval-2"),
    load=partial(load, evaluator=benchmark.WEIGHTED),
    stored=partial(_stored, benchmark.WEIGHTED),
    logprobs=True,
    usage=TypicalUsage(805, 805, 1_000_000, 805),
    comparison=partial(benchmark.comparison, benchmark.WEIGHTED, "both"),
    defaults={},
)
