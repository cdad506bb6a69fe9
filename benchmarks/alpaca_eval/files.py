"""AlpacaEval's own files: outputs, annotations and leaderboards, as the package reads and writes them.

    model_outputs/gpt4_1106_preview.json   [{"dataset", "instruction", "output", "generator"}, ...]
    annotations.json                       [{"instruction", "output_1", "generator_1", "output_2", ...}, ...]
    leaderboard.csv                        ,win_rate,standard_error,n_wins,...  one row a model, in percent

In annotations output_1 is the reference's, output_2 ours, and the preference is 1-2, 2 where ours is better.
Every JSON file may be gzipped: .json.gz.
"""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from benchmarks.api import Answer, Question, Reply
from benchmarks.json_files import Id, Words, json_list, unique
from benchmarks.suggest import nearest

COLUMNS = (
    "win_rate",
    "standard_error",
    "n_wins",
    "n_wins_base",
    "n_draws",
    "n_total",
    "discrete_win_rate",
    "mode",
    "avg_length",
    "length_controlled_winrate",
    "lc_standard_error",
)
PERCENT = {  # upstream's column, in percent -> our metric, 0-1
    "win_rate": "win_rate",
    "standard_error": "standard_error",
    "discrete_win_rate": "discrete_win_rate",
    "length_controlled_winrate": "lc_win_rate",
    "lc_standard_error": "lc_standard_error",
}


class Side(NamedTuple):
    """One side of a comparison: the name of the model, and its answers by question id."""

    generator: str
    answers: Mapping[str, Answer]


class Instruction(BaseModel):
    """A row of questions, or of a model's outputs to them."""

    instruction: Words
    id: Id = ""
    category: str = ""
    dataset: str = ""


def find(folder: Path, name: str) -> Path | None:
    """<folder>/<name>.json or .json.gz, whichever is there."""
    paths = (folder / f"{name}{suffix}" for suffix in (".json", ".json.gz"))
    return next((path for path in paths if path.is_file()), None)


def read_questions(folder: Path, baselines: Sequence[str]) -> list[Question]:
    """Questions of a folder: questions.json, alpaca_eval.json, or a baseline's outputs (the last first)."""
    names = ["questions", "alpaca_eval", *(f"model_outputs/{name}" for name in reversed(baselines))]
    if not (path := next(filter(None, (find(folder, name) for name in names)), None)):
        raise ValueError(f"{folder} has no {'.json, '.join(names)}.json, gzipped or not")
    rows = json_list(path, Instruction)
    questions = [
        Question(
            str(row.get("id", n)), (row["instruction"],), str(row.get("category", row.get("dataset", "")))
        )
        for n, row in enumerate(rows)
    ]
    unique((q.id for q in questions), path)
    return questions


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON list, gzipped or not. ValueError where the file holds anything else."""
    return json_list(path)


def outputs_path(folder: Path, generator: str) -> Path:
    """A model's outputs: model_outputs/<name>.json, or <name>/model_outputs.json as in upstream's results."""
    for place, name in (
        (folder / "model_outputs", generator),
        (folder / "model_outputs" / generator, "model_outputs"),
        (folder / generator, "model_outputs"),
    ):
        if path := find(place, name):
            return path
    known = sorted(
        {p.name.split(".json")[0] for p in folder.glob("model_outputs/*.json*")}
        | {p.parent.name for p in folder.glob("*/model_outputs.json*")}
        | {p.parent.name for p in folder.glob("model_outputs/*/model_outputs.json*")}
    )
    raise ValueError(f"no outputs of {generator!r} in {folder}{nearest(generator, known)}")


def read_answers(path: Path, questions: Sequence[Question]) -> dict[str, Answer]:
    """Question id -> the file's output to the same instruction; see `answers_in`."""
    return answers_in(read_rows(path), path, questions)


def answers_in(
    rows: Sequence[Mapping[str, Any]], path: Path, questions: Sequence[Question]
) -> dict[str, Answer]:
    """Question id -> the output to the same instruction; outputs to other instructions are not read. `path`
    is for the faults of the rows.

    Lengths in tokens are unknown: 0. ValueError where a question has no output, or several.
    """
    if strange := sum(not isinstance(row.get(k), str) for row in rows for k in ("instruction", "output")):
        raise ValueError(f"{path}: {strange} of {len(rows)} rows lack an instruction or an output")
    found = {row["instruction"]: row["output"] for row in rows}
    times = Counter(row["instruction"] for row in rows)
    missing = sum(times[q.turns[0]] == 0 for q in questions)
    several = sum(times[q.turns[0]] > 1 for q in questions)
    if missing or several:
        raise ValueError(
            f"{path}: of {len(questions)} questions {missing} have no output and {several} have several"
        )
    return {q.id: Answer(q.id, (found[q.turns[0]],), (0,), (False,)) for q in questions}


def model_outputs(questions: Sequence[Question], model: Side) -> list[dict[str, str]]:
    """The rows of model_outputs.json, in the order of the questions."""
    return [
        {
            "dataset": q.category,
            "instruction": q.turns[0],
            "output": model.answers[q.id].turns[0],
            "generator": model.generator,
        }
        for q in questions
    ]


def annotations(
    questions: Sequence[Question],
    reference: Side,
    model: Side,
    values: Mapping[str, float | None],
    *,
    annotator: str,
    replies: Mapping[str, Reply] | None = None,
    unjudged: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """The rows of annotations.json, in the order of the questions.

    `values`: question id -> 0-1, or None where the verdict was unparsed: a null, which upstream drops.
    `replies`: what the judge said, where it was asked once; upstream keeps it without the order it saw.
    `unjudged`: why there was nothing to judge, a key that upstream does not know.
    """
    if missing := [q.id for q in questions if q.id not in values]:
        raise ValueError(f"{len(missing)} of {len(questions)} questions have no verdict: {missing[0]}, ...")
    rows: list[dict[str, Any]] = []
    for q in questions:
        value = values[q.id]
        row: dict[str, Any] = {
            "instruction": q.turns[0],
            "output_1": reference.answers[q.id].turns[0],
            "generator_1": reference.generator,
            "dataset": q.category,
            "output_2": model.answers[q.id].turns[0],
            "generator_2": model.generator,
            "annotator": annotator,
            "preference": None if value is None else 1 + value,
        }
        if replies is not None:
            row["raw_completion"] = _completion(replies[q.id]) if q.id in replies else None
        if unjudged and q.id in unjudged:
            row["status"] = unjudged[q.id]
        rows.append(row)
    return rows


def leaderboard_row(
    values: Mapping[str, float | None], metrics: Mapping[str, float], *, mode: str = "community"
) -> dict[str, float | int | str]:
    """A row of leaderboard.csv: rates in percent, counts over the items with a verdict, whole characters.

    `values` as in `annotations`; `metrics` are `alpaca_eval.aggregate`'s on the same verdicts.
    """
    judged = [value for value in values.values() if value is not None]
    row: dict[str, float | int | str] = {
        "n_wins": sum(v > 0.5 for v in judged),
        "n_wins_base": sum(v < 0.5 for v in judged),
        "n_draws": sum(v == 0.5 for v in judged),
        "n_total": len(judged),
        "mode": mode,
    }
    row |= {column: 100 * metrics[ours] for column, ours in PERCENT.items() if ours in metrics}
    if "mean_length" in metrics:
        row["avg_length"] = int(metrics["mean_length"])
    return {column: row[column] for column in COLUMNS if column in row}


def leaderboard(rows: Mapping[str, Mapping[str, float | int | str]]) -> str:
    """The text of leaderboard.csv: the best first, by the length-controlled win rate where all have one."""
    controlled = all("length_controlled_winrate" in row for row in rows.values())
    by = "length_controlled_winrate" if controlled else "win_rate"
    text = io.StringIO()
    table = csv.DictWriter(text, ["", *COLUMNS], lineterminator="\n")
    table.writeheader()
    for name in sorted(rows, key=lambda name: -float(rows[name].get(by, 0))):
        table.writerow({"": name, **rows[name]})
    return text.getvalue()


def _completion(reply: Reply) -> str | dict[str, Any]:
    """A reply as upstream stores it: its text, or with log-probs the choice that logprob_parser reads."""
    if not reply.logprobs:
        return reply.text
    top = [{"token": token, "logprob": logprob} for token, logprob in reply.logprobs.items()]
    first = {"token": reply.text, "logprob": reply.logprobs.get(reply.text), "top_logprobs": top}
    return {
        "finish_reason": reply.finish_reason,
        "index": 0,
        "logprobs": {"content": [first]},
        "message": {"role": "assistant", "content": reply.text},
        "text": reply.text,
    }
