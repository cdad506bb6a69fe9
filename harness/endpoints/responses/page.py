"""A response as it was read: JSON where it holds any, and else its words.

b'data: {"choices": [{"delta": {"content": "4"}}]}'    ->  {"choices": [{"message": {"content": "4"}}]}
b"<html><h1>502 Bad Gateway</h1></html>"               ->  "502 Bad Gateway"
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.common.secrets.redaction import without_secrets
from harness.common.text import cut
from harness.endpoints.responses.secrets import HIDDEN, hide, is_of_language

if TYPE_CHECKING:
    from httpx2 import Response

LARGEST = 16 * 2**20  # bytes of a response, unpacked
SHOWN = 160  # characters of a server's words
READ = 100 * SHOWN  # of a page, to find them: tags that never end take the square of it
INNER = ("innererror", "inner_error")  # what Azure says of an error more closely
NAMES = ("message", "msg", "detail", "error", "errors", "error_description", "Message", "title")
# Of an error that a validator words: the request, or the part of it that is wrong.
ECHOES = ("input", "inputs", "messages", "flagged_input")
ECHOED = re.compile(r"(?s)(['\"]input['\"]: |\binput_value=).*")
HIDES = re.compile(r"(?is)<(script|style|head)\b.*?</\1>|<[^<>]*>")
# NUL, which databases and many readers end a text at, and halves of surrogate pairs, which UTF-8 has not.
NO_TEXT = re.compile("[\0\ud800-\udfff]")
WORD = re.compile(r"[\w*-]{4,}")


class TooLarge(Exception):
    """A response of more bytes than any reply has."""


@dataclass(frozen=True)
class Page:
    """A response without the `secrets` that were sent; `whole`: whether its bytes are UTF-8, as JSON is."""

    status: int
    headers: Mapping[str, str]
    text: str
    secrets: tuple[str, ...] = ()
    whole: bool = True

    @cached_property
    def body(self) -> dict[str, Any] | None:
        """The JSON object in it; None where there is none."""
        if re.match(r"\s*(data|event|id|retry)?:", self.text):
            return _object(_without(self.secrets, _joined(self.text)))
        body = _without(self.secrets, _parsed(self.text))
        # Gemini wraps an error into a list.
        return body[0] if isinstance(body, list) and body and isinstance(body[0], dict) else _object(body)

    @cached_property
    def error(self) -> dict[str, Any]:
        """The error that it tells, {} where it tells none: an object of OpenAI's form or of another's."""
        body = self.body or {}
        error = body.get("error")
        if isinstance(error, dict):
            return error
        if error:
            return {"message": error}
        return body if body.get("object") == "error" else {}

    @property
    def error_status(self) -> int:
        """The status of an error that a body of status 200 tells, of a provider behind the server; else 0."""
        code = str(self.error.get("code", ""))
        return int(code) if re.fullmatch("[45][0-9][0-9]", code) else 0

    @property
    def codes(self) -> set[str]:
        """The words by which programs tell errors apart, in lower case."""
        inner = (self.error.get(name) for name in INNER)
        parts = (self.error, *(part for part in inner if isinstance(part, dict)))
        return {str(part[name]).lower() for part in parts for name in ("code", "type") if part.get(name)}

    @cached_property
    def all_words(self) -> str:
        """Everything in it in lower case, to look for what servers word each in their own way; not what they
        repeat of a request, which has words of its own.
        """
        return ECHOED.sub("", f"{_without_echo(self.body) or self.text}").lower()

    @cached_property
    def words(self) -> str:
        """What the server says, for a person: one line, cut, without secrets."""
        return said(self.error or self.body, self.secrets) or shown(
            HIDES.sub(" ", self.text[:READ]), self.secrets
        )


async def read(response: "Response", secrets: tuple[str, ...]) -> Page:
    """The page of a response. TooLarge: its bytes, unpacked, are too many."""
    parts, size = [], 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise TooLarge
    return page_of(response.status_code, response.headers, b"".join(parts), secrets)


def page_of(status: int, headers: Mapping[str, str], content: bytes, secrets: tuple[str, ...] = ()) -> Page:
    """The page of unpacked bytes."""
    try:
        return Page(status, headers, content.decode("utf-8-sig"), secrets)
    except UnicodeDecodeError:
        return Page(status, headers, content.decode("utf-8", "replace"), secrets, whole=False)


def said(value: Any, secrets: tuple[str, ...]) -> str:
    """The words in a JSON value as `shown`; "" where there are none, or too deep ones."""
    try:
        return shown(_said(value), secrets)
    except RecursionError:
        return ""


def clean(text: str) -> str:
    """The text with U+FFFD for what no text has."""
    return NO_TEXT.sub("\ufffd", text)


def shown(text: str, secrets: tuple[str, ...] = ()) -> str:
    """A text from outside in one line of a fault: no part of a secret, and nothing that acts."""

    def hidden(word: re.Match[str]) -> str:
        # Servers repeat a wrong key in part, with stars for the rest.
        parts = [part for part in word[0].split("*") if part]
        known = parts and any(all(part in secret for part in parts) for secret in secrets)
        # "proj" stands in keys, and is a word all the same.
        return HIDDEN if known and not is_of_language(word[0]) else word[0]

    text = WORD.sub(hidden, hide(clean(text[: 20 * SHOWN]), secrets))
    return cut(without_secrets(" ".join(text.split())), SHOWN)


def _parsed(text: str) -> Any:
    # A whole number of more digits than Python reads, or lists in lists in lists, are no reply either.
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _object(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _without(secrets: tuple[str, ...], value: Any) -> Any:
    """What a server said, without the secrets that it was sent; None where it is nested too deeply."""

    def clear(part: Any) -> Any:
        if isinstance(part, str):
            return hide(part, secrets)
        if isinstance(part, dict):
            return {hide(name, secrets): clear(one) for name, one in part.items()}
        return [clear(one) for one in part] if isinstance(part, list) else part

    try:
        return clear(value)
    except RecursionError:
        return None


def _without_echo(value: Any) -> Any:
    """An error without what it repeats of the request."""
    try:
        if isinstance(value, dict):
            return {name: _without_echo(one) for name, one in value.items() if name not in ECHOES}
        return list(map(_without_echo, value)) if isinstance(value, list) else value
    except RecursionError:
        return None


def _said(value: Any) -> str:
    """The words in a JSON value, where servers put them."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):  # FastAPI's: one entry a fault
        return "; ".join(filter(None, map(_said, value[:3])))
    if not isinstance(value, dict):
        return ""
    # The provider behind a router says more than the router.
    inner = (value.get(name) for name in ("metadata", *INNER))
    more = [
        part.get("raw") or part.get("reasons") or part.get("code") for part in inner if isinstance(part, dict)
    ]
    found = [_said(one) for one in (*map(value.get, NAMES), *more) if one]
    words = " - ".join(filter(None, found))
    place = value.get("loc")  # of the field that a message of FastAPI is about
    field = f" ({'.'.join(map(str, place))})" if isinstance(place, list) else ""
    return f"{words}{field}" if words else json.dumps(value)


def _joined(text: str) -> dict[str, Any] | None:
    """The body whose parts a server streamed, though nobody asked for that; None where it is no stream of
    completions.
    """
    parts = list(_parts(text))
    if not parts or not all(isinstance(part, dict) for part in parts):
        return None
    whole: dict[str, Any] = {}
    for part in parts:
        whole |= {name: value for name, value in part.items() if value and name != "choices"}
    if "error" in whole:
        return whole
    listed = [part.get("choices") or [] for part in parts]
    if not all(isinstance(choices, list) for choices in listed):
        return None
    first = [c for choices in listed for c in choices if isinstance(c, dict) and not c.get("index")]
    return whole | {"choices": [_choice(first)] if first else []}


def _parts(text: str) -> Iterator[Any]:
    """What the server-sent events of a stream hold: one has its part in a line, or over several."""
    for event in text.replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        lines = [line.removeprefix("data:") for line in event.split("\n") if line.startswith("data:")]
        lines = [line for line in lines if line.strip() != "[DONE]"]
        parts = [_parsed(line) for line in lines]
        yield from parts if all(isinstance(part, dict) for part in parts) else [_parsed("\n".join(lines))]


def _choice(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """A choice from its deltas; one without a reason to finish, or of what is no delta, was broken off."""
    choice: dict[str, Any] = {"message": {}, "finish_reason": "error", "logprobs": {"content": []}}
    for part in parts:
        given, logprobs = part.get("delta") or {}, _object(part.get("logprobs")) or {}
        if not isinstance(given, dict):
            return choice | {"finish_reason": "error"}
        message = choice["message"]
        for name, value in given.items():
            if isinstance(value, str | list):
                message[name] = _longer(message.get(name), value)
            elif name == "content" and value is not None:
                return choice | {"finish_reason": "error"}
        if isinstance(listed := logprobs.get("content"), list):
            choice["logprobs"]["content"] += listed
        choice["finish_reason"] = part.get("finish_reason") or choice["finish_reason"]
    return choice


def _longer(begun: str | list[Any] | None, more: str | list[Any]) -> str | list[Any]:
    """A text, or the list of its parts, and what follows."""
    if begun is None:
        return more
    if isinstance(begun, str) and isinstance(more, str):
        return begun + more
    return [
        *(begun if isinstance(begun, list) else [begun]),
        *(more if isinstance(more, list) else [more]),
    ]
