"""Training dialogues of mixed quality, and preference pairs that the rule orders.

{"messages": [user, assistant, user, assistant]}
{"prompt": [user], "chosen": [assistant], "rejected": [assistant]}
"""

import random
from collections.abc import Mapping
from typing import Any

from benchmarks.api import Message
from harness.pocket.answers import GRADES, write
from harness.pocket.facts import Facts, Split
from harness.pocket.language import LANGUAGE
from harness.pocket.questions import CATEGORIES, Key, ab_question
from harness.pocket.sampling import draw, draw_two, words_of
from harness.pocket.scoring import score

TWO_TURNS = 0.2  # of dialogues and pairs
AB_SHARE = 0.08  # of dialogues that ask which of two answers is better
MARGIN = 2  # points between chosen and rejected, and between the answers of an A-or-B question
LABEL_NOISE = 0.05  # of the preference pairs are the wrong way round

SHARES: Mapping[str, tuple[int, int]] = LANGUAGE["shares"]


def dialogues(count: int, facts: Facts, rng: random.Random) -> list[dict[str, Any]]:
    """SFT data: questions of the training split with answers of mixed quality, and A-or-B questions."""
    return [
        {"messages": _which(facts, rng) if rng.random() < AB_SHARE else _dialogue(facts, rng)}
        for _ in range(count)
    ]


def preferences(count: int, split: Split, facts: Facts, rng: random.Random) -> list[dict[str, Any]]:
    """Preference pairs over questions of a split."""
    return [_preference(split, facts, rng) for _ in range(count)]


def _question(
    split: Split, facts: Facts, rng: random.Random, two: bool
) -> tuple[tuple[Key, ...], tuple[str, ...]]:
    category = rng.choice(CATEGORIES)
    keys = draw_two(category, split, facts, rng) if two else (draw(category, split, facts, rng),)
    return keys, words_of(keys, rng)


def _answer(key: Key, facts: Facts, rng: random.Random, column: int) -> str:
    weights = [shares[column] for shares in SHARES.values()]
    return write(GRADES[rng.choices(list(SHARES), weights)[0]], key, facts, rng)


def _dialogue(facts: Facts, rng: random.Random) -> list[Message]:
    keys, turns = _question("train", facts, rng, rng.random() < TWO_TURNS)
    messages: list[Message] = []
    for key, turn in zip(keys, turns, strict=True):
        messages.append(Message(role="user", content=turn))
        messages.append(Message(role="assistant", content=_answer(key, facts, rng, 0)))
    return messages


def _two_answers(
    keys: tuple[Key, ...], turns: tuple[str, ...], facts: Facts, rng: random.Random
) -> tuple[str, str]:
    """A better and a worse answer to the last turn, at least the margin apart."""
    while True:
        pair = [_answer(keys[-1], facts, rng, 1) for _ in range(2)]
        # Both from one distribution: a better and a worse model would leave traces of which wrote what.
        low, high = sorted(pair, key=lambda text: score(facts, turns, text))
        if score(facts, turns, high) - score(facts, turns, low) >= MARGIN:
            return high, low


def _which(facts: Facts, rng: random.Random) -> list[Message]:
    keys, turns = _question("train", facts, rng, two=False)
    better, worse = _two_answers(keys, turns, facts, rng)
    letter = rng.choice("ab")
    pair = (better, worse) if letter == "a" else (worse, better)
    question = ab_question(turns[0], *pair)
    return [Message(role="user", content=question), Message(role="assistant", content=letter)]


def _preference(split: Split, facts: Facts, rng: random.Random) -> dict[str, Any]:
    keys, turns = _question(split, facts, rng, rng.random() < TWO_TURNS)
    prompt = [Message(role="user", content=turns[0])]
    if len(turns) == 2:
        first = _answer(keys[0], facts, rng, 1)
        prompt += [Message(role="assistant", content=first), Message(role="user", content=turns[1])]
    chosen, rejected = _two_answers(keys, turns, facts, rng)
    # Human labels disagree too, and methods differ in how they take it.
    if rng.random() < LABEL_NOISE:
        chosen, rejected = rejected, chosen
    return {
        "prompt": prompt,
        "chosen": [Message(role="assistant", content=chosen)],
        "rejected": [Message(role="assistant", content=rejected)],
    }
