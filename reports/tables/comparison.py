"""Which method is better, by how much, and is it real: one table per pair, dataset and benchmark column.

    | Method | Mean | less DPO | p | p adj | Rank | Group | MDE |
    | ADPA   | 6.25 | 0.41 [0.12, 0.70] | 0.006 | 0.024 | 1.0 [1.0, 2.0] | a | 0.42 |

Two methods share a letter exactly if their test, adjusted over all pairs, does not tell them apart.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from string import ascii_letters

import numpy as np
import scipy

from reports.records.groups import Records, grouped
from reports.statistics import paired_test
from reports.statistics.bootstrap import DRAW, Bootstrap, Draw, interval
from reports.statistics.paired_test import NO_TEST, Comparison
from reports.statistics.planning import ALPHA
from reports.tables import column_notes, columns
from reports.tables.columns import ONE_SEED, SINGLE, UNKNOWN_CHANCE, cell_notes, heading
from reports.tables.pairwise_tests import UNEVEN, Tested, tested
from reports.tables.table import Cell, Column, Row, Table, by_pair, check_row, title


def comparison_tables(
    records: Records, methods: Sequence[str], baseline: str, draw: Draw = DRAW
) -> list[Table]:
    """One table per pair, dataset and benchmark column, its rows those of `methods`, in their order."""
    check_row(baseline, methods)
    tables = []
    groups = grouped(records)
    for pair, own in by_pair(groups).items():
        shown = columns.find([g for g in own if g.method in methods], groups.benchmarks, lender=groups.lender)
        for dataset in sorted({dataset for column in shown for dataset, _ in column.groups}):
            for column in shown:
                if (tests := tested(column, dataset, methods)) is not None:
                    head, footnotes = heading(column, shown), cell_notes(column, dataset, methods)
                    what = title(f"{head.title}, {dataset}: compared with {baseline}", *pair)
                    tables.append(_table(what, dataset, head, footnotes, baseline, tests, draw))
    return tables


def letters(means: Mapping[str, float], apart: set[frozenset[str]]) -> dict[str, str]:
    """method -> its letters; two share one exactly if they are not a pair of `apart`.

    Insert-and-absorb (Piepho, 2004). "a" holds the highest mean; the order of `means` does not matter.
    """
    order = sorted(means, key=lambda m: (-means[m], m))
    groups = [frozenset(order)]
    for pair in sorted(apart, key=sorted):
        # A group that holds both of a pair that differs is split into one without each.
        split = [
            part for group in groups for part in ([group - {m} for m in pair] if pair <= group else [group])
        ]
        groups = [g for g in dict.fromkeys(split) if not any(g < other for other in split)]
    groups.sort(key=lambda group: sorted(order.index(m) for m in group))
    letters_of: dict[str, str] = dict.fromkeys(means, "")
    for i, group in enumerate(groups):
        for m in group:
            letters_of[m] += ascii_letters[i % 52] + (str(i // 52) if i >= 52 else "")
    return letters_of


def pairwise_summary(tests: Tested, boot: Bootstrap) -> str:
    """How many of all pairs each kind of test tells apart, as one line of a note."""
    counts = [
        f"{sum(p < ALPHA for p in tests.ps.values())} paired",
        f"{sum(p < ALPHA for p in tests.adjusted.values())} paired and adjusted",
    ]
    # Resamples know nothing of trainings: beside tests that do, they would tell more apart than there is.
    if not tests.scores.chance.is_known:
        counts.insert(0, f"{_unpaired(tests, boot)} unpaired")
    return f"of {len(tests.ps)} pairs, differ at p < {ALPHA}: {', '.join(counts)}"


def _unpaired(tests: Tested, boot: Bootstrap) -> int:
    limit = float(scipy.special.ndtri(1 - ALPHA / 2))
    error = dict(zip(boot.methods, np.nanstd(boot.draws, 0), strict=True))
    mean = dict(zip(boot.methods, boot.means, strict=True))
    return sum(abs(mean[a] - mean[b]) > limit * np.hypot(error[a], error[b]) for a, b in tests.ps)


def _table(
    what: str,
    dataset: str,
    column: Column,
    footnotes: Mapping[str, tuple[str, ...]],
    baseline: str,
    tests: Tested,
    draw: Draw,
) -> Table:
    """The table of one column, titled `what`; `footnotes` are those of each method's mean."""
    chance, boot = tests.scores.chance, tests.scores.resampled(draw)
    others = [m for m in chance.sample.methods if m != baseline]
    known = baseline in chance.sample.methods
    less = paired_test.versus(chance, baseline, others, draw) if known else {}
    ps = {(m, baseline): c.p for m, c in less.items() if c.p is not None}
    # Another family than that of the letters: only the tests against the baseline.
    adjusted = {m: p for (m, _), p in paired_test.adjusted(chance, ps, draw.seed).items()}
    ranks = paired_test.ranks(chance, boot, draw.seed)
    means = {m: interval(boot, m) for m in boot.methods}
    apart = {frozenset(pair) for pair, p in tests.adjusted.items() if p < ALPHA}
    groups = letters({m: -rank for m, (rank, *_) in ranks.items()}, apart)

    rows = []
    for m, notes in footnotes.items():
        if m in groups:
            mean = Cell(means[m].value, n=means[m].n, notes=notes)
            against, mde = _against(less.get(m), adjusted.get(m)), less[m].mde if m in less else None
            rows.append(Row(dataset, m, (mean, *against, Cell(*ranks[m]), Cell(groups[m]), Cell(mde))))
        else:
            rows.append(Row(dataset, m, (Cell(notes=notes), *[Cell()] * 6)))
    under = (*_test_notes(tests, less, baseline), *_group_notes(column, tests, boot, draw))
    return Table(what, _columns(column, baseline), tuple(rows), under)


def _columns(column: Column, baseline: str) -> tuple[Column, ...]:
    def part(name: str, head: str) -> Column:
        return replace(column, name=f"{column.name}.{name}", title=head, best=False)

    return (
        part("mean", column.title),
        part("less", f"less {baseline}"),
        Column(f"{column.name}.p", "p", "p"),
        Column(f"{column.name}.p_adjusted", "p adj", "p"),
        Column(f"{column.name}.rank", "Rank", "rank"),  # ties are halves
        Column(f"{column.name}.group", "Group", "text"),
        part("mde", "MDE"),
    )


def _against(c: Comparison | None, adjusted: float | None) -> tuple[Cell, Cell, Cell]:
    if c is None:
        return Cell(), Cell(), Cell()
    notes = (c.test,) if c.test == NO_TEST else ()
    return Cell(c.value, c.low, c.high, c.n, notes), Cell(c.p), Cell(adjusted)


def _test_notes(tests: Tested, less: Mapping[str, Comparison], baseline: str) -> Iterator[str]:
    """Notes on the tests against the baseline, and on what their intervals leave out."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for m, c in less.items():
        kinds[c.test].append(m)
    for test, methods in sorted(kinds.items()):
        yield f"test: {test}{' (' + ', '.join(methods) + ')' if len(kinds) > 1 else ''}"
    chance = tests.scores.chance
    if not chance.is_known:
        why = UNKNOWN_CHANCE if chance.sample.is_replicated else f"{ONE_SEED}; {SINGLE}"
        yield f"bootstrap interval, {why}"
    elif words := tests.scores.lent.words:
        yield f"one run a method; {words}"
    else:
        yield from column_notes.unreplicated(tests.scores.unreplicated)
    if less:
        family = sum(c.p is not None for c in less.values())
        adjusted = f"p adj: {_how(tests)} over {family} tests against {baseline}"
        yield f"differences: over questions that both have; {adjusted}"
        yield "MDE: difference that such a test finds at p < 0.05 with 80 % power"


def _how(tests: Tested) -> str:
    return "step-down minP" if tests.scores.chance.is_known else "Holm"


def _group_notes(column: Column, tests: Tested, boot: Bootstrap, draw: Draw) -> tuple[str, ...]:
    """Notes on what all pairs together say."""
    shared = (UNEVEN,) if tests.scores.is_uneven else ()
    return (
        *shared,
        f"groups: a letter is shared if {_how(tests)} over all {len(tests.ps)} pairs does not tell two apart",
        pairwise_summary(tests, boot),
        f"rank 1 is the highest {column.title}; 95 % interval of the rank over resamples, and over trainings",
        f"resampled: questions within each task, B = {draw.resamples:,}, seed {draw.seed}, shared by methods",
    )
