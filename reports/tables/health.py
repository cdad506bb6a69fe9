"""The line under every table: what was lost, changed or seen before on the way to its numbers; and another
where a training exploded or a model's answers collapsed.

health: rows dropped 2 of 352; judgments unparsed 0 of 160; artifacts recomputed 0
collapsed: my-bench answers of DPPO (100% repeat themselves)
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reports.records.groups import Groups
from reports.records.rows import Count
from reports.tables.table import Table

HALF_JUDGED = "questions half-judged"
COLLAPSED, EXPLODED = "sets of answers that collapsed", "trainings that exploded"
VERDICTS = {EXPLODED: "exploded", COLLAPSED: "collapsed"}
MOST_TOLD = 5  # steps that a line names
NOT = "not counted"
NOT_COUNTED = f"health: {NOT}, the run has no counts.jsonl"


def health(counts: Sequence[Count], groups: Groups) -> str:
    """The sum of each count over steps and data sets, in the order of the rows; a zero is said."""
    if not counts:
        return NOT_COUNTED
    sums: dict[str, dict[str, list[int]]] = {}
    for row in counts:
        one = sums.setdefault(row.name, {}).setdefault(row.benchmark, [0, 0])
        one[0], one[1] = one[0] + (row.count or 0), one[1] + row.total
    # No step knows of it: it is what the tables leave out of the verdicts that there are.
    compared = [g for g in groups if g.declared.both_orders(g.metric)]
    half = sum(g.measured.half_judged for g in compared), sum(g.asked for g in compared)
    sums[HALF_JUDGED] = {"": list(half)}
    unknown = {(row.name, row.benchmark) for row in counts if row.count is None}
    told = []
    for name, of in sums.items():
        parts = (f"{b} {NOT if (name, b) in unknown else _sum(*one)}".lstrip() for b, one in of.items())
        told.append(f"{name} {', '.join(parts)}")
    return f"health: {'; '.join(told)}"


def sick(counts: Sequence[Count]) -> list[str]:
    """A line each for the trainings that exploded and the answers that collapsed, by the steps' labels."""
    lines = []
    for name, word in VERDICTS.items():
        found: dict[str, list[str]] = {}
        for row in counts:
            if row.name == name and row.count:
                found.setdefault(row.label, []).append(row.note)
        told = [f"{label} ({'; '.join(dict.fromkeys(notes))})" for label, notes in found.items()]
        more = f", and {len(told) - MOST_TOLD} more: counts.jsonl" if len(told) > MOST_TOLD else ""
        if told:
            lines.append(f"{word}: {', '.join(told[:MOST_TOLD])}{more}")
    return lines


def _sum(count: int, total: int) -> str:
    return f"{count:,}" + (f" of {total:,}" if total else "")


def with_health(tables: Iterable[Table], counts: Sequence[Count], groups: Groups) -> list[Table]:
    """Tables with the lines under each."""
    lines = health(counts, groups), *sick(counts)
    return [replace(table, notes=(*table.notes, *lines)) for table in tables]
