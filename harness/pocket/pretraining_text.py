"""The pretraining text: all that is true, in plain declarative sentences; no questions, no dialogue.

    tell colour of fox : the colour of the fox is red . i am anna and my job is baker . 12 plus 7 is ...

Facts and sums are stated whatever their split: this is where knowledge comes from, and what is held out is to
be asked about one. Of comparisons, counts, lists and scenes the text shows those of the training split alone;
the rest is to be inferred. Half the sentences have a heading, their subject among idle words, so that a model
learns to find a subject in its context; without headings the dialogues alone would have to teach that, and a
small model needs thousands of steps for it.
"""

import random
from collections.abc import Sequence
from itertools import chain

from harness.pocket.facts import Facts
from harness.pocket.language import LANGUAGE
from harness.pocket.questions import ASK, OPPOSITE, THEN, Key, core
from harness.pocket.sampling import belongs, comparable, draw, stated_sums

FRAMES: Sequence[str] = LANGUAGE["frames"]
SENTENCES = 1  # a text
UNHEADED = 0.4  # of the sentences; scenes are always headed
MOST_FILLERS = 6
FILLERS = sorted({w for t in chain(*ASK.values(), *THEN.values()) for w in t.split() if w.isalpha()})
SKILLS = {"coding": 300, "extraction": 300}  # sentences a pass


def texts(count: int, facts: Facts, rng: random.Random) -> list[str]:
    """So many texts of two sentences: passes over all there is to say, each in another order."""
    said: list[str] = []
    while len(said) < count * SENTENCES:
        said += _one_pass(facts, rng)
    return [" ".join(said[at : at + SENTENCES]) for at in range(0, count * SENTENCES, SENTENCES)]


def _one_pass(facts: Facts, rng: random.Random) -> list[str]:
    """Every fact in three forms, every stated sum and comparison once, and examples of each skill."""
    keys: list[Key] = []
    for entity, values in facts.values.items():
        for attr in values:
            other = rng.choice([a for a in values if a != attr])
            keys += [
                Key("fact", (entity, attr)),
                Key("self", (entity, attr)),
                Key("line", (entity, attr, other)),
            ]
    for relation, x, y in comparable(facts):
        key = Key("compare", (rng.choice((relation, OPPOSITE[relation])), x, y))
        keys += [key] if belongs(key, "train", facts) else []
    keys += stated_sums()
    for category, times in SKILLS.items():
        keys += [draw(category, "train", facts, rng) for _ in range(times)]
    rng.shuffle(keys)
    return [_sentence(key, facts, rng) for key in keys]


def _sentence(key: Key, facts: Facts, rng: random.Random) -> str:
    sentence = " ".join((*core(key, facts).words, "."))
    if key.kind == "scene":
        p, n, i, q, m, j, item = key.args
        return f"{p} has {n} {i} and {q} has {m} {j} . {_heading([item], rng)} {sentence}"
    if rng.random() < UNHEADED:
        return sentence
    free = key.kind in ("fact", "self", "compare")  # of the others the order is part of what is asked
    subject = rng.sample(key.args, len(key.args)) if free else list(key.args)
    return f"{_heading(subject, rng)} {sentence}"


def _heading(subject: list[str], rng: random.Random) -> str:
    """The subject among a few words that say nothing: "tell colour the of fox :"."""
    words = ["about", *subject] if rng.random() < 0.5 else list(subject)
    for _ in range(rng.randint(0, MOST_FILLERS)):
        words.insert(rng.randint(0, len(words)), rng.choice(FILLERS))
    return f"{' '.join(words)} {rng.choice(':.,')}"
