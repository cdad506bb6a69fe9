"""What a run's models and judges wrote, and the steps that made it: one JSON object a line.

    texts.jsonl  {"method": "ADPA", "benchmark": "mt-bench", "question": "81", "turn": 1, "order": "",
                  "asked": "Compose a ...", "answer": "Aloha! ...", "reply": "... [[7]]", "value": 7.0, ...}
    steps.jsonl  {"id": "210cc04687b6", "kind": "train", "label": "ADPA+", "seconds": 9.9, "inputs": ...}

A text is one judgment, with the question and the answers that it is about: a page needs nothing else.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from reports import jsonl

Row = TypeVar("Row", "Text", "Made")


@dataclass(frozen=True)
class Text:
    """One verdict on one turn of an answer.

    `asked` is the turn's question, `answer` what the row's model wrote; `reference_answer` is the answer of
    the reference run where the benchmark compares (`metric` "win_rate"), else the one that the benchmark's
    authors give ("" without one). `order` is "" for single answers, "ab" where the judge saw ours first.
    `value` is None exactly where `status` is not "ok"; `reply` is "" where no judge was asked.
    """

    pair: str
    dataset: str
    method: str
    seed: int
    benchmark: str
    metric: str
    judge: str
    reference: str
    question: str
    category: str
    turn: int
    order: str
    asked: str
    answer: str
    tokens: int
    truncated: bool
    reference_answer: str
    reply: str
    value: float | None
    status: str


@dataclass(frozen=True)
class Made:
    """One step of the plan as it was done: what it read, by input, and how long it took.

    `settings` are (name, value) with nested names joined by dots and values as JSON; `results` names the rows
    whose last stage of training it is: (pair, dataset, method, seed).
    """

    id: str
    kind: str
    label: str
    seconds: float
    inputs: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...] = ()
    results: tuple[tuple[str, str, str, int], ...] = ()


def write(rows: Iterable[Row], path: Path) -> bool:
    """Write one JSON object a line, in the given order; returns whether the file is another now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return jsonl.replace(path, "".join(json.dumps(vars(row), allow_nan=False) + "\n" for row in rows))


def read_texts(path: Path) -> list[Text]:
    """The rows of a `texts.jsonl`; a run without one has none."""
    return _read(path, Text)


def read_steps(path: Path) -> list[Made]:
    """The rows of a `steps.jsonl`; a run without one has none."""
    return _read(path, Made)


def _read(path: Path, kind: type[Row]) -> list[Row]:
    if not path.is_file():
        return []
    names, found = {f.name for f in fields(kind)}, []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError as e:
                raise ValueError(f"{path}:{number}: not JSON ({e})") from e
            if not isinstance(row, dict) or row.keys() != names:
                raise ValueError(f"{path}:{number}: keys must be {', '.join(f.name for f in fields(kind))}")
            found.append(kind(**{name: _frozen(value) for name, value in row.items()}))
    return found


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
