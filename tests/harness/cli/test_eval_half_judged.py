"""Replies that hold no verdict, from a real judge's server to every table and export of a run."""

import csv
import json
from pathlib import Path

import pytest

from benchmarks.alpaca_eval import benchmark as alpaca_eval
from benchmarks.api import JudgeRequest
from tests.harness.cli.test_eval import bench
from tests.harness.endpoints import judging_server
from tests.harness.endpoints.judging_server import KEY_ENV

QUESTIONS, NO_VERDICT = 8, "I cannot tell."
SUITE = """
name: half
models: {{a: {{answers: a}}, b: {{answers: b}}}}
judges: {{gpt-4: {{model: gpt-4, base_url: "{url}", api_key_env: {key}}}}}
benchmarks: {{alpaca-eval: {{judge: gpt-4, data: {data}, reference: b, order: both}}}}
"""
# Of a's questions two are won, two lost, three half-judged and one not judged.
WON = {
    0: (1, 1),
    1: (0, 0),
    2: (0, 0),
    3: (None, 0),
    4: (0, None),
    5: (None, 0),
    6: (None, None),
    7: (1, 1),
}


def prepared(folder: Path) -> dict[str, list[object]]:
    """The data, and what the judge says to each prompt."""
    (folder / "model_outputs").mkdir(parents=True)
    asked = [{"id": str(n), "instruction": f"Say {n}."} for n in range(QUESTIONS)]
    (folder / "questions.json").write_text(json.dumps(asked))
    for model in "ab":
        rows = [{**row, "output": f"{model} {row['id']}", "generator": model} for row in asked]
        (folder / "model_outputs" / f"{model}.json").write_text(json.dumps(rows))
    questions, benchmark = alpaca_eval.load(folder, order="both")
    ours, theirs = alpaca_eval.baseline(folder, "a"), alpaca_eval.baseline(folder, "b")
    said: dict[str, list[object]] = {}
    for q in questions:
        for request, won in zip(benchmark.requests(q, ours[q.id], theirs[q.id]), WON[int(q.id)], strict=True):
            assert isinstance(request, JudgeRequest)
            best = 1 if (request.order == "ab") == bool(won) else 2
            ranks = f"[{{'model': 'model_1', 'rank': {best}}}, {{'model': 'model_2', 'rank': {3 - best}}}]"
            said[request.messages[-1]["content"]] = [NO_VERDICT if won is None else ranks, {}]
    return said


def test_a_half_judged_item_is_in_no_number_of_a_run(tmp_path: Path) -> None:
    """Two of four whole items are won, 50 %; with the lost halves of three more it would be 2 of 7."""
    data, replay = tmp_path / "data", tmp_path / "replay.json"
    replay.write_text(json.dumps(prepared(data)))
    for server in judging_server.running(tmp_path / "log.jsonl", replay):
        suite = SUITE.format(url=server.url, key=KEY_ENV, data=data)
        (tmp_path / "half.yaml").write_text(suite)
        done = bench("run", str(tmp_path / "half.yaml"), "--runs", str(tmp_path / "runs"))
        assert done.returncode == 0, done.stderr
    out = tmp_path / "runs" / "half"

    found = []
    for table, column in (("main", "alpaca-eval.win_rate"), ("comparison", "alpaca-eval.win_rate.mean")):
        with open(out / "tables" / f"{table}.csv") as file:
            (cell,) = (r for r in csv.DictReader(file) if (r["method"], r["column"]) == ("a", column))
        found.append((float(cell["value"]), int(cell["n"])))
        assert "3 of 8 questions half-judged, in no number" in cell["note"]
    numbers = [json.loads(line) for line in (out / "summaries.jsonl").read_text().splitlines()]
    own = {n["metric"]: n["value"] for n in numbers if n["method"] == "a"}
    found.append((own["win_rate"], int(own["n"])))
    exported = out / "exports" / "alpaca-eval" / "gpt-4" / "b"
    with open(exported / "leaderboard.csv") as file:
        (row,) = (r for r in csv.DictReader(file) if r[""] == "a")
    found.append((float(row["win_rate"]) / 100, int(row["n_total"])))
    given = [r["preference"] for r in json.loads((exported / "a" / "annotations.json").read_text())]
    known = [p - 1 for p in given if p is not None]
    found.append((sum(known) / len(known), len(known)))
    assert found == [(pytest.approx(0.5), 4)] * 5
    assert '"both_orders":true' in (out / "report.html").read_text()
