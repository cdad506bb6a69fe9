"""Keywords: does the answer hold every word that the question wants? No judge is asked.

An example row of keywords.jsonl:

    {"id": "capital", "prompt": "What is the capital of France?", "keywords": ["paris"]}

A suite that names it, `benchmarks: {keywords: {data: FOLDER}}`, and `--benchmark-file` get it a column.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from benchmarks.api import Answer, JudgedBenchmark, JudgeRequest, Question, Sampling, Score
from benchmarks.declaration import Benchmark, Column, Presentation, QuestionSettings, QuestionSizes

MAX_TOKENS = 64


def score(question: Question, answer: Answer, reference: Answer | None = None) -> list[JudgeRequest | Score]:
    """One verdict an answer: the share of the keywords that it holds, 0-1."""
    text = answer.turns[0].lower()
    found = [word.lower() in text for word in question.reference]
    return [Score(question.id, mean(found), question.category)]


def aggregate(scores: Sequence[Score]) -> dict[str, float]:
    """What stands in the table is the mean of the records already."""
    return {}


def load(folder: Path, settings: QuestionSettings) -> tuple[list[Question], JudgedBenchmark]:
    """The questions, and how they are asked and scored."""
    rows = [json.loads(line) for line in (folder / "keywords.jsonl").read_text().splitlines()]
    questions = [Question(row["id"], (row["prompt"],), reference=tuple(row["keywords"])) for row in rows]
    sampling = Sampling(max_tokens=settings.max_tokens or MAX_TOKENS)
    return questions, JudgedBenchmark(
        name="keywords",
        metric="share",
        sampling=lambda question: sampling,
        requests=score,
        aggregate=aggregate,
    )


BENCHMARK = Benchmark(
    name="keywords",
    settings=QuestionSettings,
    metric="share",
    presentation=Presentation("Keywords", (Column("share", "Keywords (%)", "share"),)),
    load=load,
    sizes=QuestionSizes(questions=100, prompt=40, max_tokens=MAX_TOKENS),
)
