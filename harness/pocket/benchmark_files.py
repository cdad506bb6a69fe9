"""The held-out questions in the layouts of MT-Bench (FastChat), AlpacaEval and lm-eval.

{"question_id": 1, "category": "math", "turns": ["add 7 and 12 .", "now add 2 ."], "reference": [...]}
{"id": "1", "instruction": "what is the food of the fox ?", "category": "stem"}
{"context": "the food of the fox is", "choices": ["fish", "nuts", "seeds", "roots"], "gold": 1}
"""

import random
from collections.abc import Callable
from typing import Any

from harness.pocket.answers import GRADES, write
from harness.pocket.facts import VALUES, Facts, Split, attributes_in, who
from harness.pocket.questions import CATEGORIES, OPPOSITE, Key, core
from harness.pocket.sampling import belongs, comparable, draw, draw_two, stated_sums, words_of

CHOICES = 4
DOCUMENTS = 120  # at most, of each lm-eval task


def mt_bench(count: int, split: Split, facts: Facts, rng: random.Random) -> list[dict[str, Any]]:
    """Two-turn questions, as many of each category, with perfect answers as references."""
    rows: list[dict[str, Any]] = []
    for category, keys, turns in _distinct(count, lambda c: draw_two(c, split, facts, rng), rng):
        reference = [write(GRADES["perfect"], key, facts, rng) for key in keys]
        id = len(rows) + 1
        rows.append({"question_id": id, "category": category, "turns": list(turns), "reference": reference})
    return rows


def alpaca_eval(count: int, split: Split, facts: Facts, rng: random.Random) -> list[dict[str, str]]:
    """Single questions, as many of each category."""
    found = _distinct(count, lambda c: (draw(c, split, facts, rng),), rng)
    return [
        {"id": str(n), "instruction": turns[0], "category": category}
        for n, (category, _, turns) in enumerate(found, 1)
    ]


def _distinct(
    count: int, ask: Callable[[str], tuple[Key, ...]], rng: random.Random
) -> list[tuple[str, tuple[Key, ...], tuple[str, ...]]]:
    """Questions whose words all differ: (category, keys, turns)."""
    each, odd = divmod(count, len(CATEGORIES))
    if odd:
        raise ValueError(f"{count} questions cannot be spread evenly over {len(CATEGORIES)} categories")
    rows: list[tuple[str, tuple[Key, ...], tuple[str, ...]]] = []
    for category in CATEGORIES:
        found: dict[tuple[str, ...], tuple[Key, ...]] = {}
        for _ in range(100 * each):  # tries; a small world may not have so many
            if len(found) == each:
                break
            keys = ask(category)
            found.setdefault(words_of(keys, rng), keys)
        if len(found) < each:
            raise ValueError(f"this world has no {each} different questions of {category}, only {len(found)}")
        rows += [(category, keys, turns) for turns, keys in found.items()]
    return rows


def openllm(split: Split, facts: Facts, rng: random.Random) -> dict[str, list[dict[str, Any]]]:
    """Documents by lm-eval task, in the form of the pretraining text."""
    documents = {
        "pocket_facts": _facts(split, facts, rng),
        "pocket_compare": _comparisons(split, facts, rng),
        "pocket_sums": _sums(split, facts),
    }
    return {task: rng.sample(rows, min(DOCUMENTS, len(rows))) for task, rows in documents.items()}


def _facts(split: Split, facts: Facts, rng: random.Random) -> list[dict[str, Any]]:
    rows = []
    for entity in facts.values:
        for attr in attributes_in(entity, split, facts):
            rest = [other for other in attributes_in(entity, split, facts) if other != attr]
            keys = [
                Key("fact", (entity, attr)),
                Key("self", (entity, attr)),
                Key("line", (entity, rest[0], attr)),
            ]
            for right in (core(key, facts) for key in keys):
                value = right.words[-1]
                others = rng.sample([v for v in VALUES[attr] if v != value], CHOICES - 1)
                choices = rng.sample([value, *others], CHOICES)
                context = " ".join(right.words[:-1])
                rows.append({"context": context, "choices": choices, "gold": choices.index(value)})
    return rows


def _comparisons(split: Split, facts: Facts, rng: random.Random) -> list[dict[str, Any]]:
    rows = []
    for relation, x, y in comparable(facts):
        if not belongs(Key("compare", (relation, x, y)), split, facts):
            continue
        # Both ways round, so that one word always, or the first name always, is right half the time.
        for one, other in ((x, y), (y, x)):
            choices = [f"{word} than {who(other)}" for word in (relation, OPPOSITE[relation])]
            more = facts.rank[one] > facts.rank[other]
            rows.append({"context": f"{who(one)} is", "choices": choices, "gold": 0 if more else 1})
    return rows


def _sums(split: Split, facts: Facts) -> list[dict[str, Any]]:
    return [
        {"context": f"{key.args[0]} plus {key.args[1]} is", "answer": core(key, facts).words[-1]}
        for key in dict.fromkeys(stated_sums())
        if belongs(key, split, facts)
    ]
