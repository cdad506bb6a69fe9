"""The published AlpacaEval files, as the tests of its three modules read them."""

import csv
import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.api import Answer, JudgedBenchmark, JudgeRequest, Question, Score, Unparsed


def annotations(shared_data: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(shared_data / f"alpaca_eval/annotations_{name}.json.gz", "rt", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = json.load(file)
    return rows


def published(shared_data: Path, evaluator: str) -> dict[str, dict[str, str]]:
    """Model -> its row of the leaderboard."""
    path = shared_data / f"alpaca_eval/leaderboards/{evaluator}_leaderboard.csv"
    with path.open(encoding="utf-8") as file:
        return {row[""]: row for row in csv.DictReader(file)}


def preferences(shared_data: Path, name: str) -> dict[str, list[dict[str, str]]]:
    """Model -> its rows of preferences_<name>.csv.gz."""
    found = defaultdict(list)
    with gzip.open(shared_data / f"alpaca_eval/preferences_{name}.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found[row["model"]].append(row)
    return dict(found)


def scores(values: list[float | None]) -> list[Score]:
    """Published preferences, 1-2, 0 for equal outputs and None without a verdict, as ours."""
    return [Score(str(n), Unparsed("") if v is None else (v or 1.5) - 1) for n, v in enumerate(values)]


def first_token(completion: dict[str, Any]) -> dict[str, float]:
    return {t["token"]: t["logprob"] for t in completion["logprobs"]["content"][0]["top_logprobs"]}


def answer(text: str) -> Answer:
    return Answer("0", (text,), (1,), (False,))


def ask(benchmark: JudgedBenchmark, question: Question, ours: str, theirs: str) -> list[JudgeRequest]:
    found = benchmark.requests(question, answer(ours), answer(theirs))
    return [r for r in found if isinstance(r, JudgeRequest)]
