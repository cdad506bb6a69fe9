"""Two methods' answers to one question, and what the judge said of them: texts of a run, for the terminal.

my-bench, question 81 (writing), judge gpt-4
turn 1: Compose an engaging travel blog post about ...
--- ADPA, 212 tokens: 7
Aloha! ...
>> The response is engaging ... Rating: [[7]]
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from reports import escapes
from reports.records.replicates import among
from reports.records.texts import Text

# A judge may favour a place, so each verdict says where the row's answer stood.
ORDERS = {"": "", "ab": " (shown first)", "ba": " (shown second)"}


def shown(texts: Iterable[Text], methods: Sequence[str], benchmark: str, question: str) -> str:
    """The answers of `methods` to a question of a benchmark, all seeds; ValueError with the nearest name."""
    verdicts = list(texts)
    _known("benchmark", benchmark, {t.benchmark for t in verdicts})
    judged = [t for t in verdicts if t.benchmark == benchmark]
    _known("question", question, {t.question for t in judged})
    asked = [t for t in judged if t.question == question]
    for m in methods:
        _known("method", m, {t.method for t in asked})
    sets: dict[tuple[str, ...], list[Text]] = {}
    for t in asked:
        sets.setdefault((t.pair, t.dataset, t.judge, t.reference), []).append(t)
    lines = (line for _, asked in sorted(sets.items()) for line in _set(asked, methods))
    return escapes.visible("\n".join(lines))


def _set(verdicts: Sequence[Text], methods: Sequence[str]) -> list[str]:
    """All turns of one benchmark, judge and reference."""
    first = verdicts[0]
    lines = [f"{first.benchmark}, question {first.question}"]
    lines[0] += f" ({first.category})" if first.category else ""
    lines[0] += f", judge {first.judge or 'none'}"
    lines[0] += f", against {first.reference}" if first.reference else ""
    lines[0] += f"; {first.pair}, {first.dataset}"
    for turn in sorted({t.turn for t in verdicts}):
        in_turn = [t for t in verdicts if t.turn == turn]
        lines += ["", f"turn {turn}: {in_turn[0].asked}"]
        if first.reference and first.reference not in methods:
            lines += _references(in_turn)
        for m in methods:
            own = [t for t in in_turn if t.method == m]
            for replicate in sorted({t.replicate for t in own}):
                lines += ["", *_side([t for t in own if t.replicate == replicate], verdicts)]
    return [*lines, ""]


def _references(verdicts: Sequence[Text]) -> list[str]:
    """What rows were compared with in a turn: each run with its own, where these are not one answer."""
    answers = {t.replicate: t.reference_answer for t in verdicts}
    if len(set(answers.values())) == 1:
        answers = dict([answers.popitem()])
    lines = []
    for replicate, answer in sorted(answers.items()):
        name = ", ".join([verdicts[0].reference, *among(replicate, answers)])
        lines += ["", f"--- {name}, the reference", answer]
    return lines


def _side(own: Sequence[Text], verdicts: Sequence[Text]) -> list[str]:
    """One answer, and each verdict on it."""
    first = own[0]
    name = ", ".join([first.method, *among(first.replicate, {t.replicate for t in verdicts})])
    cut = ", cut at the limit" if first.truncated else ""
    lines = [f"--- {name}, {first.tokens:,} tokens{cut}", first.answer or "(an empty answer)"]
    for t in own:
        value = t.status if t.value is None else f"{t.value:g}"
        lines.append(f">> {value}{ORDERS[t.order]}{': ' + t.reply if t.reply else ''}")
    return lines


def _known(what: str, name: str, known: set[str]) -> None:
    if name not in known:
        near = get_close_matches(name, sorted(known), 1)
        # A benchmark has up to some thousand questions: the first twenty show how they are called.
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(known)[:20])}"
        raise ValueError(f"no {what} {name!r}; {hint}")
