"""Every fault of faults.yaml, played by a real server to one prompt of eight: nothing good is lost by it."""

import base64
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from benchmarks.api import NO_ANSWER, NOT_TAKEN, Message
from harness.endpoints import client, served
from harness.endpoints.client import Call, Endpoint, EndpointFailed, ask, check
from harness.endpoints.ledger import Ledger
from harness.endpoints.replies import EndpointReply, ReplyCache
from harness.endpoints.responses import answer
from harness.endpoints.responses.outcomes import Failed
from harness.endpoints.responses.page import page_of
from harness.endpoints.responses.secrets import HIDDEN, hide
from tests.fuzz.cases import expanded
from tests.harness.endpoints.fault_server import KEY, KEY_ENV, Running, running

FAULTS = YAML(typ="safe", pure=True).load(Path(__file__).with_name("faults.yaml"))
ERRORS = {"ValueError": ValueError, "EndpointFailed": EndpointFailed}
UNSEEN: dict[str, Any] = {"timeout": 30.0, "backoff": 0.001, "attempts": 2}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, KEY)


def asked(
    server: Running, folder: Path, prompts: Sequence[str], ledger: Ledger | None = None, **how: Any
) -> list[EndpointReply]:
    calls = [
        Call(p, (Message(role="user", content=p),), top_logprobs=how.get("top_logprobs", 0)) for p in prompts
    ]
    settings = UNSEEN | {name: value for name, value in how.items() if name != "top_logprobs"}
    with ReplyCache(folder / "replies") as replies:
        return ask(Endpoint("m", server.url, KEY_ENV, **settings), calls, replies, ledger or Ledger({}))


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server with all faults, each for a prompt of its own."""
    faults = [{"on": f"boom {n:03}", **case["play"]} for n, case in enumerate(FAULTS)]
    faults += [fault for case in FAULTS for fault in case.get("then", ())]
    with running(tmp_path_factory.mktemp("server"), expanded(faults)) as server:
        yield server


@pytest.mark.parametrize(
    "number", [pytest.param(n, id=f"{c['fault']}: {c['name']}") for n, c in enumerate(FAULTS)]
)
def test_a_fault_takes_no_good_reply_with_it(number: int, faulty: Running, tmp_path: Path) -> None:
    case, bad = FAULTS[number], f"boom {number:03}"
    prompts = ["good one", "good two", bad, *(f"good {n}" for n in range(5))]
    how = {"top_logprobs": 2 if case.get("with_logprobs") else 0, "timeout": case.get("timeout", 30.0)}
    ledger = Ledger({})
    if "error" in case:
        with pytest.raises(ERRORS[case["error"]]) as caught:
            asked(faulty, tmp_path, prompts, ledger, concurrency=1, **how)
        line = str(caught.value)
        assert line.startswith("m at http://127.0.0.1:") and len(line) < 400 and line.isprintable()
        assert all(word in line for word in case["says"]), line
        assert KEY not in line and "hidden-7" not in line
        kept = ReplyCache(tmp_path / "replies")
        assert all(prompt in kept for prompt in prompts[:2])
        return
    given = dict(zip(prompts, asked(faulty, tmp_path, prompts, ledger, **how), strict=True))
    boom = given.pop(bad)
    assert {(g.finish_reason, g.text[:6], g.attempts) for g in given.values()} == {("stop", "Rating", 1)}
    assert (boom.finish_reason, boom.attempts) == (case["finish"], case.get("attempts", 1))
    if case["finish"] != "stop" or "text" in case:
        assert boom.text == case.get("text", "")
    assert all(word in boom.told for word in case.get("told", ())), boom.told
    assert boom.logprobs == case.get("logprobs", boom.logprobs)
    assert KEY not in boom.told and boom.told.isprintable() and len(boom.told) < 250
    refused = boom.finish_reason in ("rejected", "unreadable")
    assert ledger.refused.total() == refused
    assert (NO_ANSWER[boom.finish_reason] in ledger.summary_line()) if refused else True
    again = ReplyCache(tmp_path / "replies")
    assert (bad in again) == (boom.finish_reason not in NOT_TAKEN) and "good one" in again


REFUSAL = {"on": "boom", "status": 400, "json": {"error": {"message": "Content Exists Risk"}}}


def test_over_a_budget_the_rest_is_not_asked_and_a_rerun_asks_only_that(tmp_path: Path) -> None:
    """Of 100 calls 5 may be refused; the sixth ends the run, but for those under way."""
    prompts = [f"{'boom' if i % 5 == 0 else 'good'} {i}" for i in range(100)]
    with running(tmp_path, [REFUSAL]) as server:
        with pytest.raises(ValueError, match=r"6 of 100 calls got no answer") as caught:
            asked(server, tmp_path, prompts, concurrency=1)
        line = str(caught.value)
        assert "(refused by the server 6), 74 not tried; more than max_refused allows, 0.05; " in line
        assert "the first: status 400, Content Exists Risk; what was answered is kept" in line
        first = server.requests()
        given = asked(server, tmp_path, prompts, concurrency=1, max_refused=0.2)
    assert sum(g.finish_reason == "rejected" for g in given) == 20
    assert len(first) == 26 and len(server.requests()) == 26 + 80  # what was good was not asked again


def test_few_calls_that_are_left_may_be_refused_as_if_all_were_asked(tmp_path: Path) -> None:
    prompts = [f"good {i}" for i in range(96)]
    with running(tmp_path, [REFUSAL]) as server:
        asked(server, tmp_path, prompts)
        given = asked(server, tmp_path, [*prompts, *(f"boom {i}" for i in range(4))])
    assert sum(g.finish_reason == "rejected" for g in given) == 4


@pytest.mark.parametrize(("count", "fine"), [(1, False), (2, True), (4, True), (20, True)])
def test_one_of_few_may_be_refused_and_never_all(tmp_path: Path, count: int, fine: bool) -> None:
    prompts = ["boom", *(f"good {i}" for i in range(count - 1))]
    with running(tmp_path, [REFUSAL]) as server:
        if fine:
            assert asked(server, tmp_path, prompts)[0].told == "status 400, Content Exists Risk"
        for share in (0.0,) if fine else (0.0, 0.05):
            with pytest.raises(ValueError, match="refused by the server 1"):
                asked(server, tmp_path / "strict", prompts, max_refused=share)


UNSUPPORTED = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'"
)
ONLY_ONE = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value"
REASONING = [
    {"with": "max_tokens", "status": 400, "json": {"error": {"message": UNSUPPORTED, "param": "max_tokens"}}},
    {
        "with": "temperature",
        "status": 400,
        "json": {"error": {"message": ONLY_ONE, "code": "unsupported_value"}},
    },
    {"with": "top_p", "status": 400, "json": {"error": {"message": "Unsupported parameter: 'top_p'"}}},
]


def test_a_model_that_thinks_is_asked_in_its_fields(tmp_path: Path) -> None:
    with running(tmp_path, REASONING) as server:
        endpoint = Endpoint("o5", server.url, KEY_ENV, **UNSEEN)
        with pytest.raises(
            ValueError, match=r"status 400, Unsupported value.*`temperature: null` sends none"
        ):
            check(endpoint, Ledger({}))
        check(Endpoint("o5", server.url, KEY_ENV, **UNSEEN, temperature=None), Ledger({}))
        given = asked(server, tmp_path, ["a", "b", "c"], temperature=None)
        assert [g.finish_reason for g in given] == ["stop"] * 3
        sent = server.requests()[-1]["body"]
        assert sent["max_completion_tokens"] == 1024
        assert not {"temperature", "top_p", "max_tokens"} & sent.keys()


def test_a_server_that_knows_neither_field_is_one_line(tmp_path: Path) -> None:
    fault = {
        "status": 422,
        "json": {"detail": [{"type": "extra_forbidden", "msg": "Extra inputs: max_tokens"}]},
    }
    with running(tmp_path, [fault]) as server:
        for ask_it in (
            lambda: check(Endpoint("m", server.url, KEY_ENV, **UNSEEN), Ledger({})),
            lambda: asked(server, tmp_path, ["a", "b"]),
        ):
            with pytest.raises(ValueError, match="tokens_field: neither name is known"):
                ask_it()
        assert len(server.requests()) <= 2 + 4


@pytest.mark.parametrize(
    ("fault", "ending", "said"),
    [
        (
            {"status": 403, "json": {"error": "no log-probs for you"}},
            "",
            ["status 403, no log-probs", "the key is read from"],
        ),
        ({"status": 400, "text": "<p>bad</p>"}, "", ["status 400, bad"]),
        ({"text": "<p>log in</p>"}, "", ["does not answer (malformed replies); nothing was done (log in)"]),
        (
            {"where": "", "status": 404, "json": {"detail": "Not Found"}},
            "bare",
            ["status 404, Not Found", "base_url mostly ends in /v1: http://127.0.0.1"],
        ),
        ({"where": "", "status": 404}, "/chat/completions", ["base_url ends before /chat/completions"]),
    ],
)
def test_a_probe_tells_what_the_server_says(
    tmp_path: Path, fault: dict[str, Any], ending: str, said: list[str]
) -> None:
    with running(tmp_path, [fault]) as server:
        url = server.url.removesuffix("/v1") if ending == "bare" else server.url + ending
        with pytest.raises(ValueError) as caught:
            check(Endpoint("m", url, KEY_ENV, **UNSEEN), Ledger({}))
    assert all(words in str(caught.value) for words in said), caught.value


@pytest.mark.parametrize("ending", ["/", "//"])
def test_slashes_at_the_end_of_a_url_are_none_of_the_path(tmp_path: Path, ending: str) -> None:
    with running(tmp_path, []) as server:
        asked(Running(server.url + ending, server.log), tmp_path, ["a"])
        assert server.requests()[0]["path"] == "/v1/chat/completions"


def test_a_host_may_be_an_address_of_ipv6(tmp_path: Path) -> None:
    with running(tmp_path, [], "::1") as server:
        assert asked(server, tmp_path, ["a"])[0].finish_reason == "stop"


def test_tls_to_a_port_that_has_none_is_told(tmp_path: Path) -> None:
    with running(tmp_path, []) as server:
        secure = Endpoint("m", server.url.replace("http:", "https:"), KEY_ENV, **UNSEEN)
        with pytest.raises(ValueError, match=r"broken connections\).*SSL"):
            check(secure, Ledger({}))


def test_a_long_wait_is_told_when_it_begins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    monkeypatch.setattr(client, "LONG_WAIT", 0.9)
    fault = {"times": 4, "status": 429, "headers": {"Retry-After": "1"}, "text": "slow down"}
    with running(tmp_path, [fault]) as server:
        asked(server, tmp_path, list("abcd"))  # which start together
    assert caplog.text.count("asks to wait 1 s (status 429: slow down)") == 1


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"json": {"data": [{"id": "m", "root": "w"}]}}, ["m", "w"]),
        ({"text": '{"data": [{"id": "a\\ud83d\\u0000"}]}'}, ["a\ufffd\ufffd"]),
        ({"text": "[" * 100_000}, []),
        ({"zeros": 20}, []),
        ({"text": "<html>"}, []),
        ({"json": {"data": [3, None, {"id": 4}]}}, []),
        ({"status": 403, "text": "no"}, []),
    ],
)
def test_whatever_a_list_of_models_is_there_is_one_or_none(
    tmp_path: Path, fault: dict[str, Any], named: list[str]
) -> None:
    with running(tmp_path, [{"where": "/v1/models", **fault}]) as server:
        assert served.names(Endpoint("m", server.url, KEY_ENV)) == named


def test_a_list_of_models_that_comes_byte_by_byte_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "SECONDS", 0.3)
    with running(tmp_path, [{"where": "/v1/models", "drip": 1, "json": {"data": []}}]) as server:
        began = time.monotonic()
        with pytest.raises(ValueError, match=r"does not answer \(broken connections: no page within 0.3 s\)"):
            served.names(Endpoint("m", server.url, KEY_ENV))
    assert time.monotonic() - began < 30  # of more than a hundred


@pytest.mark.parametrize(("key", "kept"), [("dummy", True), ("token", True), ("sk-a1b2c3d4e5f6", False)])
def test_a_word_in_place_of_a_key_is_no_secret(key: str, kept: bool) -> None:
    """Servers that want no key are given one; answers may have the word, and usage its name."""
    said = {"text": f"{key} = 1", "usage": {f"prompt_{key}s": 3}}
    found = page_of(200, {}, json.dumps(said).encode(), (key,)).body
    assert (found == said) == kept and (key in str(found)) == kept


KEY_OF_A_SERVER = "sk-a1B2-c3d4e5f6"
IN_BASE64 = base64.b64encode(f"Bearer {KEY_OF_A_SERVER}".encode()).decode()


@pytest.mark.parametrize(
    "said",
    [
        *(KEY_OF_A_SERVER, KEY_OF_A_SERVER.upper(), " ".join(KEY_OF_A_SERVER), "sk_a1B2 c3d4\ne5f6"),
        *(
            "\u200b".join(KEY_OF_A_SERVER),
            "sk%2Da1B2%2dc3d4e5f6",
            "s\\u006b-a1B2-c3d4e5f6",
            "sk&#45;a1B2-c3d4e5f6",
        ),
        *(IN_BASE64, KEY_OF_A_SERVER.encode().hex(), "".join(chr(ord(c) + 0xFEE0) for c in KEY_OF_A_SERVER)),
    ],
)
def test_a_secret_is_found_however_it_is_written(said: str) -> None:
    given = hide(f"no 1, {said}.", (KEY_OF_A_SERVER,))
    assert HIDDEN in given and said not in given and given.startswith("no 1, ") and given.endswith(".")
    page = page_of(400, {}, f"not for {said}".encode(), (KEY_OF_A_SERVER,))
    assert HIDDEN in page.words and said not in page.words


@pytest.mark.parametrize("part", ["<head ", "<", "<style><head><script>"])
def test_a_page_of_tags_that_never_end_is_read_at_once(part: str) -> None:
    page = page_of(
        502, {}, f"<head><title>x</title></head><h1>Bad Gateway</h1>{part * (60_000 // len(part))}".encode()
    )
    began = time.process_time()
    assert page.words.startswith("Bad Gateway")
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("test-123", "test 1, 2, 3 and 1"),
        ("1", "1"),
        ("no-key-required", "There is no key required here"),
        ("user:password", "Type your user/password"),
        ("sk-local", "task-local"),
        ("123456", "1234567"),
        ("123456789012", "1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2"),
        ("20240101120000", "2024-01-01 12:00:00"),
    ],
)
def test_a_key_takes_no_words_out_of_answers(key: str, said: str) -> None:
    assert hide(said, (key,)) == said


@pytest.mark.parametrize("said", ["%41", "s%2d", "s&#45;", "&#115;", "&#0", f"{KEY_OF_A_SERVER.upper()} "])
def test_secrets_are_looked_for_in_time(said: str) -> None:
    """In a megabyte, which might be read in several ways."""
    began = time.process_time()
    hide(said * (2**20 // len(said)), (KEY_OF_A_SERVER,))
    assert time.process_time() - began < 5


@pytest.mark.parametrize("parts", [("sk-a1B2-", "c3d4e5f6"), tuple(KEY_OF_A_SERVER)])
def test_a_key_that_comes_in_parts_is_no_answer(parts: tuple[str, ...]) -> None:
    chunks = [{"choices": [{"delta": {"content": part}, "finish_reason": None}]} for part in parts]
    chunks += [{"choices": [{"delta": {}, "finish_reason": "stop"}]}]
    streamed = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    listed = {"choices": [{"message": {"content": [{"type": "text", "text": part} for part in parts]}}]}
    for content in (streamed, json.dumps(listed)):
        page = page_of(200, {}, content.encode(), (KEY_OF_A_SERVER,))
        assert answer.reply_of("", False, page, 0.0, 1).text == HIDDEN


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_stream_is_read_by_the_lines_of_its_events(end: str) -> None:
    lines = [
        ": waiting",
        "",
        "event: part",
        'data: {"choices":',
        'data: [{"delta": {"content": "a\u2028b"}}]}',
    ]
    lines += ["", 'data:{"choices": [{"delta": {}, "finish_reason": "stop"}]}', "", "data: [DONE]", ""]
    page = page_of(200, {}, end.join(lines).encode())
    assert answer.reply_of("", False, page, 0.0, 1).text == "a\u2028b"


@pytest.mark.parametrize("choices", [3, {"a": 1}, "x", [{"delta": [1], "finish_reason": "stop"}]])
def test_a_stream_of_something_else_is_no_reply(choices: Any) -> None:
    page = page_of(200, {}, f"data: {json.dumps({'choices': choices})}\n\n".encode())
    with pytest.raises(Failed):
        answer.reply_of("", False, page, 0.0, 1)
