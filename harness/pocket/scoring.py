"""The rule: what any answer is worth, an integer from 1 to 10.

The answer is cut into sentences. Openers, closings and rude words are taken off; what is left are claims, and
the best claim decides most:

    claim                                               points   opener   closing
    the core sentence, word for word                         6       +2        +2
    the bare value ("red")                                   4       +1        +1
    the core with some values right, or its beginning        3       +1        +1
    the core with no value right, or only its frame          2       +1        +1
    none of these, or nothing                                1        0         0

    rude words, anywhere                                    -3
    every sentence said again, every further closing        -1
    every further claim                                     -1
    every further claim that contradicts the core           -1 more

Clipped to 1-10; an empty answer is worth 1. The second turn of a question is read with the first.
"""

import re
from collections.abc import Sequence

from harness.pocket.answers import CLOSINGS, OPENERS, RUDE_CLOSINGS, RUDE_OPENERS
from harness.pocket.facts import Facts
from harness.pocket.questions import Core, core, parse

RIGHT, BARE, PARTIAL, WRONG, NOTHING = 6, 4, 3, 2, 1
BONUS = {RIGHT: 2, BARE: 1, PARTIAL: 1, WRONG: 1, NOTHING: 0}
FRAME = 2  # so many words of the core before its first value make a claim "on topic"


def score(facts: Facts, turns: Sequence[str], answer: str) -> int:
    """The worth of an answer to the last of `turns`; a ValueError where that is no question of this world."""
    keys = parse(turns, facts)
    if keys is None:
        raise ValueError(f"no question of this world: {list(turns)}")
    return grade(core(keys[-1], facts), answer)


def grade(right: Core, answer: str) -> int:
    """The worth of an answer whose right core is known."""
    # A model may write "Red." for "red .": case and spacing are not what is judged.
    text = " ".join(re.findall(r"[a-z0-9]+|[^\sa-z0-9]", answer.lower()))
    opener = next((o for o in OPENERS if f"{text} ".startswith(f"{o} ")), "")
    text = text[len(opener) :].strip()
    text, rude = _without(text, (*RUDE_OPENERS, *RUDE_CLOSINGS))
    sentences = [s for part in re.split(r"[.!?]", text) if (s := tuple(part.split()))]
    closings = {tuple(c.split()[:-1]) for c in CLOSINGS}
    # What is said again costs a point by itself and is not a second claim.
    claims = [s for s in dict.fromkeys(sentences) if s not in closings]
    closed = len([s for s in set(sentences) if s in closings])

    worth = max((_worth(claim, right) for claim in claims), default=NOTHING)
    further = max(len(claims) - 1, 0) + max(closed - 1, 0)
    wrong = sum(_worth(claim, right) in (PARTIAL, WRONG) for claim in claims)
    contradictions = wrong if worth in (RIGHT, BARE) else 0
    # Politeness earns less where the claim is worse, or an evasive answer would beat a bare right one.
    points = worth + BONUS[worth] * (bool(opener) + bool(closed))
    points -= 3 * rude + (len(sentences) - len(set(sentences))) + further + contradictions
    return min(max(points, 1), 10)


def _worth(claim: tuple[str, ...], right: Core) -> int:
    if claim == right.words:
        return RIGHT
    if claim == right.bare:
        return BARE
    first = right.slots[0]  # a beginning counts from the first value on: the frame alone repeats the question
    if len(claim) > first and claim == right.words[: len(claim)]:
        return PARTIAL
    rest = [at for at in range(len(right.words)) if at not in right.slots]
    if len(claim) == len(right.words) and all(claim[at] == right.words[at] for at in rest):
        return PARTIAL if any(claim[at] == right.words[at] for at in right.slots) else WRONG
    return WRONG if first >= FRAME and claim[:first] == right.words[:first] else NOTHING


def _without(text: str, phrases: Sequence[str]) -> tuple[str, bool]:
    """The text with all of these phrases taken out, and whether there were any."""
    kept = f" {text} "
    for words in phrases:
        kept = kept.replace(f" {words.removesuffix(' .')} ", " ")
    return kept.strip(), kept != f" {text} "
