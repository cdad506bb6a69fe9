"""A response as it was read: JSON where it holds any, and else its words.

b'data: {"choices": [{"delta": {"content": "4"}}]}'    ->  {"choices": [{"message": {"content": "4"}}]}
b"<html><h1>502 Bad Gateway</h1></html>"               ->  "502 Bad Gateway"
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.common.text import cut, without_credentials

if TYPE_CHECKING:
    from httpx2 import Response

LARGEST = 16 * 2**20  # bytes of a response, unpacked
NO_KEY, HIDDEN = "none", "<the key>"
LEAST_SECRET = 16  # letters of a key that is letters alone
SHOWN = 160  # characters of a server's words
HIDES = re.compile(r"(?is)<(script|style|head)\b.*?</\1>|<[^>]*>")
# NUL, which databases and many readers end a text at, and halves of surrogate pairs, which UTF-8 has not.
NO_TEXT = re.compile("[\0\ud800-\udfff]")
WORD = re.compile(r"[\w*-]{4,}")


class TooLarge(Exception):
    """A response of more bytes than any reply has."""


@dataclass(frozen=True)
class Page:
    """A response without the key that was sent; `whole`: whether its bytes are the UTF-8 that JSON is."""

    status: int
    headers: Mapping[str, str]
    text: str
    key: str
    whole: bool = True

    @cached_property
    def body(self) -> dict[str, Any] | None:
        """The JSON object in it; None where there is none."""
        if re.match(r"\s*(data|event|id|retry)?:", self.text):
            return _joined(self.text, self.key)
        # Gemini wraps an error into a list.
        body = _parsed(self.text, self.key)
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
        inner = self.error.get("innererror")
        parts = (self.error, inner if isinstance(inner, dict) else {})
        return {str(part[name]).lower() for part in parts for name in ("code", "type") if part.get(name)}

    @property
    def all_words(self) -> str:
        """Everything in it in lower case, to look for what servers word each in their own way."""
        return f"{self.body or self.text}".lower()

    @cached_property
    def words(self) -> str:
        """What the server says, for a person: one line, cut, without key or credentials."""
        try:
            said = _said(self.error or self.body)
        except RecursionError:
            said = ""
        return shown(said or HIDES.sub(" ", self.text), self.key)


async def read(response: "Response", key: str) -> Page:
    """The page of a response. TooLarge: its bytes, unpacked, are too many."""
    parts, size = [], 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise TooLarge
    return page_of(response.status_code, response.headers, b"".join(parts), key)


def page_of(status: int, headers: Mapping[str, str], content: bytes, key: str = NO_KEY) -> Page:
    """The page of unpacked bytes."""
    try:
        return Page(status, headers, content.decode("utf-8-sig"), key)
    except UnicodeDecodeError:
        return Page(status, headers, content.decode("utf-8", "replace"), key, whole=False)


def clean(text: str) -> str:
    """The text with U+FFFD for what no text has."""
    return NO_TEXT.sub("\ufffd", text)


def shown(text: str, key: str = NO_KEY) -> str:
    """A text from outside in one line of a fault: no part of the key, and nothing that acts."""

    def hidden(word: re.Match[str]) -> str:
        # Servers repeat a wrong key in part, with stars for the rest.
        parts = [part for part in word[0].split("*") if part]
        return HIDDEN if parts and all(part in key for part in parts) else word[0]

    text = clean(text[: 20 * SHOWN])
    text = text if key == NO_KEY else WORD.sub(hidden, text.replace(key, HIDDEN))
    return cut(without_credentials(" ".join(text.split())), SHOWN)


def _parsed(text: str, key: str) -> Any:
    # A whole number of more digits than Python reads, or lists in lists in lists, are no reply either.
    try:
        return _without(key, json.loads(text))
    except (ValueError, RecursionError):
        return None


def is_word(key: str) -> bool:
    """Whether a key is what servers are given that want none (EMPTY, dummy, token): a word, which answers and
    names of fields may have, and no secret.
    """
    return key.isalpha() and len(key) < LEAST_SECRET


def _object(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _without(key: str, value: Any) -> Any:
    """What a server said, without the key that it was sent, which would be kept, shown and judged."""
    if is_word(key):
        return value
    if isinstance(value, str):
        return value.replace(key, HIDDEN)
    if isinstance(value, dict):
        return {_without(key, name): _without(key, one) for name, one in value.items()}
    return [_without(key, one) for one in value] if isinstance(value, list) else value


def _said(value: Any) -> str:
    """The words in a JSON value, where servers put them."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):  # FastAPI's: one entry a fault
        return "; ".join(filter(None, map(_said, value[:3])))
    if not isinstance(value, dict):
        return ""
    # The provider behind a router says more than the router.
    inner = (value.get(name) for name in ("metadata", "innererror"))
    more = [
        part.get("raw") or part.get("reasons") or part.get("code") for part in inner if isinstance(part, dict)
    ]
    named = (value.get(name) for name in ("message", "msg", "detail", "error", "error_description"))
    said = [_said(one) for one in (*named, *more) if one]
    return " - ".join(filter(None, said)) or json.dumps(value)


def _joined(text: str, key: str) -> dict[str, Any] | None:
    """The body whose parts a server streamed, though nobody asked for that; None where it is no stream."""
    lines = re.findall(r"(?m)^data:(.*?)\r?$", text)
    parts = [_parsed(line, key) for line in lines if line.strip() != "[DONE]"]
    if not parts or not all(isinstance(part, dict) for part in parts):
        return None
    whole: dict[str, Any] = {}
    for part in parts:
        whole |= {name: value for name, value in part.items() if value and name != "choices"}
    if "error" in whole:
        return whole
    choices = [
        c for part in parts for c in part.get("choices") or () if isinstance(c, dict) and not c.get("index")
    ]
    return whole | {"choices": [_choice(choices)] if choices else []}


def _choice(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """A choice from its deltas; one without a reason to finish was broken off."""
    choice: dict[str, Any] = {"message": {}, "finish_reason": "error", "logprobs": {"content": []}}
    for part in parts:
        delta, logprobs = (_object(part.get(name)) or {} for name in ("delta", "logprobs"))
        for name, value in delta.items():
            if isinstance(value, str):
                choice["message"][name] = choice["message"].get(name, "") + value
        if isinstance(listed := logprobs.get("content"), list):
            choice["logprobs"]["content"] += listed
        choice["finish_reason"] = part.get("finish_reason") or choice["finish_reason"]
    return choice
