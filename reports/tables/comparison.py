"""Which method is better, by how much, and is it real: one table per pair, dataset and benchmark column.

    | Method | Mean | less DPO | p | p Holm | Rank | Group | MDE |
    | ADPA   | 6.25 | 0.41 [0.12, 0.70] | 0.006 | 0.024 | 1.0 [1.0, 2.0] | a | 0.42 |

Two methods share a letter exactly if their test, Holm-adjusted over all pairs, does not tell them apart.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from string import ascii_letters

import numpy as np
import scipy

from reports.records.groups import Records, grouped
from reports.statistics import paired_test
from reports.statistics.bootstrap import DRAW, Bootstrap, Draw, bootstrap, interval
from reports.statistics.paired_test import NO_TEST, Comparison, holm
from reports.tables import columns
from reports.tables.columns import ONE_SEED, Slot, cell_notes
from reports.tables.pairwise_tests import ALPHA, Tested, tested
from reports.tables.table import Cell, Column, Row, Table, by_pair, check_row, title


def comparison_tables(
    records: Records, methods: Sequence[str], baseline: str, draw: Draw = DRAW
) -> list[Table]:
    """One table per pair, dataset and benchmark column, its rows those of `methods`, in their order."""
    check_row(baseline, methods)
    tables = []
    for pair, groups in by_pair(grouped(records)).items():
        shown = columns.find([g for g in groups if g.method in methods])
        for dataset in sorted({dataset for slot in shown for dataset, _ in slot.groups}):
            for slot in shown:
                if (found := tested(slot, dataset, methods)) is not None:
                    column = columns.column(slot, shown)
                    what = title(f"{column.title}, {dataset}: compared with {baseline}", *pair)
                    tables.append(_table(what, column, slot, dataset, methods, baseline, found, draw))
    return tables


def letters(means: Mapping[str, float], apart: set[frozenset[str]]) -> dict[str, str]:
    """method -> its letters; two share one exactly if they are not a pair of `apart`.

    Insert-and-absorb (Piepho, 2004). "a" holds the highest mean; the order of `means` does not matter.
    """
    order = sorted(means, key=lambda m: (-means[m], m))
    groups = [frozenset(order)]
    for pair in sorted(apart, key=sorted):
        split = [
            part for group in groups for part in ([group - {m} for m in pair] if pair <= group else [group])
        ]
        groups = [g for g in dict.fromkeys(split) if not any(g < other for other in split)]
    groups.sort(key=lambda group: sorted(order.index(m) for m in group))
    found: dict[str, str] = dict.fromkeys(means, "")
    for i, group in enumerate(groups):
        for m in group:
            found[m] += ascii_letters[i % 52] + (str(i // 52) if i >= 52 else "")
    return found


def pairwise_summary(found: Tested, boot: Bootstrap) -> str:
    """How many of all pairs each kind of test tells apart, as one line of a note."""
    limit = float(scipy.special.ndtri(1 - ALPHA / 2))
    error = dict(zip(boot.methods, np.nanstd(boot.draws, 0), strict=True))
    mean = dict(zip(boot.methods, boot.means, strict=True))
    counts = (
        f"{sum(abs(mean[a] - mean[b]) > limit * np.hypot(error[a], error[b]) for a, b in found.ps)} unpaired",
        f"{sum(p < ALPHA for p in found.ps.values())} paired",
        f"{sum(p < ALPHA for p in found.adjusted.values())} paired and Holm-adjusted",
    )
    return f"of {len(found.ps)} pairs, differ at p < {ALPHA}: {', '.join(counts)}"


def _table(
    what: str,
    column: Column,
    slot: Slot,
    dataset: str,
    methods: Sequence[str],
    baseline: str,
    found: Tested,
    draw: Draw,
) -> Table:
    sample = found.sample
    boot = bootstrap(found.values, draw.seed, draw.resamples, sample.given)
    others = [m for m in sample.methods if m != baseline]
    there = baseline in sample.methods
    less = paired_test.versus(sample, baseline, others, draw) if there else {}
    ps = {m: c.p for m, c in less.items() if c.p is not None}
    adjusted = dict(zip(ps, holm(ps.values()), strict=True))
    ranks = paired_test.ranks(sample, boot, draw.seed)
    means = {m: interval(boot, m).value for m in boot.methods}
    apart = {frozenset(pair) for pair, p in found.adjusted.items() if p < ALPHA}
    groups = letters(means, apart)

    rows = []
    for m, notes in cell_notes(slot, dataset, methods).items():
        if m not in groups:
            if m in found.lacks:
                notes += (f"no average without {', '.join(found.lacks[m])}",)
            rows.append(Row(dataset, m, (Cell(notes=notes), *[Cell()] * 6)))
            continue
        mean = Cell(means[m], n=interval(boot, m).n, notes=notes)
        rest = (Cell(*ranks[m]), Cell(groups[m]))
        rows.append(
            Row(dataset, m, (mean, *_against(less.get(m), adjusted.get(m)), *rest, _mde(less.get(m))))
        )
    return Table(
        what,
        _columns(column, baseline),
        tuple(rows),
        _notes(column, found, less, len(ps), baseline, boot, draw),
    )


def _columns(column: Column, baseline: str) -> tuple[Column, ...]:
    def named(name: str, head: str) -> Column:
        return Column(f"{column.name}.{name}", head, column.unit)

    return (
        named("mean", column.title),
        named("less", f"less {baseline}"),
        Column(f"{column.name}.p", "p", "p"),
        Column(f"{column.name}.p_holm", "p Holm", "p"),
        Column(f"{column.name}.rank", "Rank", "rank"),  # ties are halves
        Column(f"{column.name}.group", "Group", "text"),
        named("mde", "MDE"),
    )


def _against(c: Comparison | None, adjusted: float | None) -> tuple[Cell, Cell, Cell]:
    if c is None:
        return Cell(), Cell(), Cell()
    return (
        Cell(c.value, c.low, c.high, c.n, (c.test,) if c.test == NO_TEST else ()),
        Cell(c.p),
        Cell(adjusted),
    )


def _mde(c: Comparison | None) -> Cell:
    return Cell(None if c is None else c.mde)


def _notes(
    column: Column,
    found: Tested,
    less: Mapping[str, Comparison],
    tests: int,
    baseline: str,
    boot: Bootstrap,
    draw: Draw,
) -> tuple[str, ...]:
    """What the tests, families and intervals of a table are, and what they leave out."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for m, c in less.items():
        kinds[c.test].append(m)
    several = len(kinds) > 1
    told = [
        f"test: {test}{' (' + ', '.join(of) + ')' if several else ''}" for test, of in sorted(kinds.items())
    ]
    if any(test.startswith(paired_test.TWO_LEVEL) for test in kinds):
        told.append(
            "two-level: chance of seeds and of questions; p by Banerjee's bound, stricter than the interval"
        )
    single = [m for m, s in zip(found.sample.methods, found.sample.seeds, strict=True) if len(s) < 2]
    if single:
        whose = "" if len(single) == len(found.sample.methods) else f" (one seed: {', '.join(single)})"
        told.append(f"bootstrap interval, {ONE_SEED}{whose}")
    if less:
        told.append(
            f"differences: over questions that both have; p Holm: family of {tests} tests against {baseline}"
        )
        told.append("MDE: difference that such a test finds at p < 0.05 with 80 % power")
    told += [
        f"groups: two methods share a letter if Holm over all {len(found.ps)} pairs does not tell them apart",
        pairwise_summary(found, boot),
        f"rank 1 is the highest {column.title}; 95 % interval of the rank over resamples, and over seeds",
        f"resampled: questions within each task, B = {draw.resamples:,}, seed {draw.seed}, shared by methods",
    ]
    return tuple(told)
