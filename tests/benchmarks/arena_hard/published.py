"""Arena-Hard's published judgments and style metadata, read for comparison with what is computed here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.api import Question, Score, Unparsed
from benchmarks.arena_hard import files, style_control
from benchmarks.arena_hard.style_control import Style
from benchmarks.json_files import Row


def read_styles(path: Path) -> dict[str, Style]:
    """Question id -> the style of a model's answer, as the file's metadata tell it, else counted here."""
    return {
        files._id(row): from_metadata(files._metadata(row))
        if files._metadata(row)
        else style_control.style(files._answer(path, row))
        for row in files.read_rows(path)
    }


def read_verdicts(path: Path) -> dict[str, list[files.Verdict]]:
    """Model -> its games, two a question, in the order of the file. ValueError: a question twice."""
    found: dict[str, list[files.Verdict]] = {}
    seen, judges = set(), set()
    for row in files.read_rows(path, ("model", "judge", "games")):
        if (row["model"], files._id(row)) in seen:
            raise ValueError(f"{path}: question {files._id(row)} of {row['model']!r} is judged twice")
        seen.add((row["model"], files._id(row)))
        judges.add(row["judge"])
        games = zip(files.ORDERS, [*row["games"], None, None], strict=False)
        found.setdefault(row["model"], []).extend(_verdict(row, order, game or {}) for order, game in games)
    if len(judges) > 1:
        raise ValueError(f"{path} mixes judges: {', '.join(sorted(judges))}")
    return found


def read_judgments(
    path: Path,
    questions: Sequence[Question] = (),
    styles: Mapping[str, tuple[Style, Style]] | None = None,
) -> dict[str, list[Score]]:
    """Model -> its scores, one a game. A game without a verdict, or with no known one, is Unparsed.

    Files of 2024 do not say categories: they are those of `questions`. `styles`: question id -> ours and the
    baseline's, which style control needs.
    """
    categories = {q.id: q.category for q in questions}
    scores: dict[str, list[Score]] = {}
    for model, verdicts in read_verdicts(path).items():
        for v in verdicts:
            value = Unparsed(v["reply"]) if v["value"] is None else v["value"]
            pair = styles.get(v["question"]) if styles else None
            category = v["category"] or categories.get(v["question"], "")
            covariates = style_control.named(*pair) if pair else {}
            score = Score(v["question"], value, category, 1, v["order"], covariates)
            scores.setdefault(model, []).append(score)
    return scores


def _verdict(row: Row, order: files.Order, game: Row) -> files.Verdict:
    judgment = game.get("judgment") or ""
    found = files.Verdict(
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
