"""A whole run whose judge says again what GPT-4 once said: the published numbers, at the end of the line."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.alpaca_eval import benchmark as alpaca_eval
from benchmarks.api import JudgeRequest
from tests.harness.cli.test_eval import bench
from tests.harness.endpoints import judging_server
from tests.harness.endpoints.judging_server import KEY_ENV

MODEL = "gemma-2b-it"
SUITE = """
name: golden
models: {{{model}: {{answers: {model}}}}}
judges: {{gpt-4: {{model: gpt-4-1106-preview, base_url: "{url}", api_key_env: {key}, guard: false}}}}
benchmarks: {{alpaca-eval-2: {{judge: gpt-4, data: {data}}}}}
"""


def published_folder(shared_data: Path, folder: Path) -> None:
    """AlpacaEval's data with the model's outputs, which are published inside its annotations."""
    (folder / "model_outputs").mkdir(parents=True)
    for name in ("model_outputs/gpt4_1106_preview.json.gz", "df_gamed_reconstructed.csv"):
        (folder / name).symlink_to((shared_data / "alpaca_eval" / name).resolve())
    rows = [
        {
            "dataset": r["dataset"],
            "instruction": r["instruction"],
            "output": r["output_2"],
            "generator": MODEL,
        }
        for r in annotations(shared_data)
    ]
    (folder / "model_outputs" / f"{MODEL}.json").write_text(json.dumps(rows))


def annotations(shared_data: Path) -> list[dict[str, Any]]:
    with gzip.open(shared_data / "alpaca_eval" / "annotations_weighted" / f"{MODEL}.json.gz", "rt") as file:
        return list(json.load(file))


def replay(shared_data: Path, folder: Path, path: Path) -> None:
    """Every prompt of the 805 with the reply that is published for it."""
    completions = {row["instruction"]: row["raw_completion"] for row in annotations(shared_data)}
    questions, benchmark = alpaca_eval.load(folder, evaluator=alpaca_eval.WEIGHTED)
    ours = alpaca_eval.baseline(folder, MODEL)
    theirs = alpaca_eval.baseline(folder, alpaca_eval.BASELINE[alpaca_eval.WEIGHTED])
    said = {}
    for q in questions:
        (request,) = benchmark.requests(q, ours[q.id], theirs[q.id])
        assert isinstance(request, JudgeRequest)
        completion = completions[q.turns[0]]
        (first,) = completion["logprobs"]["content"]
        top = {t["token"]: t["logprob"] for t in first["top_logprobs"]}
        said[request.messages[-1]["content"]] = [completion["text"], top]
    path.write_text(json.dumps(said))


def test_the_published_row_of_alpaca_eval_2_comes_out_of_a_run(shared_data: Path, tmp_path: Path) -> None:
    data = tmp_path / "alpaca-eval"
    published_folder(shared_data, data)
    replay(shared_data, data, tmp_path / "replay.json")
    for server in judging_server.running(tmp_path / "log.jsonl", tmp_path / "replay.json"):
        suite = SUITE.format(model=MODEL, url=server.url, key=KEY_ENV, data=data)
        (tmp_path / "golden.yaml").write_text(suite)
        done = bench("run", str(tmp_path / "golden.yaml"), "--runs", str(tmp_path / "runs"))
        assert done.returncode == 0, done.stderr
        assert len(server.prompts()) == 805

    with open(
        shared_data / "alpaca_eval/leaderboards/weighted_alpaca_eval_gpt4_turbo_leaderboard.csv"
    ) as file:
        published = next(row for row in csv.DictReader(file) if row[""] == MODEL)
    out = tmp_path / "runs" / "golden"
    with open(out / "exports" / "alpaca-eval-2" / "gpt-4" / "baseline" / "leaderboard.csv") as file:
        (ours,) = csv.DictReader(file)
    for column in ("win_rate", "standard_error", "discrete_win_rate"):
        assert float(ours[column]) == pytest.approx(float(published[column]), abs=1e-9)
    for column in ("n_wins", "n_wins_base", "n_draws", "n_total", "avg_length"):
        assert ours[column] == published[column]
    lc = float(published["length_controlled_winrate"])
    assert float(ours["length_controlled_winrate"]) == pytest.approx(lc, abs=0.01)

    with open(out / "tables" / "main.csv") as file:
        cells = {row["column"]: row for row in csv.DictReader(file)}
    assert float(cells["alpaca-eval-2.win_rate"]["value"]) == pytest.approx(
        float(published["win_rate"]) / 100, abs=1e-11
    )
    controlled = cells["alpaca-eval-2.lc_win_rate"]
    assert float(controlled["low"]) < lc / 100 < float(controlled["high"])
    assert controlled["note"] == "df_gamed.csv is a stand-in"

    audit = bench("audit", str(out))
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert "the length-controlled code was given df_gamed_reconstructed.csv (sha256 " in audit.stdout
    assert "a stand-in for df_gamed.csv" in audit.stdout
    assert all(f"{where} " in audit.stdout for where in ("lc_win_rate", "lc_win_rate (main table)"))
