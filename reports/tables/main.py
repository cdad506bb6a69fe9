"""The main table: every method on every benchmark, a mean over questions with its interval."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from reports.records.groups import Groups, Records, grouped
from reports.records.rows import JudgeCheck, Summary
from reports.statistics.bootstrap import DRAW, Draw
from reports.tables import column_notes, columns, pairwise_tests
from reports.tables.judge_quality import noise_notes
from reports.tables.scores import Estimator, less, mean
from reports.tables.table import Row, Table, by_pair, check_row, title


def main_tables(
    records: Records,
    methods: Sequence[str],
    draw: Draw = DRAW,
    summaries: Sequence[Summary] = (),
    checks: Sequence[JudgeCheck] = (),
) -> list[Table]:
    """One table per pair: on each dataset the rows of `methods`, in their order.

    `summaries` add columns that no mean over items gives, `checks` a note on each judge.
    """
    groups = grouped(records)
    asked: dict[tuple[str, str], set[str]] = defaultdict(set)
    for g in groups:
        asked[g.judge, g.benchmark] |= g.questions
    counts = {key: len(questions) for key, questions in asked.items()}
    quality = noise_notes(checks, {g.judge for g in groups}, counts)
    tables = _tables("Results", groups, methods, mean, draw, summaries)
    return [replace(t, notes=t.notes + quality) for t in tables]


def difference_tables(
    records: Records, methods: Sequence[str], baseline: str, draw: Draw = DRAW
) -> list[Table]:
    """The main tables with each cell less that of `baseline`, paired by question; nothing is best."""
    check_row(baseline, methods)
    tables = _tables(f"Differences from {baseline}", grouped(records), methods, less(baseline), draw)
    return [replace(t, columns=tuple(replace(c, best=False) for c in t.columns)) for t in tables]


def _tables(
    what: str,
    groups: Groups,
    methods: Sequence[str],
    estimate: Estimator,
    draw: Draw,
    summaries: Sequence[Summary] = (),
) -> list[Table]:
    tables, marked = [], estimate is mean
    for pair, own in by_pair(groups).items():
        numbers = [s for s in summaries if (s.suite, s.pair) == pair and s.method in methods]
        shown = columns.find(
            [g for g in own if g.method in methods], groups.benchmarks, numbers, groups.lender
        )
        rows = []
        for dataset in sorted({g.dataset for g in own}):
            cells = [columns.cells(c, dataset, methods, estimate, draw) for c in shown]
            if marked:
                cells = [pairwise_tests.mark(c, dataset, by) for c, by in zip(shown, cells, strict=True)]
            rows += [Row(dataset, m, tuple(by_method[m] for by_method in cells)) for m in methods]
        heads = tuple(columns.heading(c, shown) for c in shown)
        notes = (*column_notes.notes(shown, methods, draw), *column_notes.exact_notes(heads, rows))
        if marked:
            notes += pairwise_tests.notes(shown)
        # Rows that are measured but not shown still stand in the folder: say so.
        if hidden := sorted({g.method for g in own} - set(methods)):
            notes += (f"records but no row here: {', '.join(hidden)}",)
        tables.append(Table(title(what, *pair), heads, tuple(rows), notes))
    return [t for t in tables if t.columns]
