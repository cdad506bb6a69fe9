"""A prompt that an endpoint refused in words of its own costs that prompt alone, and a person reads them."""

import json
from pathlib import Path
from typing import Any

from tests.bench_command import bench
from tests.fuzz.makers import questions
from tests.harness.endpoints.fault_server import KEY, KEY_ENV, running

SUITE = """
name: e
models: {{m: {{url: "{url}", model: m, api_key_env: {env}}}}}
judges: {{j: {{base_url: "{url}", model: j, api_key_env: {env}}}}}
benchmarks: {{gsm8k-cot: {{data: data}}, mt-bench: {{data: mt, judge: j}}}}
"""
# Of the judge alone, whose prompt holds the answer too.
JUDGED = {"on": "What is 3 and one?\nRating", "status": 403, "text": "<p>flagged</p>"}
REFUSED = {"on": "boom", "status": 400, "json": {"error": {"message": "Content Exists Risk"}}}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_words_are_in_the_store_the_lines_and_beside_the_question(tmp_path: Path) -> None:
    questions(tmp_path)
    with running(tmp_path, [REFUSED, JUDGED]) as server:
        (tmp_path / "e.yaml").write_text(SUITE.format(url=server.url, env=KEY_ENV))
        done = bench("run", "e.yaml", "--runs", "runs", cwd=tmp_path, **{KEY_ENV: KEY})
    assert done.returncode == 0, done.stderr
    assert "refused by the server 3 (the first: status 400, Content Exists Risk)" in done.stdout
    assert "answers refused, filtered or empty 2 of 40" in " ".join(done.stdout.split())
    judged = [r for r in lines(tmp_path / "runs" / "e" / "results.jsonl") if r["benchmark"] == "mt-bench"]
    lost = {r["question"]: r["status"] for r in judged if r["value"] is None}
    assert lost == {
        "7": "refused by the server",
        "3": "without the judge's reply (refused by the server)",
    }
    (answers,) = (tmp_path / "runs" / "store" / "answers").glob("mt-bench*/answers.jsonl")
    told = {row["question"]: row.get("told") for row in lines(answers)}
    assert told.pop("7") == ["status 400, Content Exists Risk"] and set(told.values()) == {None}
    for question, words in (("7", "status 400, Content Exists Risk"), ("3", "status 403, flagged")):
        shown = bench(
            *("show", "e", "--runs", "runs", "--methods", "m"),
            *("--benchmark", "mt-bench", "--question", question),
            cwd=tmp_path,
        )
        assert f"refused by the server{')' if question == '3' else ''} ({words})" in shown.stdout
