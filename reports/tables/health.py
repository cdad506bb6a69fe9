"""The line under every table: what was lost, changed or seen before on the way to its numbers.

health: rows dropped 2 of 352; judgments unparsed 0 of 160; artifacts recomputed 0
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reports.records.groups import Groups
from reports.records.rows import Count
from reports.tables.table import Table

HALF_JUDGED = "questions half-judged"
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


def _sum(count: int, total: int) -> str:
    return f"{count:,}" + (f" of {total:,}" if total else "")


def with_health(tables: Iterable[Table], counts: Sequence[Count], groups: Groups) -> list[Table]:
    """Tables with the line under each."""
    line = health(counts, groups)
    return [replace(table, notes=(*table.notes, line)) for table in tables]
