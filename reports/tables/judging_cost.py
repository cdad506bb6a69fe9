"""What judging each row took: calls, tokens and money by benchmark, were nothing of it there before.

my-bench by gpt-4: 160 calls | 131,072 tokens in | 30,118 out | USD 2.22
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import fsum

from reports.records.rows import Judging
from reports.tables.table import Cell, Column, Row, Table, by_pair, title

PARTS = (("calls", "calls"), ("prompt_tokens", "tokens in"), ("completion_tokens", "tokens out"))


def judging_tables(judging: Iterable[Judging], methods: Sequence[str]) -> list[Table]:
    """One table per pair in which an endpoint judged; sums over seeds and references."""
    tables = []
    for pair, rows in by_pair(judging).items():
        # A rule takes no calls: a table of zeros would say nothing.
        asked = [r for r in rows if r.calls]
        keys = sorted({(r.benchmark, r.judge) for r in asked})
        if not keys:
            continue
        columns = [Column(f"{b}.{j}.{name}", f"{b} {word}", "count") for b, j in keys for name, word in PARTS]
        columns.append(Column("usd", "USD", "usd"))
        body = []
        for dataset in sorted({r.dataset for r in rows}):
            for method in methods:
                own = [r for r in asked if (r.dataset, r.method) == (dataset, method)]
                cells = [_sum(own, key, name) for key in keys for name, _ in PARTS]
                body.append(Row(dataset, method, (*cells, _money(own))))
        tables.append(Table(title("Judging", *pair), tuple(columns), tuple(body), _notes(asked)))
    return tables


def _sum(rows: list[Judging], key: tuple[str, str], name: str) -> Cell:
    values = [getattr(r, name) for r in rows if (r.benchmark, r.judge) == key]
    return Cell(float(sum(values))) if values else Cell()


def _money(rows: list[Judging]) -> Cell:
    """The sum of what is priced; a judge without a price is named."""
    priced = [r.usd for r in rows if r.usd is not None]
    unpriced = sorted({r.judge for r in rows if r.usd is None})
    notes = tuple(f"no price of {judge} is known" for judge in unpriced)
    return Cell(fsum(priced) if priced else None, notes=notes)


def _notes(rows: list[Judging]) -> tuple[str, ...]:
    """Who served the replies, and how many of them were repeats."""
    served: dict[str, set[str]] = defaultdict(set)
    for r in sorted(rows, key=lambda r: r.judge):
        served[r.judge].update(r.models)
    again = {judge: sum(r.repeats for r in rows if r.judge == judge) for judge in served}
    return (
        *(f"{judge}: replies of {', '.join(sorted(models))}" for judge, models in served.items() if models),
        *(f"{judge}: {n:,} of its calls asked for a verdict again" for judge, n in again.items() if n),
    )
