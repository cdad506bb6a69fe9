"""The layouts in which preference, chat and prompt data come, and the one form that each is read into.

    {"prompt": "Hi", "chosen": [<user "Hi">, <assistant "Hello">], "rejected": [...]}         UltraFeedback
    {"chosen": "\\n\\nHuman: Hi\\n\\nAssistant: Hello", "rejected": "..."}                    HH-RLHF
    -> Pair(prompt=({"role": "user", "content": "Hi"},), chosen="Hello", rejected="...")

A row that gives nothing is `Dropped` with a reason, never skipped. Text stays as it is, except that the
whitespace around the markers of marked-up text ("Human:", "<extra_id_1>User") belongs to the markers.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, TypeVar

from benchmarks.api import Message
from harness.common.suggest import did_you_mean
from harness.common.text import cut
from harness.data.turns import (
    HH_MARKER,
    SYSTEM,
    Row,
    Turns,
    Unusable,
    after_system,
    checked_answer,
    checked_prompt,
    marked_turns,
    prompt_of,
    text_of,
    turns_of,
    user,
)

T = TypeVar("T")
AUTO = "auto"  # the first layout whose columns are there
# How a list of messages begins that a table of texts, such as CSV, holds as JSON or as Python prints it.
WRITTEN = re.compile(r"""\s*\[\s*\{\s*["'](?:role|content|from)["']\s*:""")
# An answer that holds its prompt as well, in HH-RLHF's marked text.
WHOLE = re.compile(r"\s*Human:.*\n\nAssistant:", re.DOTALL)
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


@dataclass(frozen=True)
class Layout(Generic[T]):
    """A layout by name, the columns that it is known by, how its rows are read, and the columns beside these
    that say more where they are there.
    """

    name: str
    columns: tuple[str, ...]
    read: Callable[[Sequence[Row]], Iterator[T | Dropped]]
    beside: tuple[str, ...] = SYSTEM


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


def dialogue(turns: Turns) -> Dialogue:
    """A dialogue whose every assistant turn can be learned."""
    if not any(turn["role"] == "assistant" for turn in turns):
        raise Unusable("no assistant turn")
    if turns[-1]["role"] != "assistant":
        raise Unusable("last turn is not an answer")
    checked_answer(turns[-1]["content"])
    checked_prompt(turns[:-1])
    return Dialogue(turns)


def conversation(row: Row) -> Turns:
    """ShareGPT's turns."""
    return after_system(row, turns_of(row["conversations"]))


def explicit_pair(row: Row) -> Pair:
    """`prompt`, `chosen`, `rejected`: text or messages; the answers may repeat the prompt's turns."""
    if isinstance(row["chosen"], str) and isinstance(row["rejected"], str):
        sides = row["chosen"], row["rejected"]
        if all(map(WRITTEN.match, sides)):
            raise Unusable("messages written as text")
        if not all(map(WHOLE.match, sides)):
            return pair(after_system(row, prompt_of(row["prompt"])), *sides)
        chosen, rejected = (marked_turns(side.lstrip(), HH_MARKER) for side in sides)
    else:
        chosen, rejected = turns_of(row["chosen"]), turns_of(row["rejected"])
    # UltraFeedback: the text is the first of the turns.
    if isinstance(row["prompt"], str) and len(chosen) > 1:
        return pair_after(row, chosen[:-1], chosen, rejected)
    return pair_after(row, prompt_of(row["prompt"]), chosen, rejected)


def pair_after(row: Row, prompt: Turns, chosen: Turns, rejected: Turns) -> Pair:
    """The pair whose answers follow `prompt`, which each side holds in full or not at all."""
    whole = after_system(row, prompt)
    answers = [answer_after(side, whole, prompt) for side in (chosen, rejected)]
    if any(len(answer) != 1 or answer[0]["role"] != "assistant" for answer in answers):
        raise Unusable("answer is not one assistant turn after the prompt")
    return pair(whole, answers[0][0]["content"], answers[1][0]["content"])


def answer_after(side: Turns, *prompts: Turns) -> Turns:
    """The turns of a side after the first of the prompts that it begins with."""
    return next((side[len(prompt) :] for prompt in prompts if side[: len(prompt)] == prompt), side)


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
    return pair_after(row, sides[0][:shared], sides[0], sides[1])


def sharegpt_pair(row: Row) -> Pair:
    """`conversations` and one {from, value} per side, as LLaMA-Factory's dpo_en_demo."""
    sides = [value if isinstance(value, list) else [value] for value in (row["chosen"], row["rejected"])]
    return pair_after(row, conversation(row), turns_of(sides[0]), turns_of(sides[1]))


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
    except (ValueError, OverflowError):
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
    prompts = [after_system(row, prompt) for row in (better, worse)]
    if prompts[0] != prompts[1]:
        raise Unusable("system turns differ")
    return pair(prompts[0], text_of(better["response"]), text_of(worse["response"]))


def instruction_of(row: Row) -> str:
    """Alpaca's `instruction`, and on the next line its `input` where it has one (LLaMA-Factory's rule)."""
    instruction, context = text_of(row["instruction"]), row.get("input")
    return f"{instruction}\n{text_of(context)}" if context else instruction


def history_of(row: Row) -> Turns:
    """Alpaca's `history` of [instruction, answer] pairs, as turns."""
    rounds = row.get("history") or ()
    listed = isinstance(rounds, list | tuple)
    if not listed or not all(isinstance(two, list | tuple) and len(two) == 2 for two in rounds):
        raise Unusable("a round of the history is no pair")
    texts = [text_of(text) for two in rounds for text in two]
    return tuple(Message(role=("user", "assistant")[i % 2], content=text) for i, text in enumerate(texts))


def alpaca_dialogue(row: Row) -> Dialogue:
    """The turns of `history`, then one of `instruction`, `input` and its `output`."""
    prompt = after_system(row, (*history_of(row), *user(instruction_of(row))))
    return dialogue((*prompt, {"role": "assistant", "content": text_of(row["output"])}))


# The first layout whose columns are all there is the file's, so the narrower ones stand first. The column
# `system` is ShareGPT's and Alpaca's own.
PAIRS: tuple[Layout[Pair], ...] = (
    Layout("sharegpt", ("conversations", "chosen", "rejected"), row_by_row(sharegpt_pair), SYSTEM[1:]),
    Layout("prompt-chosen-rejected", ("prompt", "chosen", "rejected"), row_by_row(explicit_pair)),
    Layout("chosen-rejected", ("chosen", "rejected"), row_by_row(implicit_pair)),
    Layout("helpsteer", ("prompt", "response", "helpfulness"), helpsteer_pairs),
)
DIALOGUES: tuple[Layout[Dialogue], ...] = (
    Layout(
        "messages",
        ("messages",),
        row_by_row(lambda row: dialogue(after_system(row, turns_of(row["messages"])))),
    ),
    Layout("sharegpt", ("conversations",), row_by_row(lambda row: dialogue(conversation(row))), SYSTEM[1:]),
    Layout("alpaca", ("instruction", "output"), row_by_row(alpaca_dialogue), (*SYSTEM[1:], "history")),
)


def known_layout(layouts: Sequence[Layout[T]], name: str) -> str:
    """The name, of one of these layouts or AUTO; ValueError with the nearest one for another."""
    names = [AUTO, *(layout.name for layout in layouts)]
    if name not in names:
        hint = did_you_mean(name, names)
        raise ValueError(f"no layout {cut(repr(name))}{hint}; known: {', '.join(names)}")
    return name
