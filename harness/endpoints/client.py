"""Asking an OpenAI-compatible endpoint: many calls at once, each until it is answered, none twice.

What fails on the way (429, 5xx, time-outs, broken connections, bodies that are no reply) is asked again and
never kept. An empty text and a refusal are replies. Where the server's context has no room for the reply that
is asked for, one that fits is. What no attempt can mend (a wrong key, an unknown model)
ends the run in one line.
"""

import asyncio
import hashlib
import json
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.api import TOO_LONG, Message
from harness.endpoints.ledger import Ledger
from harness.endpoints.pace import Pace, backoff
from harness.endpoints.replies import EndpointReply, ReplyCache
from harness.endpoints.wire import Call, Endpoint, Failed, NoRoom, attempt, client_of, refused

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["Call", "Endpoint", "EndpointFailed", "ask", "check", "key_of"]

PROBE_ATTEMPTS = 3  # a busy second of the server is no reason to refuse a run
PROBE_TOKENS = 16  # a model that thinks first refuses to be cut after one token
SECONDS_BETWEEN_LOOKS = 0.02  # at the ledger, for money that calls under way may leave


class _Over(Exception):
    """The run ended before this call was sent."""


class EndpointFailed(ConnectionError):
    """Calls that no attempt could get an answer to."""


def key_of(who: Mapping[str, Any], messages: Sequence[Message], **decoding: Any) -> str:
    """The hash of a call: who is asked, what, and how. JSON values only."""
    identity = {"who": who, "messages": messages, **decoding}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


def ask(
    endpoint: Endpoint,
    calls: Sequence[Call],
    replies: ReplyCache,
    ledger: Ledger,
    progress: Callable[[int], None] = lambda done: None,
) -> list[EndpointReply]:
    """The replies in the order of the calls; what is kept is not asked, and equal calls are asked once.

    `progress` is told how many of the calls that were asked are kept by now. ValueError: what the person at
    the keyboard can mend. EndpointFailed: calls failed for good; whatever was answered is kept. BudgetSpent:
    the ledger allows no more.
    """
    missing = {call.key: call for call in calls if call.key not in replies}
    ledger.kept += len(calls) - len(missing)
    if missing:
        ledger.admit(endpoint.model)
        asyncio.run(_Asking(endpoint, list(missing.values()), replies, ledger, progress).all())
    return [replies[call.key] for call in calls]


def check(
    endpoint: Endpoint, ledger: Ledger, *, top_logprobs: int = 0, messages: Sequence[Message] | None = None
) -> EndpointReply:
    """One small call, before any work, and its reply: ValueError if the endpoint, its key or its model is
    wrong, or if it gives no log-probs where they are wanted.
    """
    asked = tuple(messages or (Message(role="user", content="Say OK."),))
    probe = Call("", asked, max_tokens=PROBE_TOKENS, top_logprobs=top_logprobs)
    ledger.admit(endpoint.model)

    async def one() -> EndpointReply:
        async with client_of(endpoint) as client:
            for number in range(1, PROBE_ATTEMPTS + 1):
                try:
                    return await attempt(client, endpoint, probe, ledger, number)
                except NoRoom:
                    fault = f"its context has no room for a prompt of {probe.prompt_bytes} bytes"
                    raise ValueError(f"{endpoint.where}: {fault}; nothing was done") from None
                except Failed as e:
                    failed = e
                if number < PROBE_ATTEMPTS:
                    await asyncio.sleep(failed.retry_after or backoff(number, endpoint.backoff))
            raise ValueError(f"{endpoint.where} does not answer ({failed.reason}); nothing was done")

    given = asyncio.run(one())
    if top_logprobs and not given.logprobs:
        raise ValueError(f"{endpoint.where} gives no log-probs, which the benchmark's judge needs")
    return given


class _Asking:
    """The calls of one `ask`: those that wait, and what became of the others."""

    def __init__(
        self,
        endpoint: Endpoint,
        calls: Sequence[Call],
        replies: ReplyCache,
        ledger: Ledger,
        progress: Callable[[int], None],
    ) -> None:
        self.endpoint, self.ledger, self.replies, self.progress = endpoint, ledger, replies, progress
        self.asked, self.done = len(calls), 0
        self.waiting = deque(calls)
        self.failed: Counter[str] = Counter()
        self.ended: list[ValueError] = []  # what no further call can mend; those under way are waited for
        self.pace = Pace(endpoint.concurrency)
        self.arrived: list[EndpointReply] = []
        self.disk = asyncio.Lock()

    @property
    def over(self) -> bool:
        """Whether no more is asked, neither a call nor one that failed again."""
        return bool(self.ended) or self.failed.total() > self.endpoint.errors

    async def all(self) -> None:
        """Ask all of them; ValueError or EndpointFailed where that was not possible."""
        async with client_of(self.endpoint) as client:
            workers = min(self.endpoint.concurrency, self.asked)
            tasks = [asyncio.create_task(self.work(client)) for _ in range(workers)]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        if self.ended:
            raise self.ended[0]
        if self.failed:
            reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(self.failed.items()))
            left = f", {len(self.waiting)} not tried" if self.waiting else ""
            raise EndpointFailed(
                f"{self.endpoint.where}: {self.failed.total()} of {self.asked} calls failed for good "
                f"({reasons}){left}; what was answered is kept, and the same command asks only the rest"
            )

    async def work(self, client: "AsyncOpenAI") -> None:
        """Take calls until none waits."""
        while self.waiting and not self.over:
            call = self.waiting.popleft()
            try:
                await self.keep(await self.until_answered(client, call))
            except _Over:
                self.waiting.appendleft(call)
            except Failed as e:
                self.failed[e.reason] += 1
            except ValueError as e:
                self.ended.append(e)
        if self.over:
            self.pace.stop()

    async def keep(self, given: EndpointReply) -> None:
        """Write a reply; those that arrive while the disk is busy are written together, with one wait."""
        self.arrived.append(given)
        async with self.disk:
            together, self.arrived = self.arrived, []
            if together:  # else the one before wrote ours too
                await asyncio.to_thread(self.replies.add, *together)
                self.done += len(together)
                self.progress(self.done)

    async def until_answered(self, client: "AsyncOpenAI", call: Call) -> EndpointReply:
        """The reply to a call, or `Failed` after the last attempt."""
        endpoint, ledger = self.endpoint, self.ledger
        number, asked = 1, call
        while True:
            try:
                async with self.pace as began:
                    if self.over:
                        raise _Over
                    while ledger.may_fit_later(endpoint.model, call.prompt_bytes, call.max_tokens):
                        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
                    given = await attempt(client, endpoint, call, ledger, number)
                self.pace.succeeded()
                return given if call is asked else replace(given, lowered_to=call.max_tokens)
            except NoRoom as e:
                if not e.max_tokens:
                    return refused(endpoint, call, TOO_LONG, number)
                ledger.lowered += call is asked
                call = replace(call, max_tokens=e.max_tokens)
            except Failed as e:
                ledger.retries[e.reason] += 1
                if e.retry_after is not None:
                    self.pace.overloaded(began, e.retry_after)
                if number == endpoint.attempts or self.over:
                    raise
                if not e.retry_after:
                    await asyncio.sleep(backoff(number, endpoint.backoff))
                number += 1
