"""What a server refuses, filters or leaves empty is no answer: told and counted, judged by nobody."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from tests.harness.cli.test_eval import bench, notes, rows, world
from tests.harness.endpoints import judging_server
from tests.harness.endpoints.judging_server import CONTEXT, KEY_ENV, Running

__all__ = ["world"]

SUITE = """
name: e
models:
  plain: {{url: "{url}", model: gpt-x, api_key_env: {key}}}
  moody: {{url: "{url}", model: moody, api_key_env: {key}, max_refused: {allowed}}}
  narrow: {{url: "{url}", model: narrow, api_key_env: {key}, max_refused: {allowed}}}
judges:
  judge: {{model: gpt-4, base_url: "{url}", api_key_env: {key}}}
  narrow: {{model: narrow, base_url: "{url}", api_key_env: {key}, max_refused: {allowed}}}
benchmarks:
  gsm8k-cot: {{data: "{data}/gsm8k-cot"}}
  alpaca-eval: {{data: "{data}/alpaca-eval", judge: judge, reference: plain, order: random}}
  against-moody: {{like: alpaca-eval, data: "{data}/alpaca-eval", judge: judge, reference: moody}}
  mt-bench: {{data: "{data}/mt-bench", judge: judge}}
  long: {{like: mt-bench, data: "{long}", judge: narrow}}
"""
NAMES = {"narrow": "narrow", "plain": "gpt-x"}  # of rows, at the endpoint


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from judging_server.running(tmp_path_factory.mktemp("server") / "log.jsonl")


@pytest.fixture(scope="module")
def long(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MT-Bench with a question of two turns, and one that is as long as the narrow context."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "judge_prompts.jsonl").symlink_to(world / "mt-bench" / "judge_prompts.jsonl")
    one = json.loads((world / "mt-bench" / "question.jsonl").read_text().splitlines()[0])
    questions = [one, one | {"question_id": 2, "turns": ["word " * CONTEXT]}]
    (folder / "question.jsonl").write_text("".join(json.dumps(q) + "\n" for q in questions))
    return folder


def run(server: Running, world: Path, long: Path, runs: Path, allowed: float, *words: str) -> Any:
    """`bench run` of the suite, with this share of answers and judgments that may be refused."""
    suite = SUITE.format(url=server.url, key=KEY_ENV, allowed=allowed, data=world, long=long)
    (runs / "e.yaml").write_text(suite)
    return bench("run", str(runs / "e.yaml"), "--runs", str(runs), *words)


@pytest.fixture(scope="module")
def finished(
    server: Running, world: Path, long: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """The folder of a run that allows all to be refused, and what it printed."""
    runs = tmp_path_factory.mktemp("runs")
    done = run(server, world, long, runs, 1.0)
    assert done.returncode == 0, done.stderr
    return runs, done.stdout


def records(runs: Path, method: str, benchmark: str) -> list[dict[str, Any]]:
    return [r for r in rows(runs) if (r["method"], r["benchmark"]) == (method, benchmark)]


def answers(runs: Path, benchmark: str, model: str) -> list[dict[str, Any]]:
    (path,) = (runs / "store" / "answers").glob(f"{benchmark}-answers-of-{model}-*/answers.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_filtered_refused_and_empty_answers_are_counted_and_never_judged(
    server: Running, finished: tuple[Path, str]
) -> None:
    runs, _ = finished
    reasons = [["content_filter"], ["refusal"], ["length"], *[["stop"]] * 3]
    assert [a["finish_reasons"] for a in answers(runs, "against-moody", "moody")] == reasons
    found = records(runs, "moody", "alpaca-eval")
    assert Counter(r["status"] for r in found) == {"ok": 3, "filtered": 1, "refused": 1, "empty": 1}
    assert not any("a half" in prompt or "\nNo.\n" in prompt for prompt in server.prompts())
    (mean,) = (
        s["value"]
        for s in rows(runs, "summaries")
        if (s["method"], s["benchmark"], s["metric"]) == ("moody", "alpaca-eval", "win_rate")
    )
    assert mean == pytest.approx(fmean(r["value"] for r in found if r["status"] == "ok"))
    for told in ("1 of 6 empty", "1 of 6 filtered", "1 of 6 refused"):
        assert told in notes(runs)


def test_an_answer_that_the_reference_lacks_is_not_compared_with(finished: tuple[Path, str]) -> None:
    """Not even by a row that lacks the same: two that refuse alike are no ties of 0.5."""
    runs, _ = finished
    for method, status in (
        ("plain", "without the reference's answer (filtered)"),
        ("moody", "filtered"),
    ):
        found = records(runs, method, "against-moody")
        lost = [r for r in found if r["value"] is None]
        assert {r["question"] for r in lost} == {"0", "1", "2"}
        assert {r["status"] for r in lost if r["question"] == "0"} == {status}


def test_a_conversation_that_lacks_an_answer_has_no_second_turn(
    server: Running, finished: tuple[Path, str]
) -> None:
    runs, _ = finished
    found = records(runs, "moody", "mt-bench")
    assert [(r["value"], r["status"]) for r in found] == [(None, "filtered")] * 6
    asked = [r["messages"] for r in server.requests() if r["model"] == "moody"]
    assert {len(messages) for messages in asked} == {1}


def test_answers_get_the_room_that_the_context_leaves_and_the_cell_says_so(
    server: Running, finished: tuple[Path, str]
) -> None:
    runs, printed = finished
    assert "max_tokens lowered to what the context leaves: " in printed
    refused, taken = [
        r for r in server.requests() if r["model"] == "narrow" and "e f" in r["messages"][-1]["content"]
    ]
    left = CONTEXT - judging_server.words_in(taken)
    assert refused["max_tokens"] > CONTEXT and taken["max_tokens"] == left
    assert [a["limits"] for a in answers(runs, "gsm8k-cot", "narrow")] == [[left]] * 3
    assert "3 of 3 on an answer with less room than was asked for" in notes(runs)


def test_a_judge_that_refuses_gives_no_verdict(finished: tuple[Path, str]) -> None:
    """The judge's context takes no more than 200 words, and one of the questions is as long."""
    statuses = [r["status"] for r in records(finished[0], "plain", "long")]
    assert statuses == ["ok", "ok", "without the judge's reply (too long for the server)"]


def test_the_line_of_health_counts_judgments_that_there_are_none_of(finished: tuple[Path, str]) -> None:
    lost = sum(r["value"] is None and r["status"] != "unparsed" for r in rows(finished[0]))
    assert lost and f"judgments refused or without an answer {lost} of " in notes(finished[0])


@pytest.mark.parametrize(
    ("only", "told"),
    [
        ("narrow", "narrow gave none of 1 of 2 answers (too long for the server 1)"),
        ("plain", "narrow gave none of 1 of 3 judgments (too long for the server 1)"),
    ],
)
def test_over_a_share_the_run_ends_with_the_count(
    server: Running, world: Path, long: Path, tmp_path: Path, only: str, told: str
) -> None:
    asked = f"url: '{server.url}', model: {NAMES[only]}, api_key_env: {KEY_ENV}, max_refused: 0"
    settings = [f"--set=models={{{only}: {{{asked}}}}}"]
    settings += [f"--set=benchmarks={{long: {{like: mt-bench, data: {long}, judge: narrow}}}}"]
    done = run(server, world, long, tmp_path, 0.0, *settings)
    assert done.returncode == 2, done.stdout
    assert told in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "e" / "results.jsonl").exists()
    assert not list((tmp_path / "store" / "judgments").glob("*"))


def test_an_export_says_of_what_there_was_nothing_to_judge(finished: tuple[Path, str]) -> None:
    """The audit needs it: the text of a filtered answer, "a half", looks like one of an answer."""
    (path,) = (finished[0] / "e" / "exports" / "alpaca-eval").glob("*/plain/moody/annotations.json")
    told = [(row.get("status"), row["output_2"]) for row in json.loads(path.read_text())]
    assert told[:3] == [("filtered", "a half"), ("refused", "No."), ("empty", "")]
    assert {status for status, _ in told[3:]} == {None}
