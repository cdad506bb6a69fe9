"""Two methods' answers to one question, and what the judge said of them: texts of a run, for the terminal.

my-bench, question 81 (writing), judge gpt-4
turn 1: Compose an engaging travel blog post about ...
--- ADPA, 212 tokens: 7
Aloha! ...
>> The response is engaging ... Rating: [[7]]
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from reports.records.texts import Text

ORDERS = {"": "", "ab": " (shown first)", "ba": " (shown second)"}


def shown(texts: Iterable[Text], methods: Sequence[str], benchmark: str, question: str) -> str:
    """The answers of `methods` to a question of a benchmark, all seeds; ValueError with the nearest name."""
    every = list(texts)
    _known("benchmark", benchmark, {t.benchmark for t in every})
    of = [t for t in every if t.benchmark == benchmark]
    _known("question", question, {t.question for t in of})
    found = [t for t in of if t.question == question]
    for m in methods:
        _known("method", m, {t.method for t in found})
    sets: dict[tuple[str, ...], list[Text]] = {}
    for t in found:
        sets.setdefault((t.pair, t.dataset, t.judge, t.reference), []).append(t)
    return "\n".join(line for _, own in sorted(sets.items()) for line in _set(own, methods))


def _set(found: Sequence[Text], methods: Sequence[str]) -> list[str]:
    """All turns of one benchmark, judge and reference."""
    first = found[0]
    told = [f"{first.benchmark}, question {first.question}"]
    told[0] += f" ({first.category})" if first.category else ""
    told[0] += f", judge {first.judge or 'none'}"
    told[0] += f", against {first.reference}" if first.reference else ""
    told[0] += f"; {first.pair}, {first.dataset}"
    for turn in sorted({t.turn for t in found}):
        of_turn = [t for t in found if t.turn == turn]
        told += ["", f"turn {turn}: {of_turn[0].asked}"]
        if first.reference and first.reference not in methods:
            told += ["", f"--- {first.reference}, the reference", of_turn[0].reference_answer]
        for m in methods:
            for seed in sorted({t.seed for t in of_turn if t.method == m}):
                told += ["", *_side([t for t in of_turn if (t.method, t.seed) == (m, seed)], found)]
    return [*told, ""]


def _side(own: Sequence[Text], found: Sequence[Text]) -> list[str]:
    """One answer, and each verdict on it."""
    first = own[0]
    seed = f", seed {first.seed}" if len({t.seed for t in found}) > 1 else ""
    cut = ", cut at the limit" if first.truncated else ""
    told = [f"--- {first.method}{seed}, {first.tokens:,} tokens{cut}", first.answer or "(an empty answer)"]
    for t in own:
        value = t.status if t.value is None else f"{t.value:g}"
        told.append(f">> {value}{ORDERS[t.order]}{': ' + t.reply if t.reply else ''}")
    return told


def _known(what: str, name: str, there: set[str]) -> None:
    if name not in there:
        near = get_close_matches(name, sorted(there), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(there)[:20])}"
        raise ValueError(f"no {what} {name!r}; {hint}")
