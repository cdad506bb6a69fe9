"""Asking an OpenAI-compatible endpoint: many calls at once, each until it is answered, none twice.

What fails on the way (429, 5xx, time-outs, broken connections, bodies that are no reply) is asked again and
never kept. An empty text and a refusal are replies; a prompt that the server does not take, or sends no reply
to that can be read, is one without an answer, up to a budget (`max_refused`). Where the server's context has
no room for the reply that is asked for, one that fits is. What no attempt can mend (a wrong key, an unknown
model, a wait of hours) ends the run in one line.
"""

import asyncio
import hashlib
import json
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.api import NO_ANSWER, REJECTED, TOO_LONG, UNREADABLE, Message
from harness.common.underway import news
from harness.endpoints.ledger import Ledger
from harness.endpoints.pace import Pace, backoff
from harness.endpoints.replies import EndpointReply, ReplyCache
from harness.endpoints.responses.meaning import let_in_by
from harness.endpoints.responses.outcomes import Failed, NoRoom, OtherField
from harness.endpoints.wire import Call, Endpoint, attempt, client_of, may_be_refused, other_field, refused

if TYPE_CHECKING:
    from httpx2 import AsyncClient

__all__ = ["Call", "Endpoint", "EndpointFailed", "ask", "check", "key_of"]

log = logging.getLogger(__name__)

PROBE_ATTEMPTS = 3  # a busy second of the server is no reason to refuse a run
PROBE_TOKENS = 16  # a model that thinks first refuses to be cut after one token
SECONDS_BETWEEN_LOOKS = 0.02  # at the ledger, for money that calls under way may leave
KEPT = "what was answered is kept, and the same command asks only the rest"
LONG_WAIT = 10.0  # seconds that a server asks for, from which on a person is told


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
    *,
    whole: int | None = None,
) -> list[EndpointReply]:
    """The replies in the order of the calls; what is kept is not asked, and equal calls are asked once.

    `whole` is how many calls `max_refused` is a share of, where these are a part of them. `progress` is told
    how many of the calls that were asked are kept by now. ValueError: what the person at the keyboard can
    mend. EndpointFailed: calls failed for good; whatever was answered is kept. BudgetSpent: the ledger allows
    no more.
    """
    missing = {call.key: call for call in calls if call.key not in replies}
    ledger.kept += len(calls) - len(missing)
    counted = news.count("calls", len(calls), len(calls) - len(missing))

    def told(done: int) -> None:
        counted.at(len(calls) - len(missing) + done, ledger.money_line(endpoint.model))
        progress(done)

    if missing:
        ledger.admit(endpoint.model)
        asking = _Asking(endpoint, list(missing.values()), replies, ledger, told)
        # Of all calls, whenever they were made: of the few that are left as many may be refused.
        asking.allowed = may_be_refused(endpoint.max_refused, whole or len(calls))
        asyncio.run(asking.all())
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

    given = asyncio.run(_probed(endpoint, probe, ledger))
    if given.finish_reason == REJECTED:
        sent = let_in_by(endpoint.base_url, endpoint.api_key_env)
        told = f"{given.told}; {sent}" if given.told.startswith("status 403") else given.told
        raise ValueError(f"{endpoint.where}: {told}")
    if top_logprobs and not given.logprobs:
        raise ValueError(f"{endpoint.where} gives no log-probs, which the benchmark's judge needs")
    return given


async def _probed(endpoint: Endpoint, probe: Call, ledger: Ledger) -> EndpointReply:
    async with client_of(endpoint) as client:
        number, renamed = 1, False
        while True:
            try:
                return await attempt(client, endpoint, probe, ledger, number)
            except NoRoom:
                fault = f"its context has no room for a prompt of {probe.prompt_bytes} bytes"
                raise ValueError(f"{endpoint.where}: {fault}; nothing was done") from None
            except OtherField as e:
                if renamed:
                    raise ValueError(f"{endpoint.where}: tokens_field: neither name is known: {e}") from None
                endpoint, renamed = other_field(endpoint), True
            except Failed as e:
                _refuse_wait(endpoint, e)
                if number == PROBE_ATTEMPTS:
                    said = f" ({e.words})" if e.words else ""
                    fault = f"does not answer ({e.reason}); nothing was done{said}"
                    raise ValueError(f"{endpoint.where} {fault}") from None
                await asyncio.sleep(e.retry_after or backoff(number, endpoint.backoff))
                number += 1


def _refuse_wait(endpoint: Endpoint, failed: Failed, known: float = 0.0) -> None:
    """Tell a person at once of a long wait, `known` seconds of which are; EndpointFailed: it is longer than
    `max_wait`.
    """
    seconds = failed.retry_after or 0.0
    if seconds > endpoint.max_wait:
        raise EndpointFailed(
            f"{endpoint.where} asks to wait {_clock(seconds)} ({failed.told}), longer than max_wait, "
            f"{endpoint.max_wait:g} s; what was answered is kept, and the same command later goes on"
        )
    # Each of the calls under way is told to wait, and one line is enough.
    if seconds - known >= LONG_WAIT:
        log.warning("%s asks to wait %s (%s)", endpoint.where, _clock(seconds), failed.told)


def _clock(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{seconds:.0f} s"


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
        self.first_field = endpoint.tokens_field
        self.asked, self.done = len(calls), 0
        self.waiting = deque(calls)
        self.failed: Counter[str] = Counter()
        self.words: dict[str, str] = {}  # of servers and networks, by reason, the first
        self.refused: Counter[str] = Counter()  # prompts without an answer
        self.allowed = float("inf")  # of those
        self.ended: list[
            ValueError | EndpointFailed
        ] = []  # what no further call can mend; others are waited for
        self.pace = Pace(endpoint.concurrency)
        self.arrived: list[EndpointReply] = []
        self.disk = asyncio.Lock()

    @property
    def over(self) -> bool:
        """Whether no more is asked, neither a call nor one that failed again."""
        return (
            bool(self.ended)
            or self.failed.total() > self.endpoint.errors
            or self.refused.total() > self.allowed
        )

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
        if self.refused.total() > self.allowed:
            limit = f"more than max_refused allows, {self.endpoint.max_refused:g}"
            error = ValueError if self.refused[NO_ANSWER[REJECTED]] else EndpointFailed
            raise error(self.ending("got no answer", self.refused, limit))
        if self.failed:
            raise EndpointFailed(self.ending("failed for good", self.failed))

    def ending(self, what: str, reasons: Counter[str], limit: str = "") -> str:
        """One line: how many calls came to nothing and why, and what was said of the most frequent reason."""
        told = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
        left = f", {len(self.waiting)} not tried" if self.waiting else ""
        said = self.words.get(max(reasons, key=reasons.__getitem__))
        more = (limit, f"the first: {said}" if said else "", KEPT)
        count = f"{reasons.total()} of {self.asked} calls {what} ({told}){left}"
        return f"{self.endpoint.where}: {'; '.join(filter(None, (count, *more)))}"

    async def work(self, client: "AsyncClient") -> None:
        """Take calls until none waits."""
        while self.waiting and not self.over:
            call = self.waiting.popleft()
            try:
                await self.keep(self.seen(await self.until_answered(client, call)))
            except _Over:
                self.waiting.appendleft(call)
            except Failed as e:
                self.failed[e.reason] += 1
                self.words.setdefault(e.reason, e.words)
            except (ValueError, EndpointFailed) as e:
                self.ended.append(e)
        if self.over:
            self.pace.stop()

    def seen(self, given: EndpointReply) -> EndpointReply:
        """The reply, counted where it is none."""
        if given.finish_reason in (REJECTED, UNREADABLE):
            reason = NO_ANSWER[given.finish_reason]
            self.refused[reason] += 1
            self.words.setdefault(reason, given.told)
            self.ledger.count_refused(reason, given.told)
        return given

    async def keep(self, given: EndpointReply) -> None:
        """Write a reply; those that arrive while the disk is busy are written together, with one wait."""
        self.arrived.append(given)
        async with self.disk:
            together, self.arrived = self.arrived, []
            if together:  # else the one before wrote ours too
                await asyncio.to_thread(self.replies.add, *together)
                self.done += len(together)
                self.progress(self.done)

    async def until_answered(self, client: "AsyncClient", call: Call) -> EndpointReply:
        """The reply to a call, or `Failed` after the last attempt."""
        ledger, number, asked = self.ledger, 1, call
        while True:
            endpoint = self.endpoint
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
            except OtherField as e:
                if endpoint.tokens_field == self.first_field:
                    self.endpoint = other_field(endpoint)  # for all calls that follow
                else:
                    raise ValueError(f"{endpoint.where}: tokens_field: neither name is known: {e}") from None
            except Failed as e:
                ledger.retries[e.reason] += 1
                _refuse_wait(endpoint, e, self.pace.wait())
                if e.retry_after is not None:
                    self.pace.overloaded(began, e.retry_after)
                if number == endpoint.attempts or self.over:
                    if e.instead and not self.over:
                        return e.instead
                    raise
                if not e.retry_after:
                    await asyncio.sleep(backoff(number, endpoint.backoff))
                number += 1
