"""Questions of the pocket world: content keys, their paraphrases, and the way back from text to key.

    Key("fact", ("fox", "colour")) <-> "what is the colour of the fox ?"  core: the colour of the fox is red
    Key("sum", ("12", "7"))        <-> "add 12 and 7 ."                   core: 12 plus 7 is 19

Every kind has several paraphrases of an opening question and of a second turn, which makes sense only after
the first ("and what is the food ?", "now add 2 ."). The core is the sentence a right answer holds; it has the
form of the pretraining text.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from harness.pocket.facts import ANIMALS, LARGEST, PEOPLE, Atom, Facts, who

CATEGORIES = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")

FIELDS = {
    "fact": ("who", "attr"),
    "self": ("who", "attr"),
    "line": ("who", "attr", "other"),
    "compare": ("relation", "x", "y"),
    "sum": ("a", "b"),
    "count": ("a", "b"),
    "reverse": ("words",),
    "scene": ("p", "n", "i", "q", "m", "j", "item"),
}
ASK = {
    "fact": (
        "what is the {attr} of {who} ?",
        "tell me the {attr} of {who} .",
        "do you know the {attr} of {who} ?",
        "please name the {attr} of {who} .",
    ),
    "self": (
        "you are {who} . what is your {attr} ?",
        "play the part of {who} and tell me your {attr} .",
        "imagine you are {who} . name your {attr} .",
        "speak as {who} . what is your {attr} ?",
    ),
    "line": (
        "write a line about the {attr} and the {other} of {who} .",
        "compose a sentence on the {attr} and the {other} of {who} .",
        "please describe the {attr} and the {other} of {who} .",
        "put the {attr} and the {other} of {who} in a sentence .",
    ),
    "compare": (
        "which one is {relation} , {x} or {y} ?",
        "tell me which one is {relation} , {x} or {y} .",
        "think of {x} and {y} . which one is {relation} ?",
        "of {x} and {y} , name the {relation} one .",
    ),
    "sum": (
        "what is {a} plus {b} ?",
        "add {a} and {b} .",
        "how much is {a} plus {b} ?",
        "please find the sum of {a} and {b} .",
    ),
    "count": (
        "list the numbers from {a} to {b} .",
        "count from {a} to {b} .",
        "print each number from {a} to {b} .",
    ),
    "reverse": (
        "reverse the list {words} .",
        "print the list {words} in reverse .",
        "turn around the list {words} .",
    ),
    "scene": (
        "{p} has {n} {i} and {q} has {m} {j} . who has the {item} ?",
        "read this . {p} has {n} {i} and {q} has {m} {j} . find the {item} .",
        "{p} has {n} {i} and {q} has {m} {j} . tell me about the {item} .",
    ),
}
THEN = {
    "fact": ("and what is the {attr} ?", "now tell me the {attr} .", "what about the {attr} ?"),
    "self": ("and what is your {attr} ?", "now name your {attr} .", "what about your {attr} ?"),
    "line": ("now in the other order .", "please swap the two parts ."),
    "compare": ("and which one is {relation} ?", "now name the {relation} one ."),
    "sum": ("now add {b} .", "and {b} more ?"),
    "count": ("now in reverse order .", "please turn it around ."),
    "reverse": ("now in reverse order .", "please turn it around ."),
    "scene": ("and who has the {item} ?", "what about the {item} ?"),
}
OPPOSITE = {"bigger": "smaller", "smaller": "bigger", "older": "younger", "younger": "older"}
AB = "question : {question} answer a : {a} answer b : {b} which is better , a or b ?"


class Key(NamedTuple):
    """The content of a question, whatever its words; args stand in the order of FIELDS."""

    kind: str
    args: tuple[str, ...]


class Core(NamedTuple):
    """The sentence a right answer holds, where its values stand in it, and the shortest right answer."""

    words: tuple[str, ...]
    slots: tuple[int, ...]
    bare: tuple[str, ...]


def category(key: Key) -> str:
    """Which of MT-Bench's eight categories a question belongs to."""
    if key.kind == "fact":
        return "stem" if key.args[0] in ANIMALS else "humanities"
    names = {
        "self": "roleplay",
        "line": "writing",
        "compare": "reasoning",
        "sum": "math",
        "scene": "extraction",
    }
    return names.get(key.kind, "coding")


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
        case "sum" | "count":
            return ((kind, *sorted(args, key=int)),)
        case "reverse":
            words = tuple(args[0].split())
            return (("list", *min(words, words[::-1])),)
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
            if (
                (x in ANIMALS) != (y in ANIMALS)
                or x == y
                or (x in ANIMALS) != (relation in ("bigger", "smaller"))
            ):
                raise KeyError(key)
            more = relation in ("bigger", "older")
            yes, no = (x, y) if (facts.rank[x] > facts.rank[y]) == more else (y, x)
            sentence = f"{who(yes)} is {relation} than {who(no)}".replace(yes, f"*{yes}").replace(
                no, f"*{no}"
            )
            return _core(sentence)._replace(bare=tuple(who(yes).split()))
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
