"""Arena-Hard's published judgments and style metadata, read for comparison with what is computed here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from benchmarks.api import Score, Unparsed
from benchmarks.arena_hard import files
from benchmarks.arena_hard.style_control import Style
from benchmarks.json_files import Row


class Verdict(TypedDict):
    """One game. value: 0-1, 1 is the model far better, None where no verdict was read; reply: the judge's."""

    question: str
    category: str
    order: files.Order
    value: float | None
    reply: str
    prompt: NotRequired[str]  # the user's message to the judge


def read_styles(path: Path) -> dict[str, Style]:
    """Question id -> the style of a model's answer, as the file's metadata tell it."""
    return {files._id(row): from_metadata(files._metadata(row)) for row in files.read_rows(path)}


def read_verdicts(path: Path) -> dict[str, list[Verdict]]:
    """Model -> its games, two a question, in the order of the file."""
    found: dict[str, list[Verdict]] = {}
    for row in files.read_rows(path):
        games = zip(files.ORDERS, [*row["games"], None, None], strict=False)
        found.setdefault(row["model"], []).extend(_verdict(row, order, game or {}) for order, game in games)
    return found


def read_judgments(path: Path) -> dict[str, list[Score]]:
    """Model -> its scores, one a game. A game without a verdict, or with no known one, is Unparsed."""
    return {
        model: [
            Score(
                v["question"],
                Unparsed(v["reply"]) if v["value"] is None else v["value"],
                v["category"],
                order=v["order"],
            )
            for v in verdicts
        ]
        for model, verdicts in read_verdicts(path).items()
    }


def _verdict(row: Row, order: files.Order, game: Row) -> Verdict:
    judgment = game.get("judgment") or ""
    found = Verdict(
        question=files._id(row),
        category=row.get("category", ""),
        order=order,
        value=files.value_of(game.get("score") or "", order),
        reply=judgment["answer"] if isinstance(judgment, dict) else judgment,
    )
    if "user_prompt" in game:
        found["prompt"] = game["user_prompt"]
    elif "prompt" in game:
        found["prompt"] = game["prompt"][-1]["content"]
    return found


def from_metadata(row: Mapping[str, Any]) -> Style:
    """The style that upstream's answer files tell, under "metadata" in v2.0 and "conv_metadata" in v0.1."""
    counts = (sum(row[f"{name}_count"].values()) for name in ("header", "list", "bold"))
    return Style(row["token_len"], *counts)
