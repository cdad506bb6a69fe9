"""The line under every table: what was lost, changed or seen before on the way to its numbers.

health: rows dropped 2 of 352; judgments unparsed 0 of 160; artifacts recomputed 0
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reports.records.rows import Count
from reports.tables.table import Table

NOT_COUNTED = "health: not counted, the run has no counts.jsonl"


def health(counts: Iterable[Count]) -> str:
    """The sum of each count over steps and data sets, in the order of the rows; a zero is said."""
    sums: dict[str, dict[str, list[int]]] = {}
    for row in counts:
        one = sums.setdefault(row.name, {}).setdefault(row.benchmark, [0, 0])
        one[0], one[1] = one[0] + row.count, one[1] + row.total
    told = [f"{name} {', '.join(_sum(b, *one) for b, one in of.items())}" for name, of in sums.items()]
    return f"health: {'; '.join(told)}" if told else NOT_COUNTED


def _sum(benchmark: str, count: int, total: int) -> str:
    return f"{benchmark} {count:,}".lstrip() + (f" of {total:,}" if total else "")


def with_health(tables: Iterable[Table], counts: Sequence[Count]) -> list[Table]:
    """Tables with the line under each."""
    line = health(counts)
    return [replace(table, notes=(*table.notes, line)) for table in tables]
