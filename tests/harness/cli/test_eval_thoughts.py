"""What a model thought before its answer is judged by nobody and stands in no later turn; tables say so."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cli.test_eval import bench, notes, words, world
from tests.harness.endpoints import judging_server
from tests.harness.endpoints.judging_server import KEY_ENV, Running

__all__ = ["world"]
MARK = "on an answer without the thoughts before it"


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from judging_server.running(tmp_path_factory.mktemp("judge") / "log.jsonl")


def thinker(world: Path, judge: Running, runs: Path, *settings: str) -> list[str]:
    """`bench eval` of a model at the endpoint that thinks aloud."""
    said = [w for w in words(world, judge, runs, "mt-bench") if "max_tokens" not in w]
    said[1] = f"served={judge.url}#thinker"
    return [*said, f"--set=models.served.api_key_env={KEY_ENV}", *(f"--set={s}" for s in settings)]


def answers(runs: Path) -> list[dict[str, Any]]:
    (path,) = (runs / "store" / "answers").glob("*-answers-of-thinker-*/answers.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def asked(judge: Running, first: int, model: str) -> list[list[dict[str, Any]]]:
    """The messages that a model was sent, but for the preflight's, from a request on."""
    sent = [r["messages"] for r in judge.requests()[first:] if r["model"] == model]
    return [messages for messages in sent if "Say OK." not in str(messages)]


@pytest.mark.parametrize("kept", [False, True])
def test_thoughts_are_taken_out_of_what_is_judged_and_of_what_is_asked_next(
    world: Path, judge: Running, tmp_path: Path, kept: bool
) -> None:
    setting = ["benchmarks.mt-bench.thoughts=keep"] if kept else []
    first = len(judge.requests())
    done = bench(*thinker(world, judge, tmp_path, *setting))
    assert done.returncode == 0, done.stderr
    given, questions = answers(tmp_path), asked(judge, first, "thinker")
    judged = [m for r in judge.requests()[first:] if r["model"] != "thinker" for m in r["messages"]]
    later = [messages for messages in questions if len(messages) > 1]
    assert later and any("[The Start of Assistant" in str(m) for m in judged)
    assert {"<think>" in str(messages) for messages in later} == {kept}
    assert ("<think>" in str(judged)) == kept
    assert {"<think>" in str(a["turns"]) for a in given} == {kept}
    assert {"thoughts" in a for a in given} == {not kept}
    assert (MARK in notes(tmp_path)) != kept
    count = 0 if kept else len(given)
    assert f"answers without their thoughts {count} of" in notes(tmp_path)
