"""One request to an OpenAI-compatible endpoint, and what came of it: a reply, a failure, or a final error."""

import asyncio
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

from benchmarks.api import TOO_LONG, UNREADABLE, Message
from harness.common.secrets.redaction import check_proxies, logins_of_proxies, without_credentials
from harness.endpoints import context_limit
from harness.endpoints.ledger import Ledger
from harness.endpoints.replies import EndpointReply
from harness.endpoints.responses import answer, meaning, page
from harness.endpoints.responses.outcomes import Failed
from harness.endpoints.responses.secrets import NO_KEY, stands_in

if TYPE_CHECKING:
    from httpx2 import URL, AsyncClient

MOVED, REDIRECTS = (301, 302, 307, 308), 4
MAX_REFUSED, LEAST_REFUSED = 0.05, 3  # of what a step asks: a share, and in any case so many
MAX_WAIT = 600.0  # seconds
BENCHMARKS: Literal["benchmark"] = "benchmark"  # of a temperature: that of the call
Temperature = float | Literal["benchmark"] | None
OPENAI_KEY = "OPENAI_API_KEY"  # the environment variable of a key, if none is named
SURROUNDINGS = re.compile("(?i)(https?|all)_proxy|SSL_CERT_(FILE|DIR)|SSLKEYLOGFILE")
LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Endpoint:
    """Where a model is asked. `errors`: how many calls may fail for good before the rest is not tried;
    `max_refused`: the share, 0-1, that may be refused before the step that asks fails; `max_wait`: how many
    seconds the server may ask to wait.
    """

    model: str
    base_url: str = "https://api.openai.com/v1"
    api_key_env: str = OPENAI_KEY
    timeout: float = 120.0  # seconds, of one attempt
    concurrency: int = 16  # calls at once, at most
    attempts: int = 6
    errors: int = 20
    max_refused: float = MAX_REFUSED
    max_wait: float = MAX_WAIT
    backoff: float = 1.0  # seconds before the second attempt
    temperature: Temperature = BENCHMARKS  # in place of the calls'; None: it is not sent, nor is top_p
    tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra: Mapping[str, Any] = field(default_factory=dict)  # fields of the request beside OpenAI's

    @property
    def where(self) -> str:
        """Its name in messages, which may be kept in logs: without credentials of the URL."""
        return f"{self.model} at {without_credentials(self.base_url)}"

    def sampled_at(self, temperature: float) -> float | None:
        """The temperature that is sent for a call's."""
        return temperature if self.temperature == BENCHMARKS else self.temperature


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


def other_field(endpoint: Endpoint) -> Endpoint:
    """The endpoint with the other name of a reply's limit."""
    known = endpoint.tokens_field == "max_tokens"
    return replace(endpoint, tokens_field="max_completion_tokens" if known else "max_tokens")


def may_be_refused(share: float, asked: int) -> float:
    """How many of so many requests may be refused: the share, in any case three, or half of less than six;
    none with a share of 0.
    """
    return max(share * asked, min(LEAST_REFUSED, asked // 2)) if share else 0.0


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
    if stands_in(key, endpoint.where):
        kept = "records keep both, and it is sent without that"
        raise ValueError(f"{endpoint.api_key_env}: its key stands in a URL or a model's name; {kept}")
    return key


def secrets_of(endpoint: Endpoint) -> tuple[str, ...]:
    """What it is sent that nobody may see: the key, and what its URL has before the host."""
    parts = urlsplit(endpoint.base_url.strip())
    login = parts.netloc.rpartition("@")[0]
    proxies = () if is_local(endpoint) else logins_of_proxies()
    found = key_of(endpoint), login, unquote(login), unquote(parts.password or ""), *proxies
    return tuple(secret for secret in dict.fromkeys(found) if secret not in ("", NO_KEY))


def client_of(endpoint: Endpoint) -> "AsyncClient":
    """A client with a connection for each call at once. ValueError: no key, or one that cannot be sent."""
    import httpx2

    key = key_of(endpoint)
    try:
        httpx2.URL(endpoint.base_url)
    except httpx2.InvalidURL as e:
        raise ValueError(f"{endpoint.where}: not a URL ({e})") from None
    return client_with(
        endpoint,
        headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
        timeout=endpoint.timeout,
        limits=httpx2.Limits(
            max_connections=endpoint.concurrency, max_keepalive_connections=endpoint.concurrency
        ),
    )


def client_with(endpoint: Endpoint, **settings: Any) -> "AsyncClient":
    """A client by the proxies and certificates of the environment, but to ourselves. ValueError: these are
    none.
    """
    import httpx2

    local = is_local(endpoint)
    if not local:
        check_proxies()
    try:
        return httpx2.AsyncClient(trust_env=not local, **settings)
    # A proxy of a kind that needs a package, or of none; a file that is not there, or holds no certificate.
    except (ImportError, ValueError, OSError, httpx2.InvalidURL) as e:
        named = [name for name in os.environ if SURROUNDINGS.fullmatch(name)]
        fault = page.shown(str(e), secrets_of(endpoint))
        raise ValueError(f"{endpoint.where}: {', '.join(named)} of the environment: {fault}") from None


async def attempt(
    client: "AsyncClient", endpoint: Endpoint, call: Call, ledger: Ledger, number: int = 1
) -> EndpointReply:
    """One request and its reply. `Failed` may be tried again, `NoRoom` with a lower limit of the reply,
    `OtherField` with another name of that, ValueError not at all.

    What the attempt cost is known where there is a status other than 200, a usage, or no connection; else the
    ledger has to assume that it cost what it could.
    """
    import httpx2

    most = ledger.begin(endpoint.model, call.prompt_bytes, call.max_tokens)
    used: tuple[int, int] | None = None
    began = time.monotonic()
    try:
        async with asyncio.timeout(endpoint.timeout):
            got = await _posted(client, endpoint, _request(endpoint, call))
        if not 200 <= got.status < 300:  # some frameworks answer every POST with 201
            used = 0, 0
            return _of_status(endpoint, call, got, number)
        # Routers put the status of the provider behind them into a body of status 200.
        if status := got.error_status:
            return _of_status(endpoint, call, replace(got, status=status), number)
        used = answer.used_of(got.body)
        seconds = round(time.monotonic() - began, 4)
        return answer.reply_of(call.key, bool(call.top_logprobs), got, seconds, number)
    except page.TooLarge:
        fault = f"more than {page.LARGEST >> 20} MB"
        instead = refused(endpoint, call, UNREADABLE, number, fault)
        raise Failed("replies too large", fault, instead=instead) from None
    except (TimeoutError, httpx2.TimeoutException):
        raise Failed("time-outs", f"no reply within {endpoint.timeout:g} s") from None
    except httpx2.InvalidURL as e:
        used = 0, 0
        raise ValueError(f"{endpoint.where}: not a URL ({e})") from None
    except httpx2.HTTPError as e:
        if isinstance(e, httpx2.ConnectError | httpx2.UnsupportedProtocol):
            used = 0, 0
        raise Failed("broken connections", page.shown(str(e), secrets_of(endpoint))) from None
    finally:
        ledger.end(endpoint.model, most, used)


async def _posted(client: "AsyncClient", endpoint: Endpoint, request: Mapping[str, Any]) -> page.Page:
    """What is sent back, from elsewhere on the host where the server says so. ValueError: on another host."""
    url = f"{endpoint.base_url.strip().rstrip('/')}/chat/completions"
    secrets = secrets_of(endpoint)
    for _ in range(REDIRECTS):
        async with client.stream("POST", url, json=request) as response:
            got = await page.read(response, secrets)
        place = got.headers.get("location")
        if got.status not in MOVED or not place:
            return got
        before, after = response.url, response.url.join(place)
        if not _same_place(before, after):
            told = f"status {got.status}, moved to {page.shown(str(after), secrets)}"
            raise ValueError(
                f"{endpoint.where}: {told}; the key is not sent to another place than base_url's"
            )
        url = str(after)
    raise ValueError(
        f"{endpoint.where}: moved {REDIRECTS} times in a row, the last to {page.shown(url, secrets)}"
    )


def _same_place(before: "URL", after: "URL") -> bool:
    """Whether the key may follow: the same host and port, or the same host over TLS from now on."""
    same = (before.scheme, before.host, before.port) == (after.scheme, after.host, after.port)
    return same or (before.host == after.host and (before.scheme, after.scheme) == ("http", "https"))


def _request(endpoint: Endpoint, call: Call) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": endpoint.model,
        "messages": [{"role": m["role"], "content": _sendable(m["content"])} for m in call.messages],
        endpoint.tokens_field: call.max_tokens,
    }
    temperature = endpoint.sampled_at(call.temperature)
    # A model that takes no temperature takes no top_p.
    if temperature is not None:
        request |= {"temperature": temperature} | ({"top_p": call.top_p} if call.top_p != 1.0 else {})
    if call.seed is not None:
        request["seed"] = call.seed
    if call.top_logprobs:
        request |= {"logprobs": True, "top_logprobs": call.top_logprobs}
    return request | dict(endpoint.extra)


def _sendable(text: str) -> str:
    """The text with U+FFFD for halves of surrogate pairs, which JSON files can hold and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def refused(endpoint: Endpoint, call: Call, finish_reason: str, number: int, told: str = "") -> EndpointReply:
    """The reply to a prompt that the server did not take, and what it said."""
    return EndpointReply(
        call.key, "", finish_reason=finish_reason, model=endpoint.model, attempts=number, told=told
    )


def _of_status(endpoint: Endpoint, call: Call, got: page.Page, number: int) -> EndpointReply:
    """What a status means: a prompt that is refused; raised, another attempt, or one line and the end."""
    if failed := meaning.failed(got, time.time()):
        # A fault of the server, or the word of one that has no other status for what is too long for it.
        if got.status >= 500 and context_limit.is_told(got.all_words):
            failed.instead = refused(endpoint, call, TOO_LONG, number)
        raise failed
    finish, told = meaning.of_prompt(got, call.max_tokens)
    if finish:
        return refused(endpoint, call, finish, number, told)
    raise ValueError(f"{endpoint.where}: {meaning.final(got, endpoint.base_url, endpoint.api_key_env)}")
