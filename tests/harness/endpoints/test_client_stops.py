"""Once a run is over nothing more is sent, and nobody waits for what nobody will ask."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.api import Message
from harness.endpoints import client
from harness.endpoints.client import Call, Endpoint, ask, check
from harness.endpoints.ledger import Ledger
from harness.endpoints.replies import ReplyCache
from tests.harness.endpoints.scripted_server import KEY, KEY_ENV, Running, running


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setenv(KEY_ENV, KEY)
    yield from running(tmp_path / "server.jsonl")


def endpoint(server: Running, **changes: int) -> Endpoint:
    return Endpoint("judge", server.url, KEY_ENV, timeout=30.0, backoff=0.01, **changes)


def call(content: str) -> Call:
    return Call(content, (Message(role="user", content=content),))


def test_a_wrong_key_is_sent_by_the_first_calls_and_not_by_those_that_wait(
    server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_ENV, "sk-wrong")
    with ReplyCache(tmp_path / "r") as replies, pytest.raises(ValueError, match="status 401"):
        ask(endpoint(server, concurrency=64), [call(str(i)) for i in range(500)], replies, Ledger({}))
    assert len(server.requests()) <= 4  # as many as start at once


def test_a_run_that_is_over_does_not_sit_out_a_retry_after(server: Running, tmp_path: Path) -> None:
    calls = [call("fault=429x9 retry_after=30"), call("delay=0.2 fault=quota"), *map(call, "abcdef")]
    began = time.monotonic()
    with ReplyCache(tmp_path / "r") as replies, pytest.raises(ValueError, match="quota"):
        ask(endpoint(server, concurrency=4), calls, replies, Ledger({}))
    assert time.monotonic() - began < 25
    assert server.times_asked()["fault=429x9 retry_after=30"] == 1


@pytest.mark.parametrize("fault", ["fault=429 retry_after=0.2", "fault=500", "fault=reset"])
def test_a_preflight_survives_one_hiccup(
    server: Running, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(client, "Message", lambda role, content: {"role": role, "content": fault})
    check(endpoint(server), Ledger({}), top_logprobs=5)
    assert len(server.requests()) == 2


@pytest.mark.parametrize("limit", [float("nan"), -1.0])
def test_a_limit_that_is_no_amount_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="--max-cost"):
        Ledger({}, max_cost=limit)
