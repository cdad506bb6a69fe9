"""Questions of the pocket world: content keys, their paraphrases, and the way back from text to key.

    Key("fact", ("fox", "colour")) <-> "what is the colour of the fox ?"  core: the colour of the fox is red
    Key("sum", ("12", "7"))        <-> "add 12 and 7 ."                   core: 12 plus 7 is 19

Every kind has several paraphrases of an opening question and of a second turn, which makes sense only after
the first ("and what is the food ?", "now add 2 ."). The core is the sentence a right answer holds; it has the
form of the pretraining text.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.pocket.facts import ANIMALS, LARGEST, PEOPLE, Atom, Facts, who
from harness.pocket.language import LANGUAGE

CATEGORIES = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")

FIELDS: Mapping[str, Sequence[str]] = LANGUAGE["fields"]
ASK: Mapping[str, Sequence[str]] = LANGUAGE["ask"]
THEN: Mapping[str, Sequence[str]] = LANGUAGE["then"]
OPPOSITE: Mapping[str, str] = LANGUAGE["opposite"]
AB: str = LANGUAGE["ab"]


class Key(NamedTuple):
    """The content of a question, whatever its words; args stand in the order of FIELDS."""

    kind: str
    args: tuple[str, ...]


class Core(NamedTuple):
    """The sentence a right answer holds, where its values stand in it, and the shortest right answer."""

    words: tuple[str, ...]
    slots: tuple[int, ...]
    bare: tuple[str, ...]


def atoms(key: Key) -> tuple[Atom, ...]:
    """What must be held out for this question to be held out."""
    kind, args = key
    match kind:
        case "fact" | "self":
            return (("fact", *args),)
        case "line":
            return ("fact", args[0], args[1]), ("fact", args[0], args[2])
        case "compare":
            return (("pair", *sorted(args[1:])),)
        case "sum" | "count":  # 7 plus 12 would give 12 plus 7 away
            return ((kind, *sorted(args, key=int)),)
        case "reverse":
            words = tuple(args[0].split())
            return (("list", *min(words, words[::-1])),)  # a list and its reverse are each other's answer
        case _:
            first, second = sorted((args[0:3], args[3:6]))
            return (("scene", *first, *second),)


def core(key: Key, facts: Facts) -> Core:
    """The right answer's sentence; a KeyError where this world knows no such thing."""
    kind, args = key
    match kind:
        case "fact":
            return _core(f"the {args[1]} of {who(args[0])} is *{facts.values[args[0]][args[1]]}")
        case "self":
            return _core(f"i am {who(args[0])} and my {args[1]} is *{facts.values[args[0]][args[1]]}")
        case "line":
            entity, attr, other = args
            first, second = facts.values[entity][attr], facts.values[entity][other]
            return _core(f"the {attr} of {who(entity)} is *{first} and the {other} is *{second}")
        case "compare":
            relation, x, y = args
            of_animals = {x in ANIMALS, y in ANIMALS, relation in ("bigger", "smaller")}
            if x == y or len(of_animals) > 1:  # animals are compared by size, people by age
                raise KeyError(key)
            more = relation in ("bigger", "older")
            yes, no = (x, y) if (facts.rank[x] > facts.rank[y]) == more else (y, x)
            first, second = (who(name).replace(name, f"*{name}") for name in (yes, no))
            return _core(f"{first} is {relation} than {second}")._replace(bare=tuple(who(yes).split()))
        case "sum":
            return _core(f"{args[0]} plus {args[1]} is *{int(args[0]) + int(args[1])}")
        case "count":
            a, b = int(args[0]), int(args[1])
            steps = range(a, b + 1) if a < b else range(a, b - 1, -1)
            return _core(f"the numbers from {a} to {b} are " + " ".join(f"*{n}" for n in steps))
        case "reverse":
            backwards = args[0].split()[::-1]
            return _core(f"the reverse of {args[0]} is " + " ".join(f"*{w}" for w in backwards))
        case _:
            p, n, i, q, m, j, item = args
            if item not in (i, j):
                raise KeyError(key)
            person, number = (p, n) if item == i else (q, m)
            return _core(f"*{person} has *{number} {item}")._replace(bare=(person,))


def _core(marked: str) -> Core:
    """A core from its sentence, in which a star marks the values."""
    words = marked.split()
    slots = tuple(at for at, word in enumerate(words) if word.startswith("*"))
    plain = tuple(word.lstrip("*") for word in words)
    return Core(plain, slots, tuple(plain[at] for at in slots))


def second_turns(key: Key, facts: Facts) -> list[Key]:
    """The questions that can follow this one."""
    kind, args = key
    match kind:
        case "fact" | "self":
            return [Key(kind, (args[0], attr)) for attr in facts.values[args[0]] if attr != args[1]]
        case "line":
            return [Key(kind, (args[0], args[2], args[1]))]
        case "compare":
            return [Key(kind, (OPPOSITE[args[0]], *args[1:]))]
        case "sum":
            total = int(args[0]) + int(args[1])
            return [Key(kind, (str(total), str(b))) for b in range(1, min(9, LARGEST - total) + 1)]
        case "count":
            return [Key(kind, args[::-1])]
        case "reverse":
            return [Key(kind, (" ".join(args[0].split()[::-1]),))]
        case _:
            return [Key(kind, (*args[:6], args[5] if args[6] == args[2] else args[2]))]


def phrase(template: str, key: Key) -> str:
    """A paraphrase of a question, in words."""
    fields = dict(zip(FIELDS[key.kind], key.args, strict=True))
    return template.format(**{name: who(value) for name, value in fields.items()})


def ab_question(question: str, a: str, b: str) -> str:
    """The question which of two answers is better; it is answered by one letter, a or b."""
    return AB.format(question=question, a=a, b=b)


def _pattern(template: str) -> re.Pattern[str]:
    """A regular expression that matches what `phrase` writes from a template."""
    # Entities are spelled out: "[a-z]+" would let a question about a thing that no world has pass for one.
    entity = f"(?:the )?(?:{'|'.join((*ANIMALS, *PEOPLE))})"
    special = {"who": entity, "x": entity, "y": entity, "words": "[a-z]+(?: [a-z]+)+"}
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile(
        "".join(
            f"(?P<{part}>{special.get(part, '[a-z0-9]+')})" if at % 2 else re.escape(part)
            for at, part in enumerate(parts)
        )
    )


PATTERNS = [(kind, _pattern(template)) for kind, templates in ASK.items() for template in templates]


def parse(turns: Sequence[str], facts: Facts) -> tuple[Key, ...] | None:
    """The keys of a question of one or two turns; None where it is no question of this world."""
    first, *more = [" ".join(turn.lower().split()) for turn in turns]
    key = next((found for kind, pattern in PATTERNS if (found := _read(kind, pattern, first, facts))), None)
    if key is None or len(more) > 1:
        return None
    if not more:
        return (key,)
    # A second turn means nothing by itself ("and 2 more ?"): all that can follow the first are written out.
    for second in second_turns(key, facts):
        if any(phrase(template, second) == more[0] for template in THEN[second.kind]):
            return key, second
    return None


def _read(kind: str, pattern: re.Pattern[str], text: str, facts: Facts) -> Key | None:
    found = pattern.fullmatch(text)
    if not found:
        return None
    key = Key(kind, tuple(found[name].removeprefix("the ") for name in FIELDS[kind]))
    try:
        core(key, facts)
    except (KeyError, ValueError):  # a thing that this world does not know, or a number that is none
        return None
    return key
