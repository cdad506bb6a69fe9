"""A verdict in words: who leads, on how many replicates, what was gained, at what cost, what is not judged.

    ADPA leads on My bench (3.77). On Other nothing tells the 13 methods and the Student apart. 3 seeds of
      the last stage, base models not replicated.
    ADPA is above the Student by 1.20 [0.90, 1.50] on My bench (92 % of the Teacher's gap).
    Training, with the teacher's work: ADPA 6.4e10 FLOPs, 7.1 times those of DPO.

Whom the words call above is above by a claim of facts.py; "the highest score" is of means, and no claim.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from textwrap import TextWrapper

from reports import escapes
from reports.records.benchmarks import Unit
from reports.render import WIDTH, number
from reports.tables.table import STUDENT, is_untrained
from reports.verdict.facts import Gain, Spent, Standing, Top, Unjudged, Verdict

NAMED = 3  # of a longer list of rows
NO_CHANCE = "nothing says how far trainings lie apart"
NO_CLAIM = "which {} is better cannot be said from one training each"


def paragraphs(verdicts: Sequence[Verdict]) -> list[str]:
    """A paragraph for each pair and dataset, which it begins with where there are several; its lines say how
    all stand, what was gained, at what cost, and what is not compared.
    """
    suites, pairs, sets = ({getattr(v, part) for v in verdicts} for part in ("suite", "pair", "dataset"))
    told = []
    for v in verdicts:
        of = [v.pair] * (len(pairs) > 1) + [v.dataset] * (len(sets) > 1)
        of = [v.suite] * (len(suites) > 1) + of
        if lines := [" ".join(map(_begun, line)) for line in _lines(v) if line]:
            told.append("\n".join([f"{', '.join(of)}: {lines[0]}" if of else lines[0], *lines[1:]]))
    return told


def to_terminal(told: Iterable[str], width: int = WIDTH) -> str:
    """Paragraphs with an empty line after each; what is left of a line that is too long is set in."""
    wrap = TextWrapper(width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return "".join(
        "".join(f"{wrap.fill(escapes.row(line))}\n" for line in p.split("\n")) + "\n" for p in told
    )


def _lines(verdict: Verdict) -> Iterator[list[str]]:
    """The sentences of each line."""
    yield list(_standings(verdict))
    yield list(_gains(verdict.standings))
    yield [_cost(verdict.spent)] if verdict.spent else []
    yield list(_not_compared(verdict))


def _begun(sentence: str) -> str:
    """A sentence that begins with a method begins as its name does."""
    return f"T{sentence[1:]}" if sentence.startswith("the ") else sentence


def _standings(verdict: Verdict) -> Iterator[str]:
    if not verdict.methods:
        yield "No method was measured, only the models that methods start from."
    rivals = [s for s in verdict.standings if len(s.rows) > 1]
    several, single = ([s for s in rivals if s.is_single == kind] for kind in (False, True))
    yield from _heads(several)
    if replicates := "; ".join(_replicates(verdict, several)):
        yield f"{replicates}."
    yield from _single(single, verdict.is_trained, any(s.is_lent for s in several))
    yield from _alone([s for s in verdict.standings if len(s.rows) < 2])


def _not_compared(verdict: Verdict) -> Iterator[str]:
    if verdict.untested:
        yield f"No test compares {_joined(map(_plain, verdict.untested))}: the numbers are in the table."
    if verdict.unjudged:
        yield _not_judged(verdict.unjudged)


def _heads(standings: Sequence[Standing]) -> Iterator[str]:
    """Who leads where first, then who has the highest score, then where nothing is told apart."""
    leads: dict[str, list[str]] = defaultdict(list)
    highest: dict[tuple[tuple[str, ...], str], list[str]] = defaultdict(list)
    unknown: dict[tuple[str, ...], list[str]] = defaultdict(list)
    equal: dict[str, list[str]] = defaultdict(list)
    for s in standings:
        if s.leads:
            leads[s.tops[0].row].append(_on(s))
        elif s.of_checkpoints:
            unknown[tuple(t.row for t in s.tops)].append(_on(s) if s.tops else _plain(s.title))
        elif not s.apart:
            equal[_apart(s.rows)].append(_plain(s.title))
        elif s.tops:
            highest[tuple(t.row for t in s.tops), _whom(s)].append(_on(s))
    if leads:
        yield "; ".join(f"{_name(m)} leads on {_joined(on)}" for m, on in leads.items()) + "."
    for (tops, whom), on in highest.items():
        yield f"{_have(tops)} the highest score on {_joined(on)}, {whom}."
    for s in standings:
        if s.apart and not s.tops:
            yield f"On {_plain(s.title)} no row is above or beside all others, as some lack verdicts."
    for names, on in unknown.items():
        best = f"{_have(names)} the highest score on" if names else "On"
        yield f"{best} {_joined(on)}{', where' if names else ''} {NO_CHANCE}."
    for rows, on in equal.items():
        yield f"On {_joined(on)} nothing tells {rows}."


def _apart(rows: Sequence[str]) -> str:
    """Rows that nothing tells apart, as the end of a sentence."""
    if len(rows) == 2:
        return " from ".join(map(_name, sorted(rows)))
    if len(rows) <= NAMED + 1:
        return f"{_some(sorted(rows))} apart"
    methods = sum(not is_untrained(row) for row in rows)
    students = ("", " and the Student", " and the Students")[min(len(rows) - methods, 2)]
    return f"the {methods} methods{students} apart"


def _whom(s: Standing) -> str:
    """Of those with the highest score: whom they are above, and whom they are not told from."""
    told = [f"not told from {_some(s.untold)}"] if s.untold else []
    if 0 < len(s.untold) <= NAMED + 1 < len(s.above):
        told.append("above all others")
    elif s.above:
        told.append(f"above {_some(dict.fromkeys(c.other for c in s.above))}")
    return _joined(told)


def _single(standings: Sequence[Standing], is_trained: bool, is_told: bool) -> Iterator[str]:
    """What is known of one training each: whose checkpoint has the highest score, and nothing more."""
    highest: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for s in standings:
        if s.tops:
            highest[tuple(t.row for t in s.tops)].append(_on(s))
    if highest:
        (first, on), *others = highest.items()
        told = [f"{_have(first)} the highest score on {_joined(on)}"]
        told += [f"{_some(rows)} on {_joined(titles)}" for rows, titles in others]
        noun, one = ("method", "One run a method:") if is_trained else ("model", "One checkpoint a model:")
        yield f"{'Without it' if is_told else one} {', '.join(told)}; {NO_CLAIM.format(noun)}."


def _alone(standings: Sequence[Standing]) -> Iterator[str]:
    columns: dict[str, list[str]] = defaultdict(list)
    for s in standings:
        columns[s.rows[0]].append(_on(s))
    for row, on in columns.items():
        yield f"{_name(row)} alone was judged on {_joined(on)}."


def _replicates(verdict: Verdict, several: Sequence[Standing]) -> Iterator[str]:
    lent, own = ([s for s in several if s.is_lent == kind] for kind in (True, False))
    if own and verdict.replicates:
        yield verdict.replicates
    for why in dict.fromkeys(verdict.single.values()):
        yield f"{why}: {_some(m for m, own in verdict.single.items() if own == why)}"
    if lent:
        one = f"on {_joined(_plain(s.title) for s in lent)} one" if own else "One"
        yield f"{one} run a method, its training's chance taken from another run's"


def _gains(standings: Sequence[Standing]) -> Iterator[str]:
    """How far those that are above any other row are above the Student."""
    told: dict[str, list[str]] = defaultdict(list)
    untold: dict[str, list[str]] = defaultdict(list)
    for s in (s for s in standings if s.apart):
        for gain in s.gains:
            on = f"{_difference(gain, s.unit)} on {_plain(s.title)}"
            if gain.claim:
                told[gain.row].append(f"by {on}{_gap(gain)}")
            else:
                untold[gain.row].append(on)
    for m, by in told.items():
        yield f"{m} is above the Student {_joined(by)}."
    for m, by in untold.items():
        yield f"Over all pairs {m} is not told from the Student: {_joined(by)}."


def _difference(gain: Gain, unit: Unit) -> str:
    points = " points" * (unit == "share")
    if gain.low is None or gain.high is None:
        return number(gain.value, unit) + points
    return f"{number(gain.value, unit)}{points} [{number(gain.low, unit)}, {number(gain.high, unit)}]"


def _gap(gain: Gain) -> str:
    if not gain.gap:
        return ""
    if gain.gap.beyond:
        return " (above the Teacher)"
    return f" ({100 * gain.gap.closed:.0f} % of the Teacher's gap)"


def _cost(spent: Sequence[Spent]) -> str:
    least, fewest = spent[0].least, spent[0].least_flops
    parts = []
    for s in spent:
        times = "the fewest" if s.row == least else f"{s.flops / fewest:.1f} times those of {least}"
        parts.append(f"{s.row} {number(s.flops, 'flops')} FLOPs, {times}")
    return f"Training, with the teacher's work: {'; '.join(parts)}."


def _not_judged(unjudged: Sequence[Unjudged]) -> str:
    """Rows and columns that lack one reason together."""
    columns: dict[tuple[str, str], list[str]] = defaultdict(list)
    for u in unjudged:
        columns[u.row, u.why].append(_plain(u.title))
    rows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (row, why), titles in columns.items():
        rows[_joined(titles), why].append(row)
    told = [f"{_some(own)} on {titles}{f' ({why})' if why else ''}" for (titles, why), own in rows.items()]
    return f"Not judged: {'; '.join(told)}."


def _on(s: Standing) -> str:
    """A column's title with the values of its tops."""
    return f"{_plain(s.title)} ({_values(s)})"


def _values(s: Standing) -> str:
    values = _joined(dict.fromkeys(_value(t, s.unit) for t in s.tops))
    given = [t.row for t in s.tops if t.given]
    if not given:
        return values
    if len(s.tops) > 1:
        return f"{values}, by definition for {given[0]}, the reference"
    return f"{values} by definition, the reference"


def _value(top: Top, unit: Unit) -> str:
    return number(top.value, unit) + " %" * (unit == "share")


def _plain(title: str) -> str:
    """A column's title in a sentence, where values have their unit."""
    return title.replace(" (%)", "")


def _have(rows: Sequence[str]) -> str:
    return f"{_some(rows)} {'has' if len(rows) == 1 else 'have'}"


def _some(rows: Iterable[str]) -> str:
    """The first of a list of rows, and how many more there are."""
    names = [_name(m) for m in rows]
    if len(names) <= NAMED + 1:
        return _joined(names)
    return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} others"


def _name(row: str) -> str:
    return "the Student" if row == STUDENT else row


def _joined(parts: Iterable[str]) -> str:
    *rest, last = parts
    return f"{', '.join(rest)} and {last}" if rest else last
