"""Drawing questions at random, each from one split."""

import random
from collections.abc import Iterator
from itertools import combinations

from harness.pocket.facts import ITEMS, LARGEST, LISTED, Facts, Split, attributes_in, split_of
from harness.pocket.questions import ASK, THEN, Key, atoms, phrase, second_turns

LONGEST_COUNT = 5


def draw(category: str, split: Split, facts: Facts, rng: random.Random) -> Key:
    """A question of a category, all of whose atoms belong to the split."""
    # Rejection needs no list of all questions, and a split's share (20 % or more) ends it after a few draws.
    while True:
        key = _any(category, split, facts, rng)
        if belongs(key, split, facts):
            return key


def belongs(key: Key, split: Split, facts: Facts) -> bool:
    """Whether a split may ask this question."""
    return all(split_of(atom, facts) == split for atom in atoms(key))


def stated_sums() -> list[Key]:
    """Every sum whose smaller term is a digit and whose result has a word, in both orders."""
    pairs = [(str(a), str(b)) for b in range(1, 10) for a in range(b, LARGEST - b + 1)]
    return [Key("sum", order) for a, b in pairs for order in ((a, b), (b, a))]


def comparable(facts: Facts) -> Iterator[tuple[str, str, str]]:
    """Every two animals with "bigger", and every two people with "older"."""
    for names, relation in ((facts.animals, "bigger"), (facts.people, "older")):
        yield from ((relation, x, y) for x, y in combinations(names, 2))


def draw_two(category: str, split: Split, facts: Facts, rng: random.Random) -> tuple[Key, Key]:
    """A question of two turns, both of the split."""
    while True:
        first = draw(category, split, facts, rng)
        if second := [key for key in second_turns(first, facts) if belongs(key, split, facts)]:
            return first, rng.choice(second)


def words_of(keys: tuple[Key, ...], rng: random.Random) -> tuple[str, ...]:
    """The turns of a question, each in one of its paraphrases."""
    first, *more = keys
    return (phrase(rng.choice(ASK[first.kind]), first), *(phrase(rng.choice(THEN[k.kind]), k) for k in more))


def _any(category: str, split: Split, facts: Facts, rng: random.Random) -> Key:
    """A question of a category; facts are drawn from the split, all else from anywhere."""
    everyone = [*facts.animals, *facts.people]
    match category:
        case "stem" | "humanities" | "roleplay":
            # Drawn from anywhere, five in six would be rejected: an entity is held out for one split alone.
            names = {"stem": list(facts.animals), "humanities": list(facts.people)}.get(category, everyone)
            entity = rng.choice([name for name in names if attributes_in(name, split, facts)])
            attr = rng.choice(attributes_in(entity, split, facts))
            return Key("self" if category == "roleplay" else "fact", (entity, attr))
        case "writing":
            entity = rng.choice([name for name in everyone if attributes_in(name, split, facts)])
            return Key("line", (entity, *rng.sample(attributes_in(entity, split, facts), 2)))
        case "reasoning":
            animals = rng.random() < 0.5
            relation = rng.choice(("bigger", "smaller") if animals else ("older", "younger"))
            names = list(facts.animals if animals else facts.people)
            return Key("compare", (relation, *rng.sample(names, 2)))
        case "math":
            b = rng.randint(1, 9)
            pair = [str(rng.randint(1, LARGEST - b)), str(b)]
            return Key("sum", tuple(rng.sample(pair, 2)))
        case "coding" if rng.random() < 0.5:
            low = rng.randint(0, LARGEST - LONGEST_COUNT)
            ends = [str(low), str(low + rng.randint(2, LONGEST_COUNT - 1))]
            return Key("count", tuple(rng.sample(ends, 2)))
        case "coding":
            return Key("reverse", (" ".join(rng.sample(LISTED, 3)),))
        case _:
            (p, q), (i, j) = rng.sample(list(facts.people), 2), rng.sample(ITEMS, 2)
            n, m = (str(rng.randint(2, 9)) for _ in range(2))
            return Key("scene", (p, n, i, q, m, j, rng.choice((i, j))))
