"""The notes under tables of columns: where their numbers come from, and how their intervals are drawn."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from reports.records import replicates
from reports.statistics.bootstrap import Draw
from reports.tables.columns import EXACT, ONE_SEED, TRAININGS, MeasuredColumn, heading, tasks_of
from reports.tables.table import Column, Row


def notes(columns: Sequence[MeasuredColumn], methods: Sequence[str], draw: Draw) -> tuple[str, ...]:
    """Where the values of these columns come from, and how their intervals are drawn."""
    means, summaries = ([c for c in columns if c.is_summary == kind] for kind in (False, True))
    references = [c.source.column.reference_note for c in columns if c.source.reference in methods]
    return (
        *_sources(means),
        *intervals(means, draw),
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


def intervals(columns: Sequence[MeasuredColumn], draw: Draw) -> Iterator[str]:
    """How the intervals of columns are drawn and what they leave out, a line for those that are alike."""
    alike: dict[str, list[str]] = defaultdict(list)
    for column in columns:
        if column.of_datasets:
            alike[_interval(column, draw)].append(heading(column, columns).title)
    for words, titles in alike.items():
        of = f" of {', '.join(titles)}" if len(alike) > 1 else ""
        yield f"intervals{of}: 95 %{words}"


def _interval(column: MeasuredColumn, draw: Draw) -> str:
    runs = [g.replicates for g in column.groups.values()]
    several = set().union(*runs)
    means = f", means over {replicates.listed(several)}," if len(several) > 1 else ""
    if not column.is_known:
        drawn = f"{means} bootstrap over questions, B = {draw.resamples:,}, seed {draw.seed}, paired"
        return f"{drawn}; {'conditional on these checkpoints' if means else ONE_SEED}"
    means = means or ","
    if column.lent_words:
        return f"{means} {TRAININGS}; {column.lent_words}"
    alone = {m: why for scores in column.of_datasets for m, why in scores.unreplicated.items()}
    parts = [f"{means} {TRAININGS}", *unreplicated(alone), f"replicates: {replicates.replicated(runs)}"]
    return "; ".join(parts)


def unreplicated(rows: Mapping[str, str]) -> Iterator[str]:
    """Rows whose training's chance is that of the others, by why."""
    for why in sorted(set(rows.values())):
        yield f"{why}: {', '.join(sorted(m for m in rows if rows[m] == why))}"


def exact_notes(heads: Sequence[Column], rows: Sequence[Row]) -> tuple[str, ...]:
    """Which of a table's columns have intervals that are not drawn."""
    return tuple(f"{h.title}: {EXACT}" for i, h in enumerate(heads) if any(r.cells[i].exact for r in rows))
