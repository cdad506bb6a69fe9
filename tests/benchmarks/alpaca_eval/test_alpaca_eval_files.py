"""AlpacaEval's files: what the package makes of those we write, and what is refused in those we read."""

import csv
import gzip
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.alpaca_eval import benchmark as alpaca_eval
from benchmarks.alpaca_eval import files as alpaca_eval_files
from benchmarks.alpaca_eval.benchmark import WEIGHTED
from benchmarks.alpaca_eval.files import Side
from benchmarks.api import Answer, Question, Reply, Score, Unparsed
from tests.benchmarks.alpaca_eval.published import annotations, first_token, published, scores

MODEL = "gemma-2b-it"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Any]:
    """The package; importing it sets the root logger to INFO."""
    level = logging.getLogger().level
    module = pytest.importorskip("alpaca_eval")
    from alpaca_eval import completion_parsers, metrics  # noqa: F401

    logging.getLogger().setLevel(level)
    yield module


@pytest.fixture(scope="module")
def verdicts(shared_data: Path) -> tuple[list[Question], Side, Side, list[Score]]:
    """The published comparison of vicuna-7b-v1.5, which has three ties."""
    rows = annotations(shared_data, "weighted/vicuna-7b-v1.5")
    questions = [Question(str(n), (r["instruction"],), r["dataset"]) for n, r in enumerate(rows)]
    sides = (
        Side(
            rows[0][f"generator_{k}"],
            {
                q.id: Answer(q.id, (r[f"output_{k}"],), (0,), (False,))
                for q, r in zip(questions, rows, strict=True)
            },
        )
        for k in (1, 2)
    )
    return questions, *sides, scores([r["preference"] for r in rows])


def write(folder: Path, name: str, rows: object) -> Path:
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return path


def test_our_annotations_are_the_published_ones_and_upstream_counts_them_as_we_do(
    shared_data: Path, upstream: Any, verdicts: Any, tmp_path: Path
) -> None:
    questions, reference, model, found = verdicts
    found = [*found[:-1], Score(found[-1].question, Unparsed("?"))]  # one reply that said nothing
    values, metrics = alpaca_eval.item_values(found), alpaca_eval.aggregate(found)
    rows = alpaca_eval_files.annotations(questions, reference, model, values, annotator=WEIGHTED)
    for ours, theirs in zip(rows[:-1], annotations(shared_data, "weighted/vicuna-7b-v1.5")[:-1], strict=True):
        assert ours == pytest.approx({k: theirs[k] for k in ours}, abs=1e-12)
    assert rows[-1]["preference"] is None

    read = json.loads(write(tmp_path, "annotations", rows).read_text())
    counted = upstream.metrics.get_winrate(read)
    row = alpaca_eval_files.leaderboard_row(values, metrics)
    assert counted["n_total"] == 804 and metrics["n_unparsed"] == 1
    for column, value in counted.items():
        assert row[column] == pytest.approx(value, abs=1e-11), column


def test_our_row_of_the_leaderboard_is_the_published_one(shared_data: Path, verdicts: Any) -> None:
    questions, _, model, found = verdicts
    lengths = [len(model.answers[q.id].turns[0]) for q in questions]
    metrics = alpaca_eval.aggregate(found) | {"mean_length": sum(lengths) / len(lengths)}
    theirs = published(shared_data, WEIGHTED)["vicuna-7b-v1.5"]
    metrics |= {"lc_win_rate": float(theirs["length_controlled_winrate"]) / 100}
    rows = {
        theirs[""]: alpaca_eval_files.leaderboard_row(
            alpaca_eval.item_values(found), metrics, mode=theirs["mode"]
        ),
        "better": {"win_rate": 1.0, "length_controlled_winrate": 99.0},
    }
    table = list(csv.DictReader(io.StringIO(alpaca_eval_files.leaderboard(rows))))
    assert [row[""] for row in table] == ["better", theirs[""]]
    assert set(table[0]) == set(theirs)
    for column, value in theirs.items():
        if column in ("", "mode"):
            assert table[1][column] == value
        elif value:
            assert float(table[1][column]) == pytest.approx(float(value), abs=1e-9), column


def test_our_replies_read_in_upstreams_parser(shared_data: Path, upstream: Any) -> None:
    row = annotations(shared_data, f"weighted/{MODEL}")[0]
    reply = Reply(row["raw_completion"]["text"], first_token(row["raw_completion"]), "length")
    question, one = Question("q", (row["instruction"],)), {"q": Answer("q", ("x",), (1,), (False,))}
    (ours,) = alpaca_eval_files.annotations(
        [question], Side("a", one), Side("b", one), {"q": 0.5}, annotator=WEIGHTED, replies={"q": reply}
    )
    kwargs = {"numerator_token": "m", "denominator_tokens": ["m", "M"], "is_binarize": False}
    parser = upstream.completion_parsers.logprob_parser
    assert parser(ours["raw_completion"], **kwargs) == parser(row["raw_completion"], **kwargs)
    for key in ("finish_reason", "index", "text"):
        assert ours["raw_completion"][key] == row["raw_completion"][key]
    replies = {"q": Reply("[]")}
    (ranked,) = alpaca_eval_files.annotations(
        [question], Side("a", one), Side("b", one), {"q": None}, annotator="alpaca_eval_gpt4", replies=replies
    )
    assert ranked["raw_completion"] == "[]"


def test_every_question_of_the_annotations_needs_a_verdict(verdicts: Any) -> None:
    questions, reference, model, found = verdicts
    values = alpaca_eval.item_values(found[2:])
    with pytest.raises(ValueError, match=r"2 of 805 questions have no verdict: 0, \.\.\."):
        alpaca_eval_files.annotations(questions, reference, model, values, annotator=WEIGHTED)


def test_published_outputs_come_back_as_they_were_read(shared_data: Path) -> None:
    """By instruction: the baselines of both benchmarks on the questions of the fetched folder."""
    folder = shared_data / "alpaca_eval"
    questions, _ = alpaca_eval.load(folder)
    for name in alpaca_eval.BASELINE.values():
        answers = alpaca_eval.baseline(folder, name)
        rows = alpaca_eval_files.model_outputs(questions, Side(name, answers))
        with gzip.open(folder / f"model_outputs/{name}.json.gz", "rt") as file:
            assert rows == [{k: row[k] for k in rows[0]} for row in json.load(file)]
        assert {(a.tokens, a.truncated) for a in answers.values()} == {((0,), (False,))}


def test_outputs_are_matched_by_instruction_not_by_position(tmp_path: Path) -> None:
    write(tmp_path, "questions", [{"id": "a", "instruction": "one"}, {"id": "b", "instruction": "two"}])
    rows = [{"instruction": i, "output": i.upper()} for i in ("three", "two", "one")]
    for place in ("model_outputs/x", "y/model_outputs", "model_outputs/z/model_outputs"):
        write(tmp_path, place, rows)
    for name in "xyz":
        found = alpaca_eval.baseline(tmp_path, name)
        assert {id: a.turns for id, a in found.items()} == {"a": ("ONE",), "b": ("TWO",)}


def test_outputs_that_do_not_match_are_refused_in_one_line(shared_data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of 805 questions 2 have no output and 0 have several"):
        alpaca_eval.baseline(shared_data / "alpaca_eval", "phi-2")
    with pytest.raises(ValueError, match=r"did you mean 'gpt4_1106_preview'.* known: .*alpaca-7b, "):
        alpaca_eval.baseline(shared_data / "alpaca_eval", "gpt-4-1106-preview")
    write(tmp_path, "questions", [{"instruction": "one"}, {"instruction": "two"}])
    row = {"instruction": "one", "output": "x"}
    for rows, message in (
        ([row, row], "of 2 questions 1 have no output and 1 have several"),
        ([row, {"instruction": "two"}, {"output": None}], "3 of 3 rows lack an instruction or an output"),
        ({"one": "x"}, "is no list of JSON objects"),
        ([1], "row 1: not JSON objects, no JSON object: given 1"),
    ):
        write(tmp_path, "model_outputs/m", rows)
        with pytest.raises(ValueError, match=message):
            alpaca_eval.baseline(tmp_path, "m")
    (tmp_path / "model_outputs/m.json").write_text('{"instruction": "one"}\n{"instruction": "two"}')
    with pytest.raises(ValueError, match="line 1: not JSON: Extra data"):
        alpaca_eval.baseline(tmp_path, "m")
    with pytest.raises(ValueError, match=r"no outputs of 'w' in .*; known: m"):
        alpaca_eval.baseline(tmp_path, "w")
