"""What ends a run that asks an endpoint: errors that no attempt can mend, many failures, spent budgets."""

import dataclasses

import pytest

from harness.endpoints.client import EndpointFailed, ask, check
from harness.endpoints.ledger import BudgetSpent, Ledger
from harness.endpoints.prices import Price
from harness.endpoints.replies import ReplyCache
from tests.harness.endpoints.scripted_server import KEY, KEY_ENV, text_of
from tests.harness.endpoints.test_client import asked, call_of, endpoint, kept
from tests.harness.endpoints.test_client import server as server

LONG = " " + "x" * 300  # a prompt of at least the 100 tokens that the server says it has


@pytest.mark.parametrize(
    ("changes", "env", "told"),
    [
        ({}, {KEY_ENV: "sk-wrong-secret"}, "status 401, wrong key or no access; the key is read from"),
        ({}, {KEY_ENV: "sk-secret\u2028"}, None),
        ({}, {KEY_ENV: "sk-se\ncret"}, "holds characters that no key has"),
        ({"model": "jugde"}, {}, "status 404, .*jugde does not exist"),
        (
            {"base_url": "http://127.0.0.1:9/v1"},
            {},
            r"does not answer \(broken connections\); nothing was done",
        ),
        ({"base_url": "127.0.0.1:9/v1"}, {}, r"does not answer \(broken connections\); nothing was done"),
        ({"base_url": "http://localhost:port/v1"}, {}, "not a URL"),
        ({"base_url": "http://judges.invalid/v1"}, {KEY_ENV: ""}, f"no key; set .* {KEY_ENV}"),
        ({"model": "no-logprobs"}, {}, "status 400, .*logprobs not supported"),
        ({"model": "mute"}, {}, "gives no log-probs"),
    ],
)
def test_check_says_in_one_line_what_is_wrong_and_never_the_key(server, monkeypatch, changes, env, told):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    judge = dataclasses.replace(endpoint(server), **changes)

    with pytest.raises(ValueError, match=told) as caught:
        check(judge, Ledger({}), top_logprobs=5)

    message = str(caught.value)
    assert "\n" not in message and "secret" not in message and KEY not in message
    assert message.startswith(f"{judge.model} at {judge.base_url}")


def test_check_is_silent_where_all_is_well_and_keeps_nothing(server):
    ledger = Ledger({})
    check(endpoint(server), ledger, top_logprobs=5)
    check(dataclasses.replace(endpoint(server), model="no-logprobs"), ledger)

    assert ledger.calls == 2 and len(server.requests()) == 2


@pytest.mark.parametrize("content", ["fault=quotax9", "fault=429x9"])
def test_a_spent_quota_ends_at_once_though_it_looks_like_a_rate_limit(server, tmp_path, content):
    error, told, requests = {
        "fault=quotax9": (ValueError, "status 429, .*exceeded your current quota", 1),
        "fault=429x9": (EndpointFailed, "status 429 1", 6),
    }[content]
    with pytest.raises(error, match=told):
        asked(server, [content], tmp_path)

    assert len(server.requests()) == requests


def test_a_wrong_key_in_the_middle_ends_the_run_and_keeps_what_is_under_way(server, tmp_path):
    slow = [f"delay=0.4 {i}" for i in range(3)]
    with ReplyCache(tmp_path / "replies") as replies:
        calls = [call_of(c) for c in [*slow, "fault=quotax9", *map(str, range(50))]]
        with pytest.raises(ValueError, match="quota"):
            ask(endpoint(server), calls, replies, Ledger({}))
        assert all(f"key of {c}" in replies for c in slow)

    assert len(server.requests()) < 20


def test_calls_that_fail_for_good_stop_the_run_early_and_a_rerun_asks_only_the_rest(server, tmp_path):
    """5 calls fail three times each; with a budget of 2 the third ends the run, but for one under way."""
    good, bad = [f"good {i}" for i in range(40)], [f"bad {i} fault=500x3" for i in range(5)]
    contents = [*good[:10], *bad, *good[10:]]
    with pytest.raises(
        EndpointFailed, match=r"of 45 calls failed for good \(status 500 \d\), \d+ not tried"
    ) as e:
        asked(server, contents, tmp_path, attempts=3, errors=2, concurrency=2)
    first = server.times_asked()

    assert "the same command asks only the rest" in str(e.value)
    assert sum(first[b] == 3 for b in bad) in (3, 4) and len(first) < 20
    assert sorted(kept(tmp_path)) == sorted(f"key of {c}" for c in first if c in good)

    given = asked(server, contents, tmp_path, attempts=4, errors=2, concurrency=2)
    assert [g.text for g in given] == [text_of(c) for c in contents]
    again = server.times_asked()
    assert all(again[c] == 1 for c in good) and sorted(kept(tmp_path)) == sorted(
        f"key of {c}" for c in contents
    )


def test_a_failing_call_is_not_tried_to_the_end_once_the_run_is_over(server, tmp_path):
    contents = ["fault=500x9 after=10 delay=0.3 slow", "fault=500x9 of nine"]
    with pytest.raises(EndpointFailed):
        asked(server, contents, tmp_path, attempts=9, errors=0, concurrency=4, backoff=0.001)

    assert server.times_asked() == {contents[0]: 1, contents[1]: 9}


def test_the_limit_in_calls_counts_every_request_and_keeps_what_was_answered(server, tmp_path):
    contents = [*(f"fault=500x1 {i}" for i in range(3)), *map(str, range(30))]
    ledger = Ledger({}, max_calls=20)
    with pytest.raises(BudgetSpent, match="--max-calls 20: all made"):
        asked(server, contents, tmp_path, ledger)

    answered = sum(r["played"] == "" for r in server.requests())
    assert len(server.requests()) == ledger.calls == 20
    assert len(kept(tmp_path)) == answered

    asked(server, contents, tmp_path)
    assert sorted(kept(tmp_path)) == sorted(f"key of {c}" for c in contents)


def test_the_limit_in_money_is_never_passed_and_is_used_up(server, tmp_path):
    """A call takes 100 + 10 tokens at 1 USD a thousand, 0.11 USD, and could take 0.15: after 8 x 0.11 USD
    the ninth could pass 1.00; and eight are made though seven at once could have passed it.
    """
    prices = {"judge": Price(1000, 1000)}
    contents = [f"delay=0.05 {i:4d}{LONG}" for i in range(30)]
    calls = [call_of(c, max_tokens=30) for c in contents]
    most = (len(contents[0]) // 3 + 16 + 30) / 1000
    ledger = Ledger(prices, max_cost=1.0)
    with (
        ReplyCache(tmp_path / "replies") as replies,
        pytest.raises(BudgetSpent, match=r"--max-cost 1.00: 0\.\d\d USD"),
    ):
        ask(endpoint(server), calls, replies, ledger)

    requests = len(server.requests())
    assert ledger.spent == pytest.approx(requests * 0.11) and ledger.spent <= 1.0
    assert 1.0 - most < ledger.spent  # no call that would have fitted was left out
    assert len(kept(tmp_path)) == requests == ledger.calls


@pytest.mark.parametrize("script", ["fault=hangx9", "fault=truncatedx9", "say=no_usage"])
def test_a_request_whose_cost_nobody_knows_counts_as_the_most_it_can_cost(server, tmp_path, script):
    calls = [call_of(f"{script} {i}{LONG}", max_tokens=100) for i in range(30)]
    most = (len(calls[0].messages[0]["content"]) // 3 + 16 + 100) / 1000
    ledger = Ledger({"judge": Price(1000, 1000)}, max_cost=10 * most + 1e-6)
    with ReplyCache(tmp_path / "replies") as replies, pytest.raises(BudgetSpent):
        ask(endpoint(server, timeout=0.3), calls, replies, ledger)

    assert ledger.spent == 0 and ledger.unknown == pytest.approx(10 * most, rel=0.02)
    assert 9 <= len(server.requests()) <= 10


def test_statuses_and_refused_connections_cost_nothing(server, tmp_path):
    ledger = Ledger({"judge": Price(1000, 1000)}, max_cost=5.0)
    asked(server, ["fault=500x3"], tmp_path, ledger)
    assert ledger.unknown == 0 and ledger.spent == pytest.approx(0.11)

    with pytest.raises(EndpointFailed, match="broken connections 1"):
        dead = dataclasses.replace(endpoint(server), base_url="http://127.0.0.1:9/v1")
        with ReplyCache(tmp_path / "others") as replies:
            ask(dead, [call_of("x")], replies, ledger)
    assert ledger.unknown == 0


def test_a_limit_in_money_needs_a_price_before_any_call(server, tmp_path):
    for action in (
        lambda ledger: asked(server, ["x"], tmp_path, ledger),
        lambda ledger: check(endpoint(server), ledger),
    ):
        with pytest.raises(
            ValueError, match="--max-cost: no price of judge is known; give one with --prices FILE"
        ):
            action(Ledger({"another": Price(1, 1)}, max_cost=1.0))

    assert server.requests() == []


def test_the_ledger_counts_calls_under_way_at_the_most_they_can_cost():
    """30 bytes are 10 + 16 tokens at most, and 74 of a reply make 0.10 USD: two are 0.20 of 0.25."""
    ledger = Ledger({"judge": Price(1000, 1000)}, max_cost=0.25)
    first, _ = ledger.begin("judge", 30, 74), ledger.begin("judge", 30, 74)
    with pytest.raises(BudgetSpent, match=r"0\.00 USD spent in 2 calls, and the next could cost 0\.10"):
        ledger.begin("judge", 30, 74)
    assert first == pytest.approx(0.1) and ledger.may_fit_later("judge", 30, 74)

    ledger.end("judge", first, (10, 10))
    assert ledger.spent == pytest.approx(0.02) and not ledger.may_fit_later("judge", 30, 74)
    ledger.begin("judge", 30, 74)
