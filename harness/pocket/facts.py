"""What is true in the pocket world, and which of it is held out.

A fact is (entity, attribute) -> value: the colour of the fox is red. Values are drawn independently, so no
fact can be guessed from another. Animals also have an order of size, people an order of age.

An atom is the unit that is held out: ("fact", "fox", "colour"), ("pair", "bear", "fox"), ("sum", "7", "12"),
("count", "3", "6"), ("list", "cups", "keys", "pens"), ("scene", ...). Every atom belongs to one split.
"""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.pocket.language import LANGUAGE

Split = Literal["train", "validation", "test"]
Atom = tuple[str, ...]

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
HELD_OUT = 2  # attributes of an entity that its held-out split gets; the rest is train
LARGEST = 24  # the largest number that has a word

ANIMALS: Sequence[str] = LANGUAGE["animals"]
PEOPLE: Sequence[str] = LANGUAGE["people"]
ITEMS: Sequence[str] = LANGUAGE["items"]
NUMBERS = tuple(str(n) for n in range(LARGEST + 1))
OF_ANIMALS: Mapping[str, Sequence[str]] = LANGUAGE["of_animals"]
OF_PEOPLE: Mapping[str, Sequence[str]] = LANGUAGE["of_people"]
VALUES = {**OF_ANIMALS, **OF_PEOPLE}
LISTED = (*ITEMS, *OF_ANIMALS["toy"], *OF_ANIMALS["tree"], *OF_PEOPLE["pet"], *OF_PEOPLE["instrument"])


@dataclass(frozen=True)
class Facts:
    """All that is true: values by entity and attribute, and ranks of size (animals) and age (people)."""

    seed: int
    animals: Mapping[str, Mapping[str, str]]
    people: Mapping[str, Mapping[str, str]]
    rank: Mapping[str, int]
    held_out: Mapping[str, Mapping[str, Split]]  # entity -> attribute -> split

    @property
    def values(self) -> Mapping[str, Mapping[str, str]]:
        return {**self.animals, **self.people}


def draw_facts(seed: int, animals: int, people: int) -> Facts:
    """The world of this seed: the first `animals` and `people` names with values, ranks and splits drawn."""
    rng = random.Random(f"facts {seed}")  # seeded by text, which hashes alike in every process
    beasts, folk = ANIMALS[:animals], PEOPLE[:people]
    tables = [
        {name: {attr: rng.choice(values) for attr, values in attributes.items()} for name in names}
        for names, attributes in ((beasts, OF_ANIMALS), (folk, OF_PEOPLE))
    ]
    # Ranks are a permutation, so no two are alike and every comparison has an answer.
    ranks: dict[str, int] = {}
    for names in (beasts, folk):
        ranks.update(zip(rng.sample(names, len(names)), range(len(names)), strict=True))
    held_out = {}
    for table in tables:
        for at, (name, attributes) in enumerate(table.items()):
            held_out[name] = _deal(list(attributes), SPLITS[1 + at % 2], rng)
    return Facts(seed, tables[0], tables[1], ranks, held_out)


def _deal(attributes: list[str], split: Split, rng: random.Random) -> dict[str, Split]:
    """Two attributes to a held-out split, so that it can ask two turns, and the rest to train.

    Entities take turns: one is held out for validation, the next for test. Were it both for each, two thirds
    of all facts would be held out, and a model would learn from the dialogues which few attributes are asked.
    """
    held_out = rng.sample(attributes, HELD_OUT)
    return {attr: split if attr in held_out else "train" for attr in attributes}


def split_of(atom: Atom, facts: Facts) -> Split:
    """Where an atom may be asked: facts by the table, all else by a hash (60 % train, 20 %, 20 %)."""
    if atom[0] == "fact":
        return facts.held_out[atom[1]][atom[2]]
    # A hash rather than a draw: an atom's split then depends on no order in which atoms are met.
    digest = hashlib.blake2b(f"{facts.seed} {' '.join(atom)}".encode(), digest_size=8).digest()
    part = int.from_bytes(digest, "big") % 10
    return "train" if part < 6 else "validation" if part < 8 else "test"


def attributes_in(entity: str, split: Split, facts: Facts) -> Sequence[str]:
    """The attributes of an entity that a split may ask about."""
    return [attr for attr, where in facts.held_out[entity].items() if where == split]


def who(entity: str) -> str:
    """An entity as it stands in a sentence: "the fox", "anna"."""
    return f"the {entity}" if entity in ANIMALS else entity


def to_json(facts: Facts) -> str:
    """The contents of world.json."""
    return json.dumps(vars(facts), indent=1, sort_keys=True) + "\n"


def load_facts(folder: Path) -> Facts:
    """The facts of the world that was written under `folder`."""
    return Facts(**json.loads((folder / "world.json").read_text(encoding="utf-8")))
