"""What training changed in each method's student: its loss, on held-out prompts too, its margin, its weights.

loss 0.693 -> 0.512 | held out 0.693 -> 0.540 | margin -3.10 -> 4.25 nats | weights moved 98.7 % | steps 300
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import fsum

from reports.records.replicates import among
from reports.records.rows import Training
from reports.tables.table import Cell, Column, Table, by_pair, mean, run_tables

COLUMNS = (
    Column("loss_before", "Loss before", "loss"),
    Column("loss_after", "Loss after", "loss"),
    Column("held_before", "Held out before", "loss"),
    Column("held_after", "Held out after", "loss"),
    Column("margin_before", "Margin before", "nats"),
    Column("margin_after", "Margin after", "nats"),
    Column("margin_change", "Margin change", "nats"),
    Column("moved", "Weights moved (%)", "share"),
    Column("steps", "Steps", "count"),
)
NOTE = "loss: each method's own, on a fixed probe of its training set; it compares only within a row"
HELD_OUT = "held out: the method's loss on held-out prompts, or the mean named in a footnote, which it raises"
MARGIN = "margin: log pi(chosen) - log pi(rejected), the mean over held-out pairs, nats"


def training_tables(training: Iterable[Training], methods: Sequence[str]) -> list[Table]:
    """One table per pair, a mean over seeds; terms of a sum and watched means are footnotes, warnings notes.

    Held-out numbers and margins are shown where a run measured them.
    """
    tables = []
    for rows in by_pair(training).values():
        optional = {"held_after": HELD_OUT, "margin_after": MARGIN}
        absent = {name for name in optional if all(getattr(t, name) is None for t in rows)}
        # "held" and "margin" are groups of columns, which a run measures together or not at all.
        groups = tuple(name.partition("_")[0] for name in absent)
        columns = tuple(c for c in COLUMNS if not c.name.startswith(groups))
        shown = (note for name, note in optional.items() if name not in absent)
        notes = (NOTE, *shown, *_warnings(rows, methods))
        tables += run_tables("Training", rows, methods, columns, _others, notes)
    return tables


def held_out(seeds: list[Training]) -> tuple[Cell, Cell]:
    """The objective on held-out prompts before and after, means over seeds; one that is raised says so."""
    raised = sorted({t.objective for t in seeds if t.held_after is not None} - {"loss"})
    notes = tuple(f"held out: the mean {name}, which the method raises" for name in raised)
    return mean(t.held_before for t in seeds), mean((t.held_after for t in seeds), notes)


def _others(seeds: list[Training]) -> dict[str, Cell]:
    """The means over seeds that have footnotes of their own, by the names of their columns."""
    # Terms and watched means differ from method to method, so they are footnotes and no columns.
    loss = mean((t.loss_after for t in seeds), _terms(seeds) + _watched(seeds))
    return {"loss_after": loss, "held_after": held_out(seeds)[1]}


def _terms(seeds: list[Training]) -> tuple[str, ...]:
    """("advantage -0.100 -> -0.310, sft 1.200 -> 0.930",): the terms of a sum."""
    terms = _means(term for t in seeds for term in t.terms)
    return (", ".join(terms),) if len(terms) > 1 else ()


def _watched(seeds: list[Training]) -> tuple[str, ...]:
    """("watched: clipped 0.010 -> 0.630",)."""
    means = _means(watched for t in seeds for watched in t.watched)
    return (f"watched: {', '.join(means)}",) if means else ()


def _means(values: Iterable[tuple[str, float, float]]) -> list[str]:
    """A text for each name: means over seeds of what it was before and after."""
    by_name: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for name, before, after in values:
        by_name[name].append((before, after))
    lines = []
    for name, pairs in sorted(by_name.items()):
        before, after = (fsum(side) / len(pairs) for side in zip(*pairs, strict=True))
        lines.append(f"{name} {before:.3f} -> {after:.3f}")
    return lines


def _warnings(rows: list[Training], methods: Sequence[str]) -> list[str]:
    """In the order of methods; each names its method, with dataset and seed where there are several."""
    replicates, datasets = {t.replicate for t in rows}, {t.dataset for t in rows}
    lines = []
    for t in sorted((t for t in rows if t.method in methods), key=lambda t: (t.dataset, t.replicate)):
        where = [t.dataset] * (len(datasets) > 1) + among(t.replicate, replicates)
        name = f"{t.method} ({', '.join(where)})" if where else t.method
        lines += [(methods.index(t.method), f"{name}: {warning}") for warning in t.warnings]
    return [text for _, text in sorted(lines, key=lambda pair: pair[0])]
