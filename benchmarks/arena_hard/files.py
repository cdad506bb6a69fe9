"""Arena-Hard's own files: questions, answers and judgments, as its tools read and write them.

    model_answer/<model>.jsonl            {"uid": "328c...", "ans_id": "...", "model": "m", "messages":
                                           [..., {"role": "assistant", "content": {"answer": "..."}}]}
    model_judgment/<judge>/<model>.jsonl  {"uid": "328c...", "category": "hard_prompt", "judge": "...",
                                           "model": "m", "baseline": "...", "games": [game, game]}
    game                                  {"score": "A>>B", "judgment": {"answer": "..."}, "prompt": [...]}

Game 1 shows the baseline's answer as A and the model's as B, game 2 the other way round. Written is
upstream's layout of 2025; the one of 2024 is read too. Every file may be gzipped. Ids are hashes, times are 0
and rows are sorted: the same content gives the same bytes. Style metadata is not written: upstream's
utils/add_markdown_info.py adds it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from benchmarks.api import Answer, Question
from benchmarks.json_files import Id, Row, Words, answer_id, file_name, json_lines, unique, write_lines
from benchmarks.suggest import nearest
from benchmarks.text import cut

Order = Literal["ab", "ba"]
ORDERS: tuple[Order, Order] = ("ba", "ab")  # of the games; "ab": ours is A

VERDICTS = {"A>>B": 1.0, "A>B": 0.75, "A=B": 0.5, "B>A": 0.25, "B>>A": 0.0}  # from A's view
# The same verdicts, spelled backwards.
SAME = {"B<<A": "A>>B", "B<A": "A>B", "B=A": "A=B", "A<B": "B>A", "A<<B": "B>>A"}
BASELINES = {  # category -> the model that its answers are compared with
    "arena-hard-v0.1": "gpt-4-0314",
    "hard_prompt": "o3-mini-2025-01-31",
    "creative_writing": "gemini-2.0-flash-001",
}

TOOL, LAYOUT = "Arena-Hard", "Arena-Hard's format"


class Said(BaseModel):
    """A turn of a question of 2024."""

    content: Words


class Asked(BaseModel):
    """A row of questions: `prompt`, or the turns of 2024."""

    category: str
    uid: Id = ""
    question_id: Id = ""
    prompt: Words = ""
    turns: Annotated[list[Said], Field(min_length=1, max_length=1)] = Field(default_factory=list)


class Metadata(BaseModel):
    """What a file says of an answer."""

    token_len: int = 0


class Answered(BaseModel):
    """A row of answers, as far as both layouts have it."""

    uid: Id = ""
    question_id: Id = ""
    metadata: Metadata | None = None
    conv_metadata: Metadata | None = None


def value_of(label: str, order: str) -> float | None:
    """A label of the judge as 0, 0.25, 0.5, 0.75 or 1 from our view; None where it is no label."""
    found = VERDICTS.get(SAME.get(label, label))
    return found if found is None or order == "ab" else 1 - found


def label_of(value: float, order: str) -> str:
    """The label that `value_of` reads as `value`. ValueError where there is none."""
    seen = value if order == "ab" else 1 - value
    for label, known in VERDICTS.items():
        if known == seen:
            return label
    raise ValueError(f"no verdict has the value {value}; known: {', '.join(map(str, VERDICTS.values()))}")


def find(folder: Path, version: str, name: str) -> Path | None:
    """The file `name`, "question" or "model_answer/<model>", of a version, gzipped or not.

    It is <name>_<version>.jsonl, or model_answer_<version>_<model>.jsonl; or lies as upstream has it, in
    the folder of the version, in data/arena-hard-<version>, or in arena-hard-<version>.
    """
    kind, _, model = name.partition("/")
    flat = f"{kind}_{version}_{model}" if model else f"{kind}_{version}"
    places = (folder / flat, *(home / name for home in _homes(folder, version)))
    paths = (place.with_name(f"{place.name}.jsonl{suffix}") for place in places for suffix in ("", ".gz"))
    return next((path for path in paths if path.is_file()), None)


def answers_path(folder: Path, version: str, model: str) -> Path:
    """Where a model's answers lie. ValueError: none there; it names the file, and the nearest that is."""
    if path := find(folder, version, f"model_answer/{model}"):
        return path
    flat = f"model_answer_{version}_"
    upstream = (home.glob("model_answer/*.jsonl*") for home in _homes(folder, version))
    paths = chain(folder.glob(f"{flat}*.jsonl*"), *upstream)
    known = sorted({p.name.removeprefix(flat).removesuffix(".gz").removesuffix(".jsonl") for p in paths})
    raise ValueError(f"no {flat}{model}.jsonl[.gz] in {folder}{nearest(model, known)}")


def _homes(folder: Path, version: str) -> tuple[Path, ...]:
    """Where upstream's folders of a version may lie: in its repository, in its data, or here."""
    return folder / f"data/arena-hard-{version}", folder / f"arena-hard-{version}", folder


def read_questions(folder: Path, version: str) -> list[Question]:
    """The questions of a version, in the order of the file."""
    if not (path := find(folder, version, "question")):
        raise ValueError(f"{folder} has no question_{version}.jsonl[.gz], nor question.jsonl")
    rows = read_rows(path, Asked)
    questions = [Question(_id(row), (_prompt(path, row),), row["category"]) for row in rows]
    unique((q.id for q in questions), path)
    return questions


def read_answers(path: Path) -> dict[str, Answer]:
    """Question id -> a model's answer. Tokens are those of the file's metadata, 0 where it has none."""
    found = {}
    for row in read_rows(path, Answered):
        tokens = int(_metadata(row).get("token_len", 0))
        found[_id(row)] = Answer(_id(row), (_answer(path, row),), (tokens,), (False,))
    return found


def write_answers(
    folder: Path, model: str, answers: Iterable[Answer], questions: Sequence[Question] = ()
) -> Path:
    """Write model_answer/<model>.jsonl under `folder`, with the prompts of `questions`; returns its path."""
    prompts, rows = {q.id: q.turns[0] for q in questions}, {}
    path = folder / "model_answer" / f"{file_name(model, TOOL)}.jsonl"
    for a in answers:
        if a.question in rows:
            raise ValueError(f"{path}: two answers to question {a.question}")
        asked = [{"role": "user", "content": prompts[a.question]}] if a.question in prompts else []
        rows[a.question] = {
            "uid": a.question,
            "ans_id": answer_id(model, a.question, a.turns),
            "model": model,
            "messages": [*asked, {"role": "assistant", "content": {"answer": a.turns[0]}}],
            "tstamp": 0,
        }
    return write_lines(path, (rows[id] for id in sorted(rows)))


def write_judgments(
    folder: Path, judge: str, model: str, rows: Iterable[Mapping[str, Any]], baseline: str | None = None
) -> Path:
    """Write model_judgment/<judge>/<model>.jsonl under `folder`, from rows of judgments.jsonl; its path.

    `baseline` is whom answers were compared with, None the category's own. Keys that no game has are
    ignored; a game that is not there is a null. ValueError: a game twice, or a value that no label has.
    """
    path = folder / "model_judgment" / file_name(judge, TOOL) / f"{file_name(model, TOOL)}.jsonl"
    found: dict[str, Row] = {}
    for row in rows:
        question, category = row["question"], row["category"]
        judged = found.setdefault(
            question,
            {
                "uid": question,
                "category": category,
                "judge": judge,
                "model": model,
                "baseline": BASELINES.get(category, "") if baseline is None else baseline,
                "games": [None, None],
            },
        )
        place = ORDERS.index(row["order"])
        if judged["games"][place] is not None:
            raise ValueError(f"{path}: game {place + 1} of question {question} stands twice")
        judged["games"][place] = _game(row)
    return write_lines(path, (found[id] for id in sorted(found)))


def read_rows(path: Path, kind: type[BaseModel] | None = None) -> Iterator[Row]:
    """The objects of a JSON-lines file, gzipped or not. ValueError: a line that lacks a field or an id."""
    for row in json_lines(path, kind, LAYOUT):
        if not ("uid" in row or "question_id" in row):
            raise ValueError(f"{path}: not {LAYOUT}, a row without uid")
        yield row


def _game(row: Mapping[str, Any]) -> Row:
    value, order = row["value"], row["order"]
    game: Row = {
        "score": None if value is None else label_of(value, order),
        "judgment": {"answer": row["reply"]},
    }
    if "prompt" in row:
        game["prompt"] = [{"role": "user", "content": row["prompt"]}]
    return game


def _id(row: Row) -> str:
    return str(row["uid"] if "uid" in row else row["question_id"])


def _prompt(path: Path, row: Row) -> str:
    if "prompt" not in row and "turns" not in row:
        raise ValueError(f"{path}: question {cut(_id(row))} has no prompt")
    return str(row["prompt"] if "prompt" in row else row["turns"][0]["content"])


def _answer(path: Path, row: Row) -> str:
    try:
        if "messages" in row:
            content = row["messages"][-1]["content"]["answer"]
        else:
            content = row["choices"][0]["turns"][0]["content"]
    except (LookupError, TypeError):  # of another shape
        content = None
    if not isinstance(content, str):
        raise ValueError(f"{path}: the answer to question {cut(_id(row))} has no text")
    return content


def _metadata(row: Row) -> Mapping[str, Any]:
    return row.get("metadata") or row.get("conv_metadata") or {}
