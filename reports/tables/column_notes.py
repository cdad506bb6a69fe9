"""The notes under tables of columns: where their numbers come from, and how their intervals are drawn."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from reports.records import replicates
from reports.statistics.bootstrap import Draw, Replicate
from reports.tables.columns import EXACT, OF_ONE_RUN, ONE_SEED, TRAININGS, MeasuredColumn, heading, tasks_of
from reports.tables.table import Column, Row


def notes(columns: Sequence[MeasuredColumn], methods: Sequence[str], draw: Draw) -> tuple[str, ...]:
    """Where the values of these columns come from, and how their intervals are drawn."""
    means, summaries = ([c for c in columns if c.is_summary == kind] for kind in (False, True))
    references = [c.source.column.reference_note for c in columns if c.source.reference in methods]
    return (
        *_sources(means),
        intervals(means, draw),
        *dict.fromkeys(filter(None, references)),
        *_sources(summaries),
    )


def _sources(columns: Sequence[MeasuredColumn]) -> Iterator[str]:
    """A line for each column that has anything to say: judge, reference, tasks, its own note."""
    for column in columns:
        _, spec, judge, reference = column.source
        parts = [f"{k} {v}" for k, v in (("judge", judge), ("reference", reference)) if v]
        if tasks := tasks_of(column):
            average = "unweighted mean over " if len(tasks) > 1 else ""
            parts += [f"{average}{', '.join(tasks)}", *(["in percent"] if spec.unit == "share" else [])]
        if parts := [*parts, *filter(None, [spec.note])]:
            yield f"{heading(column, columns).title}: {', '.join(parts)}"


def intervals(columns: Sequence[MeasuredColumn], draw: Draw) -> str:
    """How the intervals of these columns are drawn, and what they leave out."""
    runs: dict[str, set[Replicate]] = defaultdict(set)
    for g in (g for column in columns for g in column.groups.values()):
        runs[g.method] |= g.replicates
    untrained = frozenset().union(*(column.untrained for column in columns))
    single = sorted(m for m, own in runs.items() if len(own) < 2 and m not in untrained)
    everybody = set().union(*runs.values())
    kind = f"95 % bootstrap over questions, B = {draw.resamples:,}, seed {draw.seed}, paired"
    # Merged runs may be of one seed each, which is another in each: no row was replicated.
    if not any(column.is_replicated for column in columns):
        lenders = {c: words for c in columns if (words := c.lent_words)}
        drawn = f"intervals: {kind}; {ONE_SEED}"
        if not lenders:
            return drawn
        rest = "" if len(lenders) == len(columns) else f"; of the others, {drawn}"
        titles = ", ".join(heading(c, columns).title for c in lenders)
        return f"intervals of {titles}: 95 %, {TRAININGS}; {'; '.join(dict.fromkeys(lenders.values()))}{rest}"
    rest = f"; {OF_ONE_RUN}: {', '.join(single)}" if single else ""
    levels = f"replicates: {replicates.replicated(runs.values())}"
    return f"intervals: 95 %, means over {replicates.listed(everybody)}, {TRAININGS}{rest}; {levels}"


def exact_notes(heads: Sequence[Column], rows: Sequence[Row]) -> tuple[str, ...]:
    """Which of a table's columns have intervals that are not drawn."""
    return tuple(f"{h.title}: {EXACT}" for i, h in enumerate(heads) if any(r.cells[i].exact for r in rows))
