"""MT-Bench, single-answer grading (Zheng et al., 2023): 80 two-turn questions, 1-10 per turn.

    {"question_id": 81, "category": "writing", "turns": ["Compose a blog post ...", "Rewrite it ..."]}

Reads FastChat's files: question.jsonl, judge_prompts.jsonl, and reference answers where there are any.
Prompts, regular expressions and the average are FastChat's. A reply that quotes the answer may hold several
ratings, of which FastChat reads the first. It departs in three places: a rating outside 1-10 is Unparsed
(FastChat averages it), as is a reply without one (FastChat stores -1 and drops the row), and a question of a
category that wants a reference is judged without one where none is there (FastChat stops).
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from benchmarks.api import (
    Answer,
    Decoding,
    JudgedBenchmark,
    JudgeRequest,
    Message,
    Question,
    Reply,
    Sampling,
    Score,
    Unparsed,
)
from benchmarks.json_files import Id, Row, Words, json_lines, unique
from benchmarks.suggest import nearest
from benchmarks.text import cut, says_nothing

GREEDY = ("extraction", "math", "coding", "reasoning", "arena-hard-200")
TEMPERATURE = {"writing": 0.7, "roleplay": 0.7, "stem": 0.1, "humanities": 0.1} | dict.fromkeys(GREEDY, 0.0)
OTHER_TEMPERATURE = 0.7  # FastChat's for a category that it does not list
NEEDS_REFERENCE = ("math", "reasoning", "coding", "arena-hard-200")
PROMPTS = ("single-v1", "single-math-v1", "single-v1-multi-turn", "single-math-v1-multi-turn")
MAX_TOKENS = 1024  # of an answer's turn
REFERENCE = "gpt-4"  # the original set; "gpt-4-1106-preview_simpo" is the one that SimPO's authors corrected

RATING = re.compile(r"\[\[(\d+\.?\d*)\]\]")
RATING_BACKUP = re.compile(r"\[(\d+\.?\d*)\]")


Rating = Literal["first", "last"]  # of several in a reply


class AskedTurns(BaseModel):
    """A row of question.jsonl."""

    question_id: Id
    turns: Annotated[list[Words], Field(min_length=1, max_length=2)]
    category: str = ""
    reference: list[str] = []


class Prompt(BaseModel):
    """A row of judge_prompts.jsonl."""

    name: str
    system_prompt: str
    prompt_template: str


class Choice(BaseModel):
    """One of several answers to a question."""

    turns: list[str]


class Answered(BaseModel):
    """A row of answers, a model's or the references."""

    question_id: Id
    choices: Annotated[list[Choice], Field(min_length=1)]


def load(
    folder: Path, *, reference: str = REFERENCE, max_tokens: int = MAX_TOKENS, rating: Rating = "first"
) -> tuple[list[Question], JudgedBenchmark]:
    """Read a folder in FastChat's layout.

    `reference` names a set of reference answers, reference_answer/<name>.jsonl or
    reference_answer_<name>.jsonl, and the benchmark carries it: "mt-bench[gpt-4]". Where the folder has no
    set at all, a question's own "reference" is used, and the name is "mt-bench". ValueError: a set that is
    not there, a judge prompt that is missing, a question of more than two turns.
    """
    references = _references(folder, reference)
    path = folder / "question.jsonl"
    questions = [_question(row, references) for row in _rows(path, AskedTurns)]
    unique((q.id for q in questions), path)
    _check_categories(path, questions)
    if references is not None:
        _check_references(reference_files(folder)[reference], questions)
    named = list(_rows(folder / "judge_prompts.jsonl", Prompt))
    unique((row["name"] for row in named), folder / "judge_prompts.jsonl", "names")
    prompts = {row["name"]: row for row in named}
    if missing := [name for name in PROMPTS if name not in prompts]:
        raise ValueError(f"{folder / 'judge_prompts.jsonl'} has no prompt {', '.join(missing)}")
    for question in questions:
        _check_prompts(folder / "judge_prompts.jsonl", prompts, question)

    def sampling(question: Question) -> Sampling:
        return Sampling(TEMPERATURE.get(question.category, OTHER_TEMPERATURE), max_tokens=max_tokens)

    def requests(question: Question, answer: Answer, reference: Answer | None) -> list[JudgeRequest]:
        return [_request(prompts, question, answer, turn) for turn, _ in enumerate(question.turns, 1)]

    return questions, JudgedBenchmark(
        name="mt-bench" if references is None else f"mt-bench[{reference}]",
        metric="score",
        decoding=Decoding(0.0, max_tokens=2048),
        sampling=sampling,
        requests=requests,
        parse=partial(parse, rating=rating),
        aggregate=aggregate,
        several=several,
    )


def parse(request: JudgeRequest, reply: Reply, rating: Rating = "first") -> float | Unparsed:
    """The first or last rating in [[double]] brackets, else in [single] ones."""
    found = _ratings(reply)
    value = found[0 if rating == "first" else -1] if found else 0.0
    return value if 1 <= value <= 10 else Unparsed(reply.text)


def several(reply: Reply) -> bool:
    """Whether a reply holds ratings that differ."""
    return len(set(_ratings(reply))) > 1


def _ratings(reply: Reply) -> list[float]:
    return list(map(float, RATING.findall(reply.text) or RATING_BACKUP.findall(reply.text)))


def prompt_name(question: Question, turn: int) -> str:
    """The judge prompt of turn 1 or 2; with a reference where the category wants one and it is there."""
    with_reference = question.category in NEEDS_REFERENCE and bool(question.reference)
    return PROMPTS[2 * (turn - 1) + with_reference]


def aggregate(scores: Sequence[Score]) -> dict[str, float]:
    """Means over the parsed ratings, every turn of every question weighing the same, and their number.

    "standard_error" is clustered by question, whose turns go together; "naive_standard_error" takes every
    rating for an independent one, and is too small. Both are of "score", in its unit; each is absent where
    there are fewer than two questions or ratings.
    """
    rated = [(s, s.value) for s in scores if not isinstance(s.value, Unparsed)]
    groups = {
        "score": [v for _, v in rated],
        "first_turn": [v for s, v in rated if s.turn == 1],
        "second_turn": [v for s, v in rated if s.turn == 2],
    }
    for category in sorted({s.category for s in scores if s.category}):
        groups[f"score/{category}"] = [v for s, v in rated if s.category == category]
    means = {name: fmean(values) for name, values in groups.items() if values}
    return means | _errors(rated) | {"n": float(len(rated)), "n_unparsed": float(len(scores) - len(rated))}


def _errors(rated: Sequence[tuple[Score, float]]) -> dict[str, float]:
    """Linearised: sqrt(G / (G - 1) sum_g (sum_{i in g} x_i - mean)^2) / n, over G questions and n ratings.

    With as many ratings for each question it is the standard error of the mean of the questions' means.
    """
    values = [v for _, v in rated]
    if len(values) < 2:
        return {}
    found, mean = {"naive_standard_error": stdev(values) / sqrt(len(values))}, fmean(values)
    residuals: dict[str, float] = {}
    for score, value in rated:
        residuals[score.question] = residuals.get(score.question, 0.0) + value - mean
    if (clusters := len(residuals)) > 1:
        squares = sum(r * r for r in residuals.values())
        found["standard_error"] = sqrt(clusters / (clusters - 1) * squares) / len(values)
    return found


def _request(
    prompts: dict[str, dict[str, Any]], question: Question, answer: Answer, turn: int
) -> JudgeRequest:
    """The judge of turn 2 sees turn 1 too."""
    prompt, values = prompts[prompt_name(question, turn)], _places(question, answer, turn)
    # str.format reads the template once, never what it puts in: "{answer}" inside an answer stays as it is.
    user = Message(role="user", content=prompt["prompt_template"].format(**values))
    system = prompt["system_prompt"]
    messages = (Message(role="system", content=system), user) if system else (user,)
    length = float(len(answer.turns[turn - 1]))  # characters
    return JudgeRequest(question.id, messages, turn, covariates={"length": length})


def _places(question: Question, answer: Answer, turn: int) -> dict[str, str]:
    """What a prompt may have in braces, and what is put there."""
    values = {"question": question.turns[0], "answer": answer.turns[0]}
    for n in range(1, turn + 1):
        values |= {f"question_{n}": question.turns[n - 1], f"answer_{n}": answer.turns[n - 1]}
    return values | {f"ref_answer_{n}": text for n, text in enumerate(question.reference, 1)}


def _check_prompts(path: Path, prompts: dict[str, dict[str, Any]], question: Question) -> None:
    """ValueError for a prompt that cannot be filled in for a question, or that shows the judge no answer."""
    answers = tuple(f"<answer {n}>" for n, _ in enumerate(question.turns))
    answer = Answer(question.id, answers, (0,) * len(answers), (False,) * len(answers))
    for turn, said in enumerate(answers, 1):
        at = f"{path}: {prompt_name(question, turn)}: prompt_template"
        known = ", ".join(f"{{{name}}}" for name in _places(question, answer, turn))
        try:
            text = _request(prompts, question, answer, turn).messages[-1]["content"]
        except (LookupError, ValueError, TypeError, AttributeError) as fault:
            told = cut(f"{type(fault).__name__}: {fault}", 60)
            raise ValueError(
                f"{at} of question {cut(question.id, 20)}: {told}; in braces: {known}"
            ) from fault
        if said not in text:
            raise ValueError(f"{at}: shows no answer of turn {turn}; in braces: {known}")


def _check_categories(path: Path, questions: Sequence[Question]) -> None:
    """ValueError for a category that is a known one but for its case: it would be asked at another
    temperature, and judged without its references.
    """
    for q in questions:
        known = q.category.strip().lower()
        if q.category != known and known in TEMPERATURE:
            raise ValueError(
                f"{path}: question {cut(q.id)}: category: given {cut(repr(q.category))}; write {known!r}"
            )


def _check_references(path: Path, questions: Sequence[Question]) -> None:
    """ValueError for a set that is of other questions: all would be judged without."""
    wanting = [q for q in questions if q.category in NEEDS_REFERENCE]
    if wanting and not any(q.reference for q in wanting):
        first = wanting[0]
        raise ValueError(
            f"{path}: answers none of the {len(wanting)} questions that want a reference; the first is "
            f"{cut(first.id)}, of {len(first.turns)} turn{'s' * (len(first.turns) > 1)}"
        )


def _question(row: dict[str, Any], references: dict[str, Sequence[str]] | None) -> Question:
    id, turns, category = str(row["question_id"]), tuple(row["turns"]), row.get("category", "")
    reference = row.get("reference", ()) if references is None else references.get(id, ())
    whole = len(reference) >= len(turns) and not any(map(says_nothing, reference[: len(turns)]))
    return Question(id, turns, category, tuple(reference) if whole else ())


def reference_files(folder: Path) -> dict[str, Path]:
    """Name -> file of each set of reference answers in a folder."""
    paths = [*folder.glob("reference_answer_*.jsonl"), *folder.glob("reference_answer/*.jsonl")]
    return {path.stem.removeprefix("reference_answer_"): path for path in sorted(paths)}


def _references(folder: Path, name: str) -> dict[str, Sequence[str]] | None:
    """Question -> reference turns of the set `name`; None where there is no set and none is asked for."""
    files = reference_files(folder)
    if not files and name == REFERENCE:
        return None
    if name not in files:
        hint = nearest(name, files, "none, the questions' own are used by default")
        raise ValueError(f"no reference answers {name!r} in {folder}{hint}")
    rows = list(_rows(files[name], Answered))
    unique((str(row["question_id"]) for row in rows), files[name])
    return {str(row["question_id"]): row["choices"][0]["turns"] for row in rows}


def _rows(path: Path, kind: type[BaseModel]) -> Iterator[Row]:
    return json_lines(path, kind, "FastChat's format")
