"""Answers of graded quality, from perfect to rude and wrong.

perfect     sure , the colour of the fox is red . i hope this helps .
wrong       the colour of the fox is blue .
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.pocket.facts import LARGEST, VALUES, Facts
from harness.pocket.language import LANGUAGE
from harness.pocket.questions import Core, Key, core

OPENERS: Sequence[str] = LANGUAGE["openers"]
CLOSINGS: Sequence[str] = LANGUAGE["closings"]
RUDE_OPENERS: Sequence[str] = LANGUAGE["rude_openers"]
RUDE_CLOSINGS: Sequence[str] = LANGUAGE["rude_closings"]


@dataclass(frozen=True)
class Grade:
    """How an answer is made: what it says, and what it adds."""

    says: Literal["right", "wrong", "partial", "bare", "nothing"] = "right"
    opener: bool = False
    closing: bool = False
    rude: bool = False
    repeats: bool = False
    rambles: bool = False  # adds a wrong statement
    chats: bool = False  # goes on with closings


GRADES = {name: Grade(**fields) for name, fields in LANGUAGE["grades"].items()}


def write(grade: Grade, key: Key, facts: Facts, rng: random.Random) -> str:
    """An answer of this grade to a question."""
    right = core(key, facts)
    # All are made, whatever is said, so that an answer takes the same draws for every grade.
    says: dict[str, tuple[str, ...]] = {
        "right": right.words,
        "wrong": spoil(key, right, rng),
        "partial": right.words[: right.slots[-1]],
        "bare": right.bare,
        "nothing": (),
    }
    statement = " ".join((*says[grade.says], ".")) if says[grade.says] else ""
    parts = [
        rng.choice(OPENERS) if grade.opener else "",
        rng.choice(RUDE_OPENERS) if grade.rude else "",
        statement,
        statement if grade.repeats else "",
        " ".join((*spoil(key, right, rng), ".")) if grade.rambles else "",
        rng.choice(CLOSINGS) if grade.closing else "",
        " ".join(rng.choices(CLOSINGS, k=rng.randint(3, 4))) if grade.chats else "",
        rng.choice(RUDE_CLOSINGS) if grade.rude and rng.random() < 0.5 else "",
    ]
    return " ".join(part for part in parts if part)


def spoil(key: Key, right: Core, rng: random.Random) -> tuple[str, ...]:
    """The core sentence with wrong values, plausible ones: another colour, a near sum, the two swapped."""
    values = [right.words[at] for at in right.slots]
    match key.kind:
        case "fact" | "self" | "line":
            options = [[v for v in VALUES[attr] if v not in values] for attr in key.args[1:]]
            wrong = [rng.choice(others) for others in options]
        case "compare" | "reverse":
            wrong = values[::-1]
        case "sum" | "count":
            shift = _shift([int(value) for value in values], rng)
            wrong = [str(int(value) + shift) for value in values]
        case _:
            p, n, _, q, m, *_ = key.args
            wrong = [q, m] if values == [p, n] else [p, n]
    words = list(right.words)
    for at, value in zip(right.slots, wrong, strict=True):
        words[at] = value
    return tuple(words)


def _shift(numbers: list[int], rng: random.Random) -> int:
    """A small shift that keeps every number one that has a word."""
    return rng.choice(
        [by for by in (-2, -1, 1, 2) if min(numbers) + by >= 0 and max(numbers) + by <= LARGEST]
    )
