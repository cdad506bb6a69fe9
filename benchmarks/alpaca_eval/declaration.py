"""AlpacaEval 1 and 2 as the registry has them: settings, data, columns, export."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from benchmarks.alpaca_eval import benchmark, files
from benchmarks.api import Answer, JudgedBenchmark, Question, Reply, Score, Unparsed
from benchmarks.declaration import (
    BASELINE,
    Benchmark,
    Column,
    ComparedSettings,
    DataSet,
    JudgedAnswers,
    Presentation,
    QuestionSizes,
    TypicalUsage,
)

DATA_SET = DataSet.pinned(Path(__file__).with_name("data.json"))


class AlpacaEvalSettings(ComparedSettings):
    """order: one seeded order an item as upstream, or both."""

    order: Literal["random", "both"] = "both"


class AlpacaEval2Settings(AlpacaEvalSettings):
    """The weighted judge, one seeded order as upstream unless told otherwise."""

    order: Literal["random", "both"] = "random"


def load(
    folder: Path, settings: AlpacaEvalSettings, evaluator: str = benchmark.RANKED
) -> tuple[list[Question], JudgedBenchmark]:
    """The questions, and one of upstream's evaluators."""
    max_tokens = settings.max_tokens or benchmark.MAX_TOKENS
    return benchmark.load(folder, evaluator=evaluator, order=settings.order, max_tokens=max_tokens)


def _stored(evaluator: str, folder: Path, settings: AlpacaEvalSettings, model: str) -> dict[str, Answer]:
    """A model's outputs, or those of the evaluator's own baseline."""
    return benchmark.baseline(folder, benchmark.BASELINE[evaluator] if model == BASELINE else model)


def export(out: Path, judged: Sequence[JudgedAnswers]) -> None:
    """gpt-4/baseline/leaderboard.csv and, below it, ADPA/model_outputs.json and ADPA/annotations.json."""
    boards: dict[Path, dict[str, Any]] = defaultdict(dict)
    for one in judged:
        folder = out / one.judge_folder / one.reference_folder
        scores, replies = [], {}
        for q, item, row in one.requests():
            value = Unparsed(row["reply"]) if row["value"] is None else float(row["value"])
            scores.append(Score(q.id, value, q.category, 1, row["order"], item.covariates))
            if row["request"]:
                replies[q.id] = Reply(row["reply"], row["logprobs"], row["finish_reason"])
        values = benchmark.item_values(scores)
        ours, theirs = files.Side(one.row, one.answers), files.Side(one.reference, one.reference_answers)
        once = len(scores) == len(values)
        rows = files.annotations(
            one.questions, theirs, ours, values, annotator=one.judge, replies=replies if once else None
        )
        _write(folder / one.row / "model_outputs.json", files.model_outputs(one.questions, ours))
        _write(folder / one.row / "annotations.json", rows)
        boards[folder][one.row] = files.leaderboard_row(values, one.benchmark.aggregate(scores))
    for folder, board in boards.items():
        (folder / "leaderboard.csv").write_text(files.leaderboard(board))


def _write(path: Path, rows: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False))


def _orders(settings: AlpacaEvalSettings) -> int:
    """The typical usage is that of one order."""
    return 2 if settings.order == "both" else 1


def _comparison(evaluator: str) -> Callable[[], JudgedBenchmark]:
    return partial(benchmark.comparison, evaluator, "both")


SIZES = QuestionSizes(805, prompt=60, max_tokens=benchmark.MAX_TOKENS)
ONE = Benchmark(
    name="alpaca-eval",
    settings=AlpacaEvalSettings,
    metric="win_rate",
    presentation=Presentation(
        title="AlpacaEval",
        columns=(
            Column(
                "win_rate",
                "AlpacaEval WR (%)",
                "share",
                reference_note="an AlpacaEval row equal to its reference is 50 by definition",
                published={"adpa": "win_rate"},
                alignment_tax="gain",
            ),
        ),
    ),
    data_set=DATA_SET,
    load=load,
    stored=partial(_stored, benchmark.RANKED),
    judging=("order",),
    sizes=SIZES,
    # Tokens follow from what its judgments were recorded to cost, USD 12.7 with gpt-4.
    usage=TypicalUsage(805, 805, 376_000, 23_700),
    orders=_orders,
    comparison=_comparison(benchmark.RANKED),
    export=export,
    defaults={"order": "random"},  # as upstream
)
TWO = Benchmark(
    name="alpaca-eval-2",
    settings=AlpacaEval2Settings,
    metric="win_rate",
    presentation=Presentation(
        title="AlpacaEval 2",
        columns=(
            Column(
                "win_rate",
                "AlpacaEval 2 WR (%)",
                "share",
                published={"pad": "win_rate"},
                alignment_tax="gain",
            ),
            Column(
                "lc_win_rate",
                "AlpacaEval 2 LC (%)",
                "share",
                aggregate="summary",
                bounds=("lc_low", "lc_high"),
                count="n",
                judged="win_rate",
                note="alpaca_eval's GLM; interval: bootstrap over instructions with the GLM refitted, "
                "B = 1,000",
                published={"pad": "lc_win_rate"},
            ),
        ),
        flags={"lc_stand_in": "df_gamed.csv is a stand-in"},
    ),
    data_set=DATA_SET,
    load=partial(load, evaluator=benchmark.WEIGHTED),
    stored=partial(_stored, benchmark.WEIGHTED),
    judging=("order",),
    logprobs=True,
    sizes=SIZES,
    usage=TypicalUsage(805, 805, 1_000_000, 805),
    orders=_orders,
    comparison=_comparison(benchmark.WEIGHTED),
    export=export,
)
