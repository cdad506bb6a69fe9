"""What training changed in each method's student: its loss, its margin, its weights.

loss 0.693 -> 0.512 | margin -3.10 -> 4.25 nats | weights moved 98.7 % | steps 300
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import fsum

from reports.records import Training
from reports.table import Cell, Column, Table, mean, run_tables

COLUMNS = (
    Column("loss_before", "Loss before", "loss"),
    Column("loss_after", "Loss after", "loss"),
    Column("margin_before", "Margin before", "nats"),
    Column("margin_after", "Margin after", "nats"),
    Column("margin_change", "Margin change", "nats"),
    Column("moved", "Weights moved (%)", "share"),
    Column("steps", "Steps", "count"),
)
NOTE = "loss: each method's own, on a fixed probe of its training set; it compares only within a row"
MARGIN = "margin: log pi(chosen) - log pi(rejected), the mean over held-out pairs, nats"


def training_tables(training: Iterable[Training], methods: Sequence[str]) -> list[Table]:
    """One table per pair, a mean over seeds; the terms of a loss of several stand in a footnote.

    Margins are shown where a run measured them on held-out pairs.
    """
    rows = list(training)
    measured = any(t.margin_after is not None for t in rows)
    kept = [i for i, column in enumerate(COLUMNS) if measured or not column.name.startswith("margin")]
    columns = tuple(COLUMNS[i] for i in kept)
    notes = (NOTE, MARGIN) if measured else (NOTE,)

    def cells(seeds: list[Training]) -> tuple[Cell, ...]:
        every = _cells(seeds)
        return tuple(every[i] for i in kept)

    return run_tables("Training", rows, methods, columns, cells, notes)


def _cells(seeds: list[Training]) -> tuple[Cell, ...]:
    after = mean(t.loss_after for t in seeds)
    return (
        mean(t.loss_before for t in seeds),
        Cell(after.value, notes=after.notes + _terms(seeds)),
        mean(t.margin_before for t in seeds),
        mean(t.margin_after for t in seeds),
        mean(_change(t) for t in seeds),
        mean(t.moved for t in seeds),
        mean(t.steps for t in seeds),
    )


def _change(t: Training) -> float | None:
    if t.margin_before is None or t.margin_after is None:
        return None
    return t.margin_after - t.margin_before


def _terms(seeds: list[Training]) -> tuple[str, ...]:
    """("advantage -0.100 -> -0.310, sft 1.200 -> 0.930",): means over seeds of the terms of a sum."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for t in seeds:
        for name, before, after in t.terms:
            found[name].append((before, after))
    told = []
    for name, pairs in sorted(found.items()):
        before, after = (fsum(side) / len(pairs) for side in zip(*pairs, strict=True))
        told.append(f"{name} {before:.3f} -> {after:.3f}")
    return (", ".join(told),) if len(told) > 1 else ()
