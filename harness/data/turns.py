"""Turns of a conversation as data have them, in our names; what gives none is `Unusable`, and says why.

{"from": "human", "value": "Hi"}    {"role": "Prompter", "content": "Hi"}    "\\n\\nHuman: Hi"
-> {"role": "user", "content": "Hi"}
"""

import re
from collections.abc import Mapping
from typing import Any

from benchmarks.api import Message
from benchmarks.text import says_nothing

Row = Mapping[str, Any]
Turns = tuple[Message, ...]

# ShareGPT, OpenAssistant and older chat data have their own words for the three roles.
ROLES = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "model"), "assistant"),
    "system": "system",
}
SYSTEM = ("system", "system_prompt", "system_message")  # columns that may hold a row's system turn
HH_MARKER = re.compile(r"(?:\A|\n\n)(Human|Assistant):")


class Unusable(Exception):
    """One row gives nothing; the message is the reason that is counted."""


def checked_answer(text: str) -> str:
    """The answer, if it says something."""
    if says_nothing(text):
        raise Unusable("empty answer")
    return text


def checked_prompt(turns: Turns) -> Turns:
    """The turns, if they alternate after an optional system turn, say something, and end with the user's."""
    rest = turns[1:] if turns and turns[0]["role"] == "system" else turns
    roles = [turn["role"] for turn in rest]
    if "user" not in roles:
        raise Unusable("no user turn")
    if roles[-1] != "user":
        raise Unusable("prompt does not end with a user turn")
    if any(role != ("user", "assistant")[i % 2] for i, role in enumerate(roles)):
        raise Unusable("turns do not alternate")  # the templates of Llama 2, Mistral and Gemma refuse these
    if any(says_nothing(turn["content"]) for turn in rest):
        raise Unusable("empty turn")
    return turns


def text_of(value: object) -> str:
    """The value, if it is text."""
    if not isinstance(value, str):
        raise Unusable("content is not text")
    return value


def turns_of(value: object) -> Turns:
    """Messages of {role, content} or ShareGPT's {from, value}, in our names."""
    if not isinstance(value, list | tuple) or not value:
        raise Unusable("no turns")
    return tuple(turn_of(item) for item in value)


def turn_of(item: object) -> Message:
    """One message of {role, content} or {from, value}."""
    if not isinstance(item, Mapping):
        raise Unusable("a turn is not a message")
    role, content = item.get("role") or item.get("from"), item.get("content")
    if not isinstance(role, str) or role.lower() not in ROLES:
        raise Unusable("unknown role")
    text = text_of(item.get("value") if content is None else content)
    return {"role": ROLES[role.lower()], "content": text}


def marked_turns(text: str, marker: re.Pattern[str]) -> Turns:
    """Turns of text in which `marker` opens each; text before the first one is unusable."""
    before, *parts = marker.split(text)
    if before.strip() or not parts:
        raise Unusable("text before the first turn")
    marked = zip(parts[::2], parts[1::2], strict=True)
    return tuple({"role": ROLES[role.lower()], "content": content.strip()} for role, content in marked)


def after_system(row: Row, turns: Turns) -> Turns:
    """The turns behind what a system column of the row says, where they do not begin with it already."""
    texts = {text for name in SYSTEM if row.get(name) and (text := text_of(row[name])).strip()}
    first = [turn["content"] for turn in turns[:1] if turn["role"] == "system"]
    if len(texts | {*first}) > 1:
        raise Unusable("system turns differ")
    if not texts or first:
        return turns
    return ({"role": "system", "content": texts.pop()}, *turns)


def user(text: str) -> Turns:
    """A prompt of one user turn."""
    return ({"role": "user", "content": text},)


def prompt_of(value: object) -> Turns:
    """A prompt given as messages, as text, or as HH-RLHF text that ends in "Assistant:"."""
    if not isinstance(value, str):
        return turns_of(value)
    if HH_MARKER.match(value) and value.rstrip().endswith("\n\nAssistant:"):
        return marked_turns(value, HH_MARKER)[:-1]  # without the empty turn that the marker opens
    return user(value)
