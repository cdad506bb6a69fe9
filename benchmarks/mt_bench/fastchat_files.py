"""MT-Bench's answers and judgments in FastChat's files, both ways.

    model_answer/<model>.jsonl             {"question_id": 81, "answer_id": "...", "model_id": "m",
                                            "choices": [{"index": 0, "turns": ["...", "..."]}], "tstamp": 0}
    model_judgment/<judge>_single.jsonl    {"question_id": 81, "model": "m", "judge": ["gpt-4", "single-v1"],
                                            "user_prompt": "...", "judgment": "... [[7]]", "score": 7.0,
                                            "turn": 1, "tstamp": 0}

FastChat's own tools read what is written here, and its `show_result` prints our averages: Unparsed goes out
as its -1, which it drops. Timestamps are 0, ids are hashes and rows are sorted: the same content gives the
same bytes. What FastChat has no field for is lost: lengths in tokens, and whether an answer was cut.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.api import Answer, JudgeRequest, Question, Unparsed
from benchmarks.json_files import Row, answer_id, file_name, json_lines, write_lines
from benchmarks.mt_bench.benchmark import Answered, prompt_name
from benchmarks.suggest import nearest

NO_RATING = -1
TOOL, LAYOUT = "FastChat", "FastChat's format"
T = TypeVar("T")


@dataclass(frozen=True)
class Judgment:
    """One rating of one turn, 1-10. `prompt` names the judge prompt; `text` is the judge's whole reply."""

    question: str
    turn: int
    model: str
    judge: str
    prompt: str
    user_prompt: str
    text: str
    value: float | Unparsed


def judgment(
    model: str, judge: str, question: Question, request: JudgeRequest, text: str, value: float | Unparsed
) -> Judgment:
    """What `judge` was sent on a turn of `model`'s answer, what it said, and how that was read."""
    user, prompt = request.messages[-1]["content"], prompt_name(question, request.turn)
    return Judgment(question.id, request.turn, model, judge, prompt, user, text, value)


def write_answers(folder: Path, model: str, answers: Iterable[Answer]) -> Path:
    """Write model_answer/<model>.jsonl under `folder`; returns its path. ValueError: a question twice."""
    path = folder / "model_answer" / f"{file_name(model, TOOL)}.jsonl"
    return write_lines(path, [_answer_row(model, a) for a in _sorted(path, answers, lambda a: (a.question,))])


def read_answers(folder: Path, model: str) -> dict[str, Answer]:
    """Question id -> the first choice of model_answer/<model>.jsonl[.gz], the one that FastChat judges.

    The files say nothing of tokens: lengths are 0 and nothing counts as cut. Of a question that stands there
    twice the last row counts, as in FastChat. ValueError: no such model, or rows of another format.
    """
    found: dict[str, Answer] = {}
    for row in json_lines(_answer_file(folder / "model_answer", model), Answered, LAYOUT):
        turns = tuple(row["choices"][0]["turns"])
        question = str(row["question_id"])
        found[question] = Answer(question, turns, (0,) * len(turns), (False,) * len(turns))
    return found


def write_judgments(folder: Path, judge: str, judgments: Iterable[Judgment]) -> Path:
    """Write model_judgment/<judge>_single.jsonl, of any number of models; returns its path.

    ValueError: a turn that is judged twice, or a judgment by another judge.
    """
    path = folder / "model_judgment" / f"{file_name(judge, TOOL)}_single.jsonl"
    rows = _sorted(path, judgments, lambda j: (j.model, j.question, j.turn))
    if strange := [one.judge for one in rows if one.judge != judge]:
        raise ValueError(f"{path}: a judgment by {strange[0]!r} among those of {judge!r}")
    return write_lines(path, map(_judgment_row, rows))


def _answer_row(model: str, answer: Answer) -> Row:
    return {
        "question_id": _question_id(answer.question),
        "answer_id": answer_id(model, answer.question, answer.turns),
        "model_id": model,
        "choices": [{"index": 0, "turns": list(answer.turns)}],
        "tstamp": 0,
    }


def _judgment_row(one: Judgment) -> Row:
    return {
        "question_id": _question_id(one.question),
        "model": one.model,
        "judge": [one.judge, one.prompt],
        "user_prompt": one.user_prompt,
        "judgment": one.text,
        "score": NO_RATING if isinstance(one.value, Unparsed) else one.value,
        "turn": one.turn,
        "tstamp": 0,
    }


def _sorted(path: Path, items: Iterable[T], key: Callable[[T], tuple[str | int, ...]]) -> list[T]:
    """In order of `key`, digits as numbers; no key may come twice."""
    by_key: dict[tuple[str | int, ...], T] = {}
    for item in items:
        if key(item) in by_key:
            raise ValueError(f"{path}: two rows for {' '.join(map(str, key(item)))}")
        by_key[key(item)] = item
    return [by_key[k] for k in sorted(by_key, key=lambda k: [_natural(str(part)) for part in k])]


def _natural(text: str) -> tuple[int, str]:
    """9 before 81, and numbers before words."""
    return (int(text), "") if text.isdecimal() else (1 << 63, text)  # above any id


def _question_id(question: str) -> int | str:
    """FastChat's ids are numbers; one that would not come back the same stays text."""
    return int(question) if question.isdecimal() and str(int(question)) == question else question


def _answer_file(folder: Path, model: str) -> Path:
    files = {path.name.removesuffix(".gz").removesuffix(".jsonl"): path for path in folder.glob("*.jsonl*")}
    if model not in files:
        raise ValueError(f"no answers of {model!r} in {folder}{nearest(model, sorted(files))}")
    return files[model]
