"""One request to an OpenAI-compatible endpoint, and what came of it: a reply, a failure, or a final error."""

import asyncio
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from benchmarks.api import FILTERED, REFUSED, Message
from harness.common.text import without_credentials
from harness.endpoints import context_limit
from harness.endpoints.ledger import Ledger
from harness.endpoints.replies import EndpointReply

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

RETRIED = (408, 409, 425, 429)  # and all of 5xx
OVERLOADED = (429, 503, 529)
FILTERED_PROMPT = ("content_filter", "content_policy_violation", "invalid_prompt")  # codes of a 400
FILTERS = ("content-filter", "safety", "recitation", "sensitive", "blocklist", "prohibited_content")
CUTS = ("model_length", "max_tokens", "max_output_tokens", "model_context_window_exceeded")  # beside "length"
BROKEN_OFF = ("error", "abort")  # OpenRouter's and vLLM's word for an answer that the server gave up
MAX_REFUSED = 0.05  # of what a step asks
HIDDEN, NO_KEY = "<the key>", "none"
LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Endpoint:
    """Where a model is asked. `errors`: how many calls may fail for good before the rest is not tried;
    `max_refused`: the share, 0-1, that may be refused before the step that asks fails.
    """

    model: str
    base_url: str = "https://api.openai.com/v1"
    api_key_env: str = "OPENAI_API_KEY"
    timeout: float = 120.0  # seconds, of one attempt
    concurrency: int = 16  # calls at once, at most
    attempts: int = 6
    errors: int = 20
    max_refused: float = MAX_REFUSED
    backoff: float = 1.0  # seconds before the second attempt
    tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra: Mapping[str, Any] = field(default_factory=dict)  # fields of the request beside OpenAI's

    @property
    def where(self) -> str:
        """Its name in messages, which may be kept in logs: without credentials of the URL."""
        return f"{self.model} at {without_credentials(self.base_url)}"


@dataclass(frozen=True)
class Call:
    """One request. `key` covers everything that decides the reply, and nothing else."""

    key: str
    messages: tuple[Message, ...]
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 1024
    top_logprobs: int = 0
    seed: int | None = None

    @property
    def prompt_bytes(self) -> int:
        """The length of the prompt in UTF-8."""
        return sum(len(m["content"].encode("utf-8", "surrogatepass")) for m in self.messages)


class NoRoom(Exception):
    """Prompt and reply do not fit into the server's context; `max_tokens` would, 0 where none does."""

    def __init__(self, max_tokens: int) -> None:
        super().__init__(max_tokens)
        self.max_tokens = max_tokens


class Failed(Exception):
    """An attempt that may succeed when made again. `retry_after` is None where nothing is overloaded."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.retry_after = reason, retry_after


def is_local(endpoint: Endpoint) -> bool:
    """Whether it is on this machine. ValueError: no URL."""
    try:
        return urlsplit(endpoint.base_url).hostname in LOCAL
    except ValueError as e:
        raise ValueError(f"{endpoint.where}: not a URL ({e})") from None


def key_of(endpoint: Endpoint) -> str:
    """The key in the environment; one that is local needs none. ValueError: no key, or no such."""
    key = os.environ.get(endpoint.api_key_env, "").strip() or (NO_KEY if is_local(endpoint) else "")
    if not key:
        raise ValueError(f"{endpoint.where}: no key; set the environment variable {endpoint.api_key_env}")
    if not (key.isascii() and key.isprintable()):
        raise ValueError(f"{endpoint.where}: {endpoint.api_key_env} holds characters that no key has")
    return key


def client_of(endpoint: Endpoint) -> "AsyncOpenAI":
    """A client with a connection for each call at once. ValueError: no key, or one that cannot be sent."""
    import httpx2
    from openai import AsyncOpenAI

    key, local = key_of(endpoint), is_local(endpoint)
    try:
        url = httpx2.URL(endpoint.base_url)
    except httpx2.InvalidURL as e:
        raise ValueError(f"{endpoint.where}: not a URL ({e})") from None
    http = httpx2.AsyncClient(
        trust_env=not local,  # no proxy to ourselves
        timeout=endpoint.timeout,
        limits=httpx2.Limits(
            max_connections=endpoint.concurrency, max_keepalive_connections=endpoint.concurrency
        ),
    )
    return AsyncOpenAI(api_key=key, base_url=url, max_retries=0, http_client=http)


async def attempt(
    client: "AsyncOpenAI", endpoint: Endpoint, call: Call, ledger: Ledger, number: int = 1
) -> EndpointReply:
    """One request and its reply. `Failed` may be tried again, `NoRoom` with a lower limit of the reply,
    ValueError not at all.

    What the attempt cost is known where there is a status other than 200, a usage, or no connection; else the
    ledger has to assume that it cost what it could.
    """
    import httpx2
    import openai

    most = ledger.begin(endpoint.model, call.prompt_bytes, call.max_tokens)
    used: tuple[int, int] | None = None
    began = time.monotonic()
    try:
        async with asyncio.timeout(endpoint.timeout):
            # not `chat.completions.create`: to walk our request by its types takes a tenth of a call's time
            raw = await client.post(
                "/chat/completions", cast_to=httpx2.Response, body=_request(endpoint, call)
            )
        body = _without(client.api_key, _body(raw.text))
        used = _used(body)
        return _given(call, body, used or (0, 0), round(time.monotonic() - began, 4), number)
    except openai.APIStatusError as e:
        used = 0, 0
        told = f"{e.code} {e.message} {e.body}".lower()
        if context_limit.is_refusal(e.status_code, told):
            raise NoRoom(context_limit.lowered(told, call.max_tokens)) from None
        if e.status_code == 400 and e.code in FILTERED_PROMPT:
            return refused(endpoint, call, FILTERED, number)
        raise _of_status(endpoint, e, client.api_key) from None
    except (TimeoutError, openai.APITimeoutError):
        raise Failed("time-outs") from None
    except openai.APIConnectionError as e:
        if isinstance(e.__cause__, httpx2.ConnectError | httpx2.UnsupportedProtocol):
            used = 0, 0
        raise Failed("broken connections") from None
    finally:
        ledger.end(endpoint.model, most, used)


def _request(endpoint: Endpoint, call: Call) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": endpoint.model,
        "messages": [{"role": m["role"], "content": _sendable(m["content"])} for m in call.messages],
        "temperature": call.temperature,
        endpoint.tokens_field: call.max_tokens,
    }
    if call.top_p != 1.0:
        request["top_p"] = call.top_p
    if call.seed is not None:
        request["seed"] = call.seed
    if call.top_logprobs:
        request |= {"logprobs": True, "top_logprobs": call.top_logprobs}
    return request | dict(endpoint.extra)


def _sendable(text: str) -> str:
    """The text with U+FFFD for halves of surrogate pairs, which JSON files can hold and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _body(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except json.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise Failed("malformed replies")
    return body


def _without(key: str, value: Any) -> Any:
    """What a server said, without the key that it was sent, which would be kept, shown and judged."""
    if key == NO_KEY:
        return value
    if isinstance(value, str):
        return value.replace(key, HIDDEN)
    if isinstance(value, dict):
        return {_without(key, name): _without(key, one) for name, one in value.items()}
    return [_without(key, one) for one in value] if isinstance(value, list) else value


def _used(body: Mapping[str, Any]) -> tuple[int, int] | None:
    """Tokens of the prompt and of the reply; None where the server does not say."""
    match body.get("usage"):
        case {"prompt_tokens": int(prompt), "completion_tokens": int(completion)}:
            return prompt, completion
    return None


def _given(
    call: Call, body: Mapping[str, Any], used: tuple[int, int], latency_s: float, number: int
) -> EndpointReply:
    """The reply in a response's body; `Failed` where it holds none."""
    try:
        choice = body["choices"][0]
        message = choice["message"]
        refusal = message.get("refusal")
        text = refusal or message.get("content") or ""
        if not isinstance(text, str):
            raise TypeError("a reply is text")
        first = ((choice.get("logprobs") or {}).get("content") or [{}])[0]
        logprobs = _added_up(first.get("top_logprobs") or ())
        finish = REFUSED if refusal else str(choice.get("finish_reason") or "stop")
    except (KeyError, TypeError, IndexError, AttributeError, ValueError):
        raise Failed("malformed replies") from None
    if finish in BROKEN_OFF:
        raise Failed("replies broken off by the server")
    if finish.lower() in FILTERS:
        finish = FILTERED
    if finish.lower() in CUTS:
        finish = "length"
    return EndpointReply(
        key=call.key,
        text=text,
        logprobs=logprobs,
        finish_reason=finish,
        prompt_tokens=used[0],
        completion_tokens=used[1],
        model=str(body.get("model") or ""),
        fingerprint=str(body.get("system_fingerprint") or ""),
        latency_s=latency_s,
        attempts=number,
    )


def _added_up(alternatives: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Token -> log-prob; several ids may have one text, whose probabilities add up."""
    found: dict[str, float] = {}
    for one in alternatives:
        token, logprob = str(one["token"]), float(one["logprob"])
        low, high = sorted((found.get(token, -math.inf), logprob))
        found[token] = high + math.log1p(math.exp(low - high)) if low > -math.inf else high
    return found


def refused(endpoint: Endpoint, call: Call, finish_reason: str, number: int) -> EndpointReply:
    """The reply to a prompt that the server did not take."""
    return EndpointReply(call.key, "", finish_reason=finish_reason, model=endpoint.model, attempts=number)


def _of_status(endpoint: Endpoint, error: "APIStatusError", key: str) -> Exception:
    """What a status means: worth another attempt, or one line for the person at the keyboard."""
    status = error.status_code
    no_money = error.code == "insufficient_quota"  # comes as a 429, which waiting would mend
    if (status in RETRIED or status >= 500) and not no_money:
        return Failed(f"status {status}", _retry_after(error) if status in OVERLOADED else None)
    if status in (401, 403):  # their message may quote parts of the key
        read = f"the key is read from {endpoint.api_key_env}"
        return ValueError(f"{endpoint.where}: status {status}, wrong key or no access; {read}")
    said = " ".join(str(error.message).split()).replace(key, HIDDEN)[:200]
    return ValueError(f"{endpoint.where}: status {status}, {said}")


def _retry_after(error: "APIStatusError") -> float:
    """The seconds that a server asks to wait, as a number or as a date; 0 where it names none."""
    named = error.response.headers.get("retry-after", "0")
    try:
        seconds = float(named)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(named).timestamp() - time.time()
        except ValueError:
            return 0.0
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0
