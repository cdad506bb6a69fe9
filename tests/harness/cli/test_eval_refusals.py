"""What a server refuses, filters or leaves empty is no answer: told and counted, judged by nobody."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from tests.harness.cli.test_eval import bench, rows, words, world
from tests.harness.endpoints import judging_server
from tests.harness.endpoints.judging_server import CONTEXT, KEY_ENV, Running

__all__ = ["world"]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from judging_server.running(tmp_path_factory.mktemp("judge") / "log.jsonl")


def served(world: Path, judge: Running, runs: Path, benchmark: str, model: str, *settings: str) -> list[str]:
    """`bench eval` of a model at the endpoint, with answers of the length that benchmarks ask for."""
    said = [w for w in words(world, judge, runs, benchmark) if "max_tokens" not in w]
    said[1] = f"served={judge.url}#{model}"
    return [*said, f"--set=models.served.api_key_env={KEY_ENV}", *(f"--set={s}" for s in settings)]


def answers(runs: Path, model: str) -> list[dict[str, Any]]:
    (path,) = (runs / "store" / "answers").glob(f"*-answers-of-{model}-*/answers.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def notes(runs: Path) -> str:
    return (runs / "e" / "tables" / "main.md").read_text()


def test_a_prompt_that_the_context_does_not_take_ends_the_run_with_the_count(
    world: Path, judge: Running, tmp_path: Path
) -> None:
    """MT-Bench asks for 1,024 tokens; a context with room for none of the prompts takes none of them."""
    rows_of = (world / "mt-bench" / "question.jsonl").read_text().splitlines()
    data = tmp_path / "data"
    data.mkdir()
    (data / "judge_prompts.jsonl").symlink_to(world / "mt-bench" / "judge_prompts.jsonl")
    long = [json.loads(r) | {"turns": ["word " * (CONTEXT - 10)]} for r in rows_of]
    (data / "question.jsonl").write_text("".join(json.dumps(r) + "\n" for r in long))
    said = served(world, judge, tmp_path, "mt-bench", "narrow", f"benchmarks.mt-bench.data={data}")
    done = bench(*said)
    assert done.returncode == 2, done.stdout
    assert "narrow gave none of 3 of 3 answers (too long for the server 3)" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "e" / "results.jsonl").exists()
    assert not list((tmp_path / "store" / "judgments").glob("*of-served*"))


def test_answers_get_the_room_that_the_context_leaves_and_the_cell_says_so(
    world: Path, judge: Running, tmp_path: Path
) -> None:
    before = len(judge.requests())
    done = bench(*served(world, judge, tmp_path, "gsm8k-cot", "narrow"))
    assert done.returncode == 0, done.stderr
    assert "max_tokens lowered to what the context leaves: 1" in done.stdout  # three times one question
    sent = [r for r in judge.requests()[before:] if r["model"] == "narrow" and "Say OK." not in str(r)]
    refused, taken = sent
    left = CONTEXT - judging_server.words_in(taken)
    assert refused["max_tokens"] > CONTEXT and taken["max_tokens"] == left
    assert [a["limits"] for a in answers(tmp_path, "narrow")] == [[left]] * 3
    assert "3 of 3 on an answer with less room than was asked for" in notes(tmp_path)


def test_filtered_refused_and_empty_answers_are_counted_and_never_judged(
    world: Path, judge: Running, tmp_path: Path
) -> None:
    said = served(world, judge, tmp_path, "alpaca-eval", "moody")
    before = len(judge.prompts())
    done = bench(*said)
    assert done.returncode == 2
    assert "moody gave none of 3 of 6 answers (empty 1, filtered 1, refused 1)" in done.stderr

    asked = len(judge.prompts()) - before
    assert asked == 6  # no judge before the answers are there
    done = bench(*said, "--set=models.served.max_refused=0.5")
    assert done.returncode == 0, done.stderr
    assert len(judge.prompts()) - before == 6 + 3  # kept, and three of six are judged
    given = answers(tmp_path, "moody")
    reasons = [["content_filter"], ["refusal"], ["length"], *[["stop"]] * 3]
    assert [a["finish_reasons"] for a in given] == reasons
    found = [r for r in rows(tmp_path) if r["method"] == "served"]
    counted = Counter(r["status"] for r in found)
    assert counted == {"ok": 3, "filtered": 1, "refused": 1, "empty": 1}
    values = [r["value"] for r in found if r["status"] == "ok"]
    (summary,) = (
        s["value"]
        for s in rows(tmp_path, "summaries")
        if (s["method"], s["metric"]) == ("served", "win_rate")
    )
    assert summary == pytest.approx(fmean(values))
    sums = "answers refused, filtered or empty 3 of 12"  # of these 6 are the reference's
    for told in ("1 of 6 empty", "1 of 6 filtered", "1 of 6 refused", sums):
        assert told in notes(tmp_path)


def test_answers_that_a_reference_lacks_are_not_compared_with(
    world: Path, judge: Running, tmp_path: Path
) -> None:
    """Two endpoints that refuse alike are no ties of 0.5."""
    url = f"{judge.url}#moody"
    said = served(world, judge, tmp_path, "alpaca-eval", "gpt-x", "models.served.max_refused=1")
    said[2] = f"theirs={url}"
    done = bench(*said, f"--set=models.theirs.api_key_env={KEY_ENV}", "--set=models.theirs.max_refused=1")
    assert done.returncode == 0, done.stderr
    for method, status in (("served", "without the reference's answer (filtered)"), ("theirs", "filtered")):
        own = [r for r in rows(tmp_path) if r["method"] == method]
        assert len(own) == 6 and sum(r["status"] == status for r in own) == 1
        assert sum(r["value"] is None for r in own) == 3


def test_a_conversation_that_lacks_an_answer_has_no_second_turn(
    world: Path, judge: Running, tmp_path: Path
) -> None:
    said = served(world, judge, tmp_path, "mt-bench", "moody", "models.served.max_refused=1")
    before = len(judge.requests())
    done = bench(*said)
    assert done.returncode == 0, done.stderr
    sent = [r for r in judge.requests()[before:] if r["model"] == "moody" and "Say OK." not in str(r)]
    assert len(sent) == 3  # first turns, all of them filtered
    found = [r for r in rows(tmp_path) if r["method"] == "served"]
    assert [(r["value"], r["status"]) for r in found] == [(None, "filtered")] * 6


def test_a_judge_that_refuses_gives_no_verdict_and_over_a_share_ends_the_run(
    world: Path, judge: Running, tmp_path: Path
) -> None:
    """The judge's context takes no more than 200 words, and one of the answers is as long."""
    said = [w for w in words(world, judge, tmp_path, "mt-bench") if "--judge=" not in w]
    long = json.loads((world / "mt-bench" / "question.jsonl").read_text().splitlines()[0])
    data = tmp_path / "data"
    data.mkdir()
    (data / "judge_prompts.jsonl").symlink_to(world / "mt-bench" / "judge_prompts.jsonl")
    questions = [long, long | {"question_id": 2, "turns": ["word " * CONTEXT]}]
    (data / "question.jsonl").write_text("".join(json.dumps(q) + "\n" for q in questions))
    said = [*said, "--judge=narrow", f"--set=benchmarks.mt-bench.data={data}"]
    done = bench(*said)
    assert done.returncode == 2
    assert "narrow gave none of 1 of 3 judgments (too long for the server 1)" in done.stderr
    done = bench(*said, "--set=judges.narrow.max_refused=0.5")
    assert done.returncode == 0, done.stderr
    found = [r for r in rows(tmp_path) if r["method"] == "ours"]
    assert [r["status"] for r in found] == ["ok", "ok", "without the judge's reply (too long for the server)"]
