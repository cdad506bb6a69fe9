"""What each method cost, were it run alone: time, operations and tokens of its training, a mean over seeds.

train (s) 41.2 | train FLOPs 1.2e12 | teacher FLOPs 3.4e12 | tokens 204,800 | padding (%) 0.0 |
positions 141,300 | saved (%) 52.1 | device cpu

Positions are those that training computed; saved is what padded batches would have had more: padding, and
what the sequences of an example begin with alike, which is computed once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reports.records.rows import Cost
from reports.tables.table import Cell, Column, Table, by_pair, mean, run_tables

COLUMNS = (
    Column("train_seconds", "Train (s)", "seconds"),
    Column("train_flops", "Train FLOPs", "flops"),
    Column("teacher_flops", "Teacher FLOPs", "flops"),
    Column("train_tokens", "Tokens", "count"),
    Column("padding_share", "Padding (%)", "share"),
    Column("positions", "Positions", "count"),
    Column("saved_share", "Saved (%)", "share"),
    Column("device", "Device", "text"),
)


def cost_tables(costs: Iterable[Cost], methods: Sequence[str]) -> list[Table]:
    """One table per pair. Seconds are measured, so only they differ between two runs of one suite."""
    tables = run_tables("Cost", (own := list(costs)), methods, COLUMNS, _others)
    notes = [_passes(own_costs) for own_costs in by_pair(own).values()]
    return [replace(t, notes=(*t.notes, *note)) for t, note in zip(tables, notes, strict=True)]


def _passes(costs: Sequence[Cost]) -> tuple[str, ...]:
    """How often teachers ran over training sets: every row of every seed alone, and all together."""
    needed, run = sum(len(c.passes) for c in costs), len(set().union(*(c.passes for c in costs)))
    return (
        (f"teacher passes over training sets: {needed} needed by the rows alone, {run} run",) if run else ()
    )


def _others(seeds: list[Cost]) -> dict[str, Cell]:
    """The cells that are no plain mean over seeds, by the names of their columns."""
    return {
        # 0 where the step that trained did not count them: no result, not a small one.
        "positions": mean(c.positions or None for c in seeds),
        "saved_share": _saved(seeds),
        "device": Cell(", ".join(sorted({c.device for c in seeds}))),
    }


def _saved(seeds: list[Cost]) -> Cell:
    """The share of padded batches' positions that was not computed; models that can't share in footnotes."""
    shares = (1 - c.positions / c.padded_positions if c.padded_positions else None for c in seeds)
    return mean(shares, tuple(sorted({why for c in seeds for why in c.unshared})))
