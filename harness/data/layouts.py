"""The layouts in which preference, chat and prompt data come, and the one form that each is read into.

    {"prompt": "Hi", "chosen": [<user "Hi">, <assistant "Hello">], "rejected": [...]}         UltraFeedback
    {"chosen": "\\n\\nHuman: Hi\\n\\nAssistant: Hello", "rejected": "..."}                    HH-RLHF
    -> Pair(prompt=({"role": "user", "content": "Hi"},), chosen="Hello", rejected="...")

A row that gives nothing is `Dropped` with a reason, never skipped. Text stays as it is, except that the
whitespace around the markers of marked-up text ("Human:", "<extra_id_1>User") belongs to the markers.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, TypeVar

from benchmarks.api import Message

T = TypeVar("T")
Row = Mapping[str, Any]
Turns = tuple[Message, ...]

# ShareGPT, OpenAssistant and older chat data have their own words for the three roles.
ROLES = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "model"), "assistant"),
    "system": "system",
}
HH_MARKER = re.compile(r"(?:\A|\n\n)(Human|Assistant):")
HELPSTEER_MARKER = re.compile(r"<extra_id_1>(User|Assistant)\n")


@dataclass(frozen=True)
class Pair:
    """A preference: `prompt` ends with a user turn, `chosen` and `rejected` are texts of the next one."""

    prompt: Turns
    chosen: str
    rejected: str


@dataclass(frozen=True)
class Dialogue:
    """A chat to learn from; it ends with an assistant turn."""

    messages: Turns


@dataclass(frozen=True)
class Dropped:
    """`rows` rows that gave nothing, and why."""

    reason: str
    rows: int = 1


class Unusable(Exception):
    """One row gives nothing; the message is the reason that is counted."""


@dataclass(frozen=True)
class Layout(Generic[T]):
    """A layout by name, the columns that it is known by, and how its rows are read."""

    name: str
    columns: tuple[str, ...]
    read: Callable[[Sequence[Row]], Iterator[T | Dropped]]


def row_by_row(convert: Callable[[Row], T]) -> Callable[[Sequence[Row]], Iterator[T | Dropped]]:
    """Read rows one by one."""

    def read(rows: Sequence[Row]) -> Iterator[T | Dropped]:
        for row in rows:
            try:
                yield convert(row)
            except Unusable as why:
                yield Dropped(str(why))

    return read


def pair(prompt: Turns, chosen: str, rejected: str) -> Pair:
    """A pair that can be trained on; anything else is unusable."""
    # A pair without a difference has margin 0 whatever is learned: it would only weigh the others down.
    if chosen.strip() == rejected.strip():
        raise Unusable("chosen == rejected")
    return Pair(checked_prompt(prompt), checked_answer(chosen), checked_answer(rejected))


def checked_answer(text: str) -> str:
    """The answer, if it says something."""
    if not text.strip():
        raise Unusable("empty answer")
    return text


def checked_prompt(turns: Turns) -> Turns:
    """The turns, if they alternate after an optional system turn, say something, and end with the user's."""
    after_system = turns[1:] if turns and turns[0]["role"] == "system" else turns
    roles = [turn["role"] for turn in after_system]
    if "user" not in roles:
        raise Unusable("no user turn")
    if roles[-1] != "user":
        raise Unusable("prompt does not end with a user turn")
    if any(role != ("user", "assistant")[i % 2] for i, role in enumerate(roles)):
        raise Unusable("turns do not alternate")  # the templates of Llama 2, Mistral and Gemma refuse these
    if not all(turn["content"].strip() for turn in after_system):
        raise Unusable("empty turn")
    return turns


def dialogue(turns: Turns) -> Dialogue:
    """A dialogue whose every assistant turn can be learned."""
    if not any(turn["role"] == "assistant" for turn in turns):
        raise Unusable("no assistant turn")
    if turns[-1]["role"] != "assistant":
        raise Unusable("last turn is not an answer")
    checked_answer(turns[-1]["content"])
    checked_prompt(turns[:-1])
    return Dialogue(turns)


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


def system_of(row: Row) -> Turns:
    """The `system` column that ShareGPT and Alpaca files may hold, as a turn."""
    text = row.get("system")
    return ({"role": "system", "content": text_of(text)},) if text else ()


def conversation(row: Row) -> Turns:
    """ShareGPT's turns after the `system` column where there is one."""
    return system_of(row) + turns_of(row["conversations"])


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


def explicit_pair(row: Row) -> Pair:
    """`prompt`, `chosen`, `rejected`: text or messages; the answers may repeat the prompt's turns."""
    if isinstance(row["chosen"], str) and isinstance(row["rejected"], str):
        return pair(prompt_of(row["prompt"]), row["chosen"], row["rejected"])
    chosen, rejected = turns_of(row["chosen"]), turns_of(row["rejected"])
    # UltraFeedback: the text is the first of the turns.
    if isinstance(row["prompt"], str) and len(chosen) > 1:
        return pair_after(chosen[:-1], chosen, rejected)
    return pair_after(prompt_of(row["prompt"]), chosen, rejected)


def pair_after(prompt: Turns, chosen: Turns, rejected: Turns) -> Pair:
    """The pair whose answers follow `prompt`, which each side holds in full or not at all."""
    answers = [side[len(prompt) :] if side[: len(prompt)] == prompt else side for side in (chosen, rejected)]
    if any(len(answer) != 1 or answer[0]["role"] != "assistant" for answer in answers):
        raise Unusable("answer is not one assistant turn after the prompt")
    return pair(prompt, answers[0][0]["content"], answers[1][0]["content"])


def implicit_pair(row: Row) -> Pair:
    """Only `chosen` and `rejected`, as messages (DPO-Mix-7K) or marked text (HH-RLHF).

    The prompt is what they share; turns are compared whole, so it ends at a turn boundary.
    """
    marked = isinstance(row["chosen"], str) and isinstance(row["rejected"], str)
    sides = [marked_turns(row[k], HH_MARKER) if marked else turns_of(row[k]) for k in ("chosen", "rejected")]
    if sides[0] == sides[1]:
        raise Unusable("chosen == rejected")
    shared = 0
    # By whole turns: a common prefix of text would cut an answer where the two happen to begin alike.
    while shared < min(map(len, sides)) and sides[0][shared] == sides[1][shared]:
        shared += 1
    if not shared:
        raise Unusable("no common turn")
    if max(len(side) - shared for side in sides) > 1:
        raise Unusable("more than one turn after the common ones")
    return pair_after(sides[0][:shared], sides[0], sides[1])


def sharegpt_pair(row: Row) -> Pair:
    """`conversations` and one {from, value} per side, as LLaMA-Factory's dpo_en_demo."""
    sides = [value if isinstance(value, list) else [value] for value in (row["chosen"], row["rejected"])]
    return pair_after(conversation(row), turns_of(sides[0]), turns_of(sides[1]))


def helpsteer_pairs(rows: Sequence[Row]) -> Iterator[Pair | Dropped]:
    """HelpSteer2: two consecutive rows per prompt; the more helpful one is chosen, ties are dropped.

    The rule is that of the public conversion HelpSteer2-DPO; the markers of turns are the dataset card's.
    """
    for _, group in groupby(rows, key=lambda row: row["prompt"]):
        same = list(group)
        # A prompt may stand in the file several times, each time with two responses of its own.
        for two in (same[i : i + 2] for i in range(0, len(same), 2)):
            try:
                yield helpsteer_pair(two)
            except Unusable as why:
                yield Dropped(str(why), len(two))


def rating_of(value: object) -> float:
    """The value as a number, if it orders responses: in the place of a missing one there is often NaN."""
    try:
        rating = float(value) if isinstance(value, str | int | float) else math.nan
    except ValueError:
        rating = math.nan
    if isinstance(value, bool) or not math.isfinite(rating):
        raise Unusable("no rating")
    return rating


def helpsteer_pair(rows: Sequence[Row]) -> Pair:
    """The pair of two rated responses to one prompt."""
    if len(rows) < 2:
        raise Unusable("one response only")
    ratings = [rating_of(row["helpfulness"]) for row in rows]
    if ratings[0] == ratings[1]:
        raise Unusable("tied ratings")
    worse, better = rows if ratings[0] < ratings[1] else reversed(rows)
    prompt = user(text_of(better["prompt"]))
    if HELPSTEER_MARKER.search(better["prompt"]):  # the first user turn stands unmarked
        prompt = marked_turns(f"<extra_id_1>User\n{better['prompt']}", HELPSTEER_MARKER)
    return pair(prompt, text_of(better["response"]), text_of(worse["response"]))


def instruction_of(row: Row) -> Turns:
    """Alpaca's `instruction`, and on the next line its `input` where it has one (LLaMA-Factory's rule)."""
    instruction, context = text_of(row["instruction"]), row.get("input")
    return system_of(row) + user(f"{instruction}\n{text_of(context)}" if context else instruction)


def alpaca_dialogue(row: Row) -> Dialogue:
    """One turn of `instruction`, `input` and its `output`."""
    return dialogue((*instruction_of(row), {"role": "assistant", "content": text_of(row["output"])}))


# The first layout whose columns are all there is the file's, so the narrower ones stand first.
PAIRS: tuple[Layout[Pair], ...] = (
    Layout("sharegpt", ("conversations", "chosen", "rejected"), row_by_row(sharegpt_pair)),
    Layout("prompt-chosen-rejected", ("prompt", "chosen", "rejected"), row_by_row(explicit_pair)),
    Layout("chosen-rejected", ("chosen", "rejected"), row_by_row(implicit_pair)),
    Layout("helpsteer", ("prompt", "response", "helpfulness"), helpsteer_pairs),
)
DIALOGUES: tuple[Layout[Dialogue], ...] = (
    Layout("messages", ("messages",), row_by_row(lambda row: dialogue(turns_of(row["messages"])))),
    Layout("sharegpt", ("conversations",), row_by_row(lambda row: dialogue(conversation(row)))),
    Layout("alpaca", ("instruction", "output"), row_by_row(alpaca_dialogue)),
)
