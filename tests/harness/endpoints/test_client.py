"""The client against a real server that follows a script: what is kept, and what is asked again."""

import dataclasses
import math
import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.api import Message
from harness.common.underway import news
from harness.endpoints.client import Call, Endpoint, EndpointFailed, ask, key_of
from harness.endpoints.ledger import Ledger
from harness.endpoints.prices import Price
from harness.endpoints.replies import EndpointReply, ReplyCache
from tests.harness.endpoints.scripted_server import (
    COMPLETION_TOKENS,
    KEY,
    KEY_ENV,
    PROMPT_TOKENS,
    Running,
    running,
    text_of,
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A scripted server, with its key in the environment."""
    monkeypatch.setenv(KEY_ENV, KEY)
    yield from running(tmp_path / "server.jsonl")


def endpoint(server: Running, **changes: Any) -> Endpoint:
    settings: dict[str, Any] = {"timeout": 30.0, "backoff": 0.01, "concurrency": 8}
    return Endpoint("judge", server.url, KEY_ENV, **(settings | changes))


def call_of(content: str, **how: Any) -> Call:
    return Call(f"key of {content}", (Message(role="user", content=content),), **how)


def asked(
    server: Running, contents: Sequence[str], folder: Path, ledger: Ledger | None = None, **changes: Any
) -> list[EndpointReply]:
    with ReplyCache(folder / "replies") as replies:
        calls = [call_of(c) for c in contents]
        return ask(endpoint(server, **changes), calls, replies, ledger or Ledger({}))


def kept(folder: Path) -> list[str]:
    """The keys on the disk, one a line written."""
    files = sorted((folder / "replies").glob("*.jsonl"))
    return [line.split('"')[3] for file in files for line in file.read_text().splitlines()]


def test_a_kept_reply_that_was_altered_is_asked_for_again_and_counted(server, tmp_path):
    first = asked(server, ["a", "b"], tmp_path)
    (file,) = (tmp_path / "replies").glob("*.jsonl")
    file.write_text(file.read_text().replace(first[0].text, first[0].text + "!", 1))
    ledger = Ledger({})
    assert [r.text for r in asked(server, ["a", "b"], tmp_path, ledger)] == [r.text for r in first]
    assert (ledger.calls, ledger.kept, ReplyCache(tmp_path / "replies").torn) == (1, 1, 1)


def test_a_reply_carries_text_log_probs_tokens_and_who_served_it(server, tmp_path):
    with ReplyCache(tmp_path / "replies") as replies:
        call = call_of("hello", top_logprobs=2, temperature=0.5, seed=3, max_tokens=7, top_p=0.9)
        [given] = ask(endpoint(server, extra={"min_p": 0.1}), [call], replies, Ledger({}))

    assert given.text == text_of("hello") and given.finish_reason == "stop" and given.attempts == 1
    assert given.logprobs == {"m": -0.25, "M": -1.51}
    assert (given.prompt_tokens, given.completion_tokens) == (PROMPT_TOKENS, COMPLETION_TOKENS)
    assert (given.model, given.fingerprint) == ("judge-2024", "fp_1") and 0 < given.latency_s < 30
    [request] = server.requests()
    assert request["body"] == {
        "model": "judge",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0.5,
        "max_tokens": 7,
        "top_p": 0.9,
        "seed": 3,
        "logprobs": True,
        "top_logprobs": 2,
        "min_p": 0.1,
    }


def test_the_field_of_the_reply_length_is_the_endpoints(server, tmp_path):
    asked(server, ["hello"], tmp_path, tokens_field="max_completion_tokens")

    [request] = server.requests()
    assert request["body"]["max_completion_tokens"] == 1024 and "max_tokens" not in request["body"]


@pytest.mark.parametrize(
    ("said", "text", "reason"),
    [
        ("refusal", "I will not.", "refusal"),
        ("empty", "", "stop"),
        ("filtered", "", "content_filter"),
        ("filtered_prompt", "", "content_filter"),
        ("cut", text_of("say=cut"), "length"),
        ("cut_by_context", text_of("say=cut_by_context"), "length"),
        ("no_usage", text_of("say=no_usage"), "stop"),
        ("unparsable", "Both are\u2028nice. \ud83d\ude00 no verdict", "stop"),
    ],
)
def test_what_a_judge_says_is_kept_even_if_it_is_nothing(server, tmp_path, said, text, reason):
    [first] = asked(server, [f"say={said}"], tmp_path)
    [again] = asked(server, [f"say={said}"], tmp_path)

    assert (first.text, first.finish_reason) == (
        text.encode("utf-16", "surrogatepass").decode("utf-16"),
        reason,
    )
    assert again == first and len(server.requests()) == 1


def test_what_is_too_long_is_asked_again_by_the_next_run_with_less_room_for_the_reply(server, tmp_path):
    """The server says what it takes and not what the prompt has: 1024, 512, 256, 128, 64 tokens are tried."""
    for tries in (5, 10):
        [given] = asked(server, ["say=no_room"], tmp_path)
        assert (given.text, given.finish_reason) == ("", "too_long") and len(server.requests()) == tries
    assert [r["body"]["max_tokens"] for r in server.requests()[:5]] == [1024, 512, 256, 128, 64]


def test_a_reply_gets_the_room_that_the_context_leaves_and_says_so(server, tmp_path):
    ledger = Ledger({})
    [given] = asked(server, ["context=300"], tmp_path, ledger)
    [whole] = asked(server, ["context=2048"], tmp_path, ledger)

    assert given.text == text_of("context=300") and given.lowered_to == 300 - PROMPT_TOKENS
    assert whole.lowered_to == 0 and ledger.lowered == 1
    assert "max_tokens lowered to what the context leaves: 1" in ledger.summary_line()
    assert [r["body"]["max_tokens"] for r in server.requests()] == [1024, 200, 1024]
    assert asked(server, ["context=300"], tmp_path) == [given] and len(server.requests()) == 3


def test_alternatives_of_one_text_add_up(server, tmp_path):
    """Two ids that read "m", 0.3 and 0.2, are half of all; "M" is alone."""
    with ReplyCache(tmp_path / "replies") as replies:
        [given] = ask(endpoint(server), [call_of("say=twice", top_logprobs=5)], replies, Ledger({}))

    assert given.logprobs == {"m": pytest.approx(math.log(0.5)), "M": pytest.approx(math.log(0.25))}


@pytest.mark.parametrize(
    ("fault", "counted"),
    [
        ("429", "status 429"),
        ("500", "status 500"),
        ("503", "status 503"),
        ("hang", "time-outs"),
        ("truncated", "broken connections"),
        ("reset", "broken connections"),
        ("malformed", "malformed replies"),
        ("shape", "malformed replies"),
        ("error", "status 502"),
        ("html", "malformed replies"),
    ],
)
def test_what_fails_is_asked_again_and_never_kept(server, tmp_path, fault, counted):
    ledger, content = Ledger({}), f"fault={fault}x2"
    how = {"timeout": 1.0} if fault == "hang" else {}
    [given] = asked(server, [content], tmp_path, ledger, **how)

    assert given.text == text_of(content) and given.attempts == 3
    assert ledger.retries == {counted: 2} and ledger.calls == 3 and ledger.usage["completion_tokens"] >= 10
    assert [r["played"] for r in server.requests()] == [fault, fault, ""]
    assert kept(tmp_path) == [f"key of {content}"]


@pytest.mark.parametrize("said", ["aborted", "number"])
def test_an_answer_that_the_server_broke_off_or_garbled_is_a_failure(server, tmp_path, said):
    call = call_of(f"say={said}", top_logprobs=2)
    with (
        ReplyCache(tmp_path / "replies") as replies,
        pytest.raises(EndpointFailed, match=r"1 of 1 calls got no answer \(unreadable 1"),
    ):
        ask(endpoint(server, attempts=3), [call], replies, Ledger({}))

    assert len(server.requests()) == 3 and call.key not in ReplyCache(tmp_path / "replies")


def test_replies_come_in_the_order_of_the_calls_and_equal_calls_are_asked_once(server, tmp_path):
    contents = [f"delay={0.2 if i < 4 else 0} {i}" for i in range(12)]  # the first are answered last
    ledger = Ledger({})
    given = asked(server, [*contents, *reversed(contents)], tmp_path, ledger)

    assert [g.text for g in given] == [text_of(c) for c in [*contents, *reversed(contents)]]
    assert server.times_asked() == dict.fromkeys(contents, 1)
    assert (ledger.calls, ledger.kept) == (12, 12)


def test_text_that_utf8_cannot_hold_is_asked_all_the_same(server, tmp_path):
    given = asked(server, ["half \ud83d a pair", "a whole \U0001f600", "line\u2028end"], tmp_path)

    assert [g.text for g in given] == [
        text_of(c) for c in ("half \ufffd a pair", "a whole \U0001f600", "line\u2028end")
    ]


def test_a_key_covers_what_decides_the_reply_and_nothing_else():
    who, messages = {"model": "judge"}, (Message(role="user", content="hello"),)
    how = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 9, "top_logprobs": 0, "repeat": 0}
    base = key_of(who, messages, **how)
    others = [
        key_of({"model": "other"}, messages, **how),
        key_of(who | {"seed": 1}, messages, **how),
        key_of(who, (Message(role="system", content="hello"),), **how),
        key_of(who, (Message(role="user", content="hello "),), **how),
        key_of(who, (*messages, *messages), **how),
        *(key_of(who, messages, **(how | {name: value + 1})) for name, value in how.items()),
    ]

    assert len({base, *others}) == len(others) + 1
    assert base == key_of(who, messages, **dict(reversed(how.items())))


def test_where_and_how_fast_a_model_is_asked_does_not_ask_it_again(server, tmp_path):
    asked(server, ["x"], tmp_path)
    elsewhere = dataclasses.replace(endpoint(server), base_url="http://127.0.0.1:9/v1", timeout=0.1)
    with ReplyCache(tmp_path / "replies") as replies:
        [given] = ask(elsewhere, [call_of("x")], replies, Ledger({}))

    assert given.text == text_of("x") and len(server.requests()) == 1


def test_progress_counts_what_is_kept(server, tmp_path):
    told: list[int] = []
    with ReplyCache(tmp_path / "replies") as replies:
        ask(endpoint(server), [call_of(str(i)) for i in range(20)], replies, Ledger({}), told.append)

    assert told == sorted(set(told)) and told[-1] == 20


@pytest.mark.parametrize(
    ("prices", "money"),
    [
        ({"judge": Price(100.0, 1000.0)}, r"0\.400 USD spent, "),
        ({}, "price not known, "),
        ({"judge": Price(0.0, 0.0)}, ""),
    ],
)
def test_how_many_are_answered_how_fast_and_for_how_much_is_told(
    server, tmp_path, monkeypatch, prices, money
):
    """100 and 10 tokens a call at 100 and 1,000 USD a million, 20 times; 5 were there before this step."""
    monkeypatch.setattr(news, "EVERY", 0.0)
    file, told, ledger = tmp_path / "running" / "step.json", list[str](), Ledger(prices)

    def note(done: int) -> None:
        found = news.read(file)
        assert found
        told.append(found.text)

    with ReplyCache(tmp_path / "replies") as replies:
        ask(endpoint(server), [call_of(str(i)) for i in range(5)], replies, ledger)
        with news.telling(file):
            ask(endpoint(server), [call_of(str(i)) for i in range(20)], replies, ledger, note)

    numbers = [int(text.partition("/")[0].removeprefix("calls ")) for text in told]
    assert numbers == sorted(numbers) and numbers[0] > 5
    assert re.fullmatch(rf"calls 20/20, {money}[\d.,]+/s", told[-1])


def test_ctrl_c_leaves_what_was_answered(server, tmp_path):
    def stop(done: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    go = tmp_path / "go"  # which the others wait for
    contents = [f"until={go} {i}" if i % 4 else str(i) for i in range(16)]
    began = time.monotonic()
    with ReplyCache(tmp_path / "replies") as replies, pytest.raises(KeyboardInterrupt):
        ask(endpoint(server), [call_of(c) for c in contents], replies, Ledger({}), stop)

    assert time.monotonic() - began < 20 and 1 <= len(kept(tmp_path)) <= 4
    go.touch()
    assert [g.text for g in asked(server, contents, tmp_path)] == [text_of(c) for c in contents]
    assert len(set(kept(tmp_path))) == len(kept(tmp_path)) == 16


def test_the_key_reaches_no_proxy_of_the_environment_when_the_server_is_local(server, tmp_path, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert os.environ["HTTP_PROXY"]

    assert asked(server, ["x"], tmp_path)[0].text == text_of("x")
