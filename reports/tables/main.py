"""The main table: every method on every benchmark, a mean over questions with its interval."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from reports.records.groups import Records, grouped
from reports.records.rows import JudgeCheck, Summary
from reports.statistics.bootstrap import DRAW, Draw
from reports.tables import columns as slots
from reports.tables import pairwise_tests, summary_columns
from reports.tables.columns import Estimator
from reports.tables.judge_quality import noise_notes
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
    tables = _tables("Results", groups, methods, slots.mean, draw, summaries, marked=True)
    asked: dict[tuple[str, str], set[str]] = defaultdict(set)
    for g in groups:
        asked[g.judge, g.benchmark] |= g.questions
    counts = {of: len(questions) for of, questions in asked.items()}
    notes = noise_notes(checks, {g.judge for g in groups}, counts)
    return [replace(t, notes=t.notes + notes) for t in tables]


def difference_tables(
    records: Records, methods: Sequence[str], baseline: str, draw: Draw = DRAW
) -> list[Table]:
    """The main tables with each cell less that of `baseline`, paired by question; nothing is best."""
    check_row(baseline, methods)
    tables = _tables(f"Differences from {baseline}", records, methods, slots.less(baseline), draw)
    return [replace(t, columns=tuple(replace(c, best=False) for c in t.columns)) for t in tables]


def _tables(
    what: str,
    records: Records,
    methods: Sequence[str],
    estimate: Estimator,
    draw: Draw,
    summaries: Sequence[Summary] = (),
    marked: bool = False,
) -> list[Table]:
    tables = []
    for pair, groups in by_pair(grouped(records)).items():
        shown = slots.find([g for g in groups if g.method in methods])
        added = summary_columns.find(
            [s for s in summaries if (s.suite, s.pair) == pair and s.method in methods]
        )
        found = []
        for dataset in sorted({g.dataset for g in groups}):
            cells = [slots.cells(slot, dataset, methods, estimate, draw) for slot in shown]
            if marked:
                cells = [
                    pairwise_tests.mark(slot, dataset, of) for slot, of in zip(shown, cells, strict=True)
                ]
            for m in methods:
                more = tuple(summary_columns.cell(slot, dataset, m) for slot in added)
                found.append(Row(dataset, m, tuple(of_slot[m] for of_slot in cells) + more))
        columns = tuple(slots.column(slot, shown) for slot in shown)
        columns += tuple(summary_columns.column(slot, added) for slot in added)
        notes = slots.notes(shown, methods, draw) + summary_columns.notes(added)
        if marked:
            notes += pairwise_tests.notes(
                shown, [summary_columns.column(slot, added).title for slot in added]
            )
        if hidden := sorted({g.method for g in groups} - set(methods)):
            notes += (f"records but no row here: {', '.join(hidden)}",)
        tables.append(Table(title(what, *pair), columns, tuple(found), notes))
    return [t for t in tables if t.columns]
