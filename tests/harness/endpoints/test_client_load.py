"""The client under load and faults of all kinds: nothing is lost or asked twice, and no server overrun."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.endpoints.client import Endpoint, ask
from harness.endpoints.ledger import Ledger
from harness.endpoints.replies import ReplyCache
from tests.harness.endpoints.scripted_server import FAULT, KEY_ENV, Running, text_of
from tests.harness.endpoints.test_client import call_of, kept
from tests.harness.endpoints.test_client import server as server
from tests.paths import ROOT

SCRIPTS = (  # of every 100 judgments these many are hard; the rest is answered at once
    *(
        "fault=429;retry_after=0.02",
        "fault=429",
        "fault=429x2",
        "fault=500",
        "fault=503x2",
        "fault=truncated",
    ),
    *(
        "fault=reset",
        "fault=malformed",
        "fault=shape",
        "fault=error",
        "fault=500x2;fault=429;fault=malformed",
        "fault=nul",
    ),
    *(
        "say=refusal",
        "say=empty",
        "say=filtered",
        "say=too_long",
        "say=unparsable",
        "say=cut",
        "say=no_usage",
        "say=risk",
        "say=moderated",
        "say=parts",
        "say=stream",
    ),
)
REASONS = {
    "say=refusal": "refusal",
    "say=filtered": "content_filter",
    "say=too_long": "too_long",
    "say=cut": "length",
    "say=risk": "rejected",
    "say=moderated": "rejected",
}


def judgments(count: int) -> list[str]:
    """That many contents; one in 250 hangs once, and each script comes once in 100."""
    words = itertools.cycle([*SCRIPTS, *[""] * (100 - len(SCRIPTS))])
    return [f"{next(words)} {'fault=hang' if i % 250 == 249 else ''} {i}" for i in range(count)]


def prove(server: Running, folder: Path, count: int) -> float:
    """Ask that many judgments through all faults, and hold the server's log against the replies; calls/s."""
    contents = judgments(count)
    ledger = Ledger({})
    calls = [call_of(c, top_logprobs=2) for c in contents]
    endpoint = Endpoint("judge", server.url, KEY_ENV, timeout=4.0, backoff=0.01, concurrency=16, errors=0)
    began = time.monotonic()
    with ReplyCache(folder / "replies") as replies:
        given = ask(endpoint, calls, replies, ledger)
    seconds = time.monotonic() - began

    injected = {c: sum(int(times or 1) for _, times in FAULT.findall(c)) for c in contents}
    assert server.times_asked() == {c: 1 + injected[c] for c in contents}
    assert ledger.calls == count + sum(injected.values()) and ledger.retries.total() == sum(injected.values())
    assert [g.key for g in given] == [c.key for c in calls]
    assert [g.attempts for g in given] == [1 + injected[c] for c in contents]
    assert [g.finish_reason for g in given] == [REASONS.get(c.split()[0], "stop") for c in contents]
    plain = [(g, c) for g, c in zip(given, contents, strict=True) if not re.search("say=(?!parts|stream)", c)]
    assert ledger.refused.total() == sum(REASONS.get(c.split()[0]) == "rejected" for c in contents)
    assert all(g.text == text_of(c) and g.logprobs == {"m": -0.25, "M": -1.51} for g, c in plain)
    assert sorted(kept(folder)) == sorted(c.key for c in calls)
    return count / seconds


def test_500_judgments_through_every_fault_are_answered_once_each(server, tmp_path):
    prove(server, tmp_path, 500)


@pytest.mark.slow
def test_10000_judgments_through_every_fault_are_answered_once_each(server, tmp_path, capsys):
    rate = prove(server, tmp_path, 10_000)

    with capsys.disabled():
        print(f"\n10,000 judgments: {rate:.0f} a second")


CLIENT = """
import json, sys
from pathlib import Path
from harness.endpoints.client import Call, Endpoint, ask
from harness.endpoints.ledger import Ledger
from harness.endpoints.replies import ReplyCache
url, env, folder, contents = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.stdin.read())
calls = [Call(f"key of {c}", ({"role": "user", "content": c},)) for c in contents]
with ReplyCache(Path(folder)) as replies:
    ask(Endpoint("judge", url, env, concurrency=8, backoff=0.01), calls, replies, Ledger({}))
"""


def client(server: Running, folder: Path, contents: list[str]) -> "subprocess.Popen[str]":
    """A process that asks all of them."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, server.url, KEY_ENV, str(folder / "replies")],
        stdin=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(contents))
    process.stdin.close()
    return process


def test_a_killed_client_is_gone_on_with_and_only_what_was_under_way_is_asked_again(server, tmp_path):
    go = tmp_path / "go"  # without which it does not come to its end
    contents = [f"delay=0.01 {f'until={go} ' if i > 250 else ''}{i}" for i in range(300)]
    process = client(server, tmp_path, contents)
    while len(server.requests()) < 100:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    go.touch()
    before, on_disk = server.times_asked(), ReplyCache(tmp_path / "replies")
    answered = {c for c in contents if f"key of {c}" in on_disk}
    assert (
        50 < len(answered) < 300 and len(before) - len(answered) <= 2 * 8
    )  # under way, or not yet on the disk

    again = client(server, tmp_path, contents)
    assert again.wait() == 0
    after, replies = server.times_asked(), ReplyCache(tmp_path / "replies")
    assert [replies[f"key of {c}"].text for c in contents] == [text_of(c) for c in contents]
    assert all(after[c] == 1 for c in answered)
    assert {c for c in contents if after[c] == 2} == set(before) - answered and max(after.values()) == 2
    assert replies.torn <= 1


def test_two_clients_that_share_a_folder_lose_nothing(server, tmp_path):
    halves = [[f"{name} {i}" for i in range(100)] for name in ("one", "two")]
    both = [client(server, tmp_path, half) for half in halves]
    assert [p.wait() for p in both] == [0, 0]
    replies = ReplyCache(tmp_path / "replies")

    assert all(replies[f"key of {c}"].text == text_of(c) for half in halves for c in half)
    assert replies.torn == 0 and len(kept(tmp_path)) == 200 == len(server.requests())


def asked_under(server: Running, folder: Path, contents: list[str], **how: Any) -> list[dict[str, Any]]:
    with ReplyCache(folder / "replies") as replies:
        endpoint = Endpoint("judge", server.url, KEY_ENV, **({"concurrency": 16, "backoff": 0.01} | how))
        ask(endpoint, [call_of(c) for c in contents], replies, Ledger({}))
    return server.requests()


def test_concurrency_grows_while_calls_succeed_up_to_its_limit(server, tmp_path):
    """The last are answered when all of them are asked."""
    contents = [*(f"delay=0.01 {i}" for i in range(120)), *(f"after=132 delay=0.1 {i}" for i in range(12))]
    requests = asked_under(server, tmp_path, [*contents, *map(str, range(50))], concurrency=12)

    assert max(r["running"] for r in requests[:4]) <= 4
    assert max(r["running"] for r in requests) == 12


def test_concurrency_halves_on_a_429_and_grows_again(server, tmp_path):
    """The 429 comes when 16 are asked, half a second before the others of them are answered."""
    calm = [f"delay=0.01 {i}" for i in range(160)]
    full = ["after=176 fault=429", *(f"after=176 delay=0.5 {i}" for i in range(15))]
    again = [f"delay=0.01 again {i}" for i in range(160)]
    last = [f"after=353 last {i}" for i in range(16)]  # with the second request of what got the 429
    requests = asked_under(server, tmp_path, [*calm, *full, *again, *last])
    running = [r["running"] for r in requests]

    assert [r["played"] for r in requests].index("429") in range(160, 176) and max(running[:176]) == 16
    assert max(running[176:184]) <= 16 / 2 + 3  # it has begun to grow again by some
    assert max(running[184:]) == 16


@pytest.mark.parametrize(
    ("fault", "after", "seconds"), [("429", "0.8", 0.8), ("503", "0.8", 0.8), ("429", "date", 1.0)]
)
def test_no_request_starts_before_retry_after_has_passed(server, tmp_path, fault, after, seconds):
    """It is told when four are asked, as many as may be, before the others of them are answered."""
    first = [f"after=4 fault={fault};retry_after={after}", *(f"after=4 delay=0.2 {i}" for i in range(3))]
    requests = asked_under(server, tmp_path, [*first, *(f"delay=0.03 {i}" for i in range(86))])
    told, later = max(r["t"] for r in requests[:4]), min(r["t"] for r in requests[4:])

    assert {r["content"] for r in requests[:4]} == set(first)
    assert seconds <= later - told < seconds + 5
    assert len(requests) == 91
