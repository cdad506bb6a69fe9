"""Columns of a benchmark's numbers, before they are a table: which rows each reads, and its cells.

    mean      over what was judged: scores.py
    summary   what a benchmark's own way of adding up says of a row, a mean over seeds

Two judges, or two references, make two columns. The interval of a summary is the one that was drawn with it
(clustered by question, refitted where a model was fitted), so it is there for one seed only.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import fsum

from reports.records import replicates
from reports.records.benchmarks import DEFAULT, Benchmark, BenchmarkColumn, Benchmarks
from reports.records.groups import Group, Lender
from reports.records.rows import Record, Summary
from reports.statistics import shares
from reports.statistics.bootstrap import Draw, Estimate, Replicate
from reports.statistics.variance import Variation
from reports.tables.lending import lend
from reports.tables.scores import NOTHING, Estimator, Lent, Scores, Z, scored, untrained
from reports.tables.table import Cell, Column, Source

ONE_SEED = "conditional on this checkpoint"
EXACT = "exact intervals (Clopper-Pearson) of right and wrong answers, and where wins or losses are few"
TRAININGS = "over trainings and questions, the methods' variances between trainings moderated by each other"
UNKNOWN_CHANCE = (
    "nothing says how far trainings lie apart: their chance is in no interval, and nothing is marked"
)
SINGLE = (
    "one run a method: the difference between two trainings of the same method is not in these intervals, "
    "and nothing is marked"
)


@dataclass(frozen=True, eq=False)
class MeasuredColumn:
    """A column with what it reads: (dataset, method) -> its group, and records that say why there is none; or
    summaries of its judge and reference, and the groups of the judgments `behind` them.
    """

    source: Source
    groups: dict[tuple[str, str], Group]
    reasons: Sequence[Record] = ()
    summaries: Sequence[Summary] = ()
    behind: Mapping[tuple[str, str], Group] = field(default_factory=dict)
    lender: Lender | None = None

    @property
    def is_summary(self) -> bool:
        """Whether its numbers are not means over questions: nothing about them can be tested."""
        return self.source.column.aggregate == "summary"

    @property
    def is_share(self) -> bool:
        """Whether its numbers are shares, 0-1."""
        return self.source.column.unit == "share"

    def scores(self, dataset: str, methods: Sequence[str]) -> Scores:
        """What these rows are measured by on a dataset, whichever table shows it.

        Rows that a table does not show tell as much of how far trainings lie apart as those that it does.
        """
        own = {m: g for m in methods if (g := self.groups.get((dataset, m)))}
        others = {m: g for (d, m), g in self.groups.items() if d == dataset and m not in own}
        return self._scored(dataset, own, self._scored(dataset, others).varied if others else ())

    def _scored(self, dataset: str, own: Mapping[str, Group], borrowed: Sequence[Variation] = ()) -> Scores:
        tasks, lent = self.source.benchmark.tasks, self._lent.get(dataset, NOTHING)
        return scored(own, tasks, self.is_share, self.source.reference, borrowed, lent, self.untrained)

    @property
    def lent_words(self) -> str:
        """Whence its chance of training is taken, "" where it has none but its own; of each dataset where
        they differ.
        """
        words = {dataset: lent.words for dataset, lent in self._lent.items() if lent.words}
        told = dict.fromkeys(words.values())
        return "; ".join(told if len(told) < 2 else (f"on {d}: {own}" for d, own in words.items()))

    @cached_property
    def is_known(self) -> bool:
        """Whether anything says how far two trainings of its rows lie apart, on any dataset."""
        return any(scores.chance.is_known for scores in self.of_datasets)

    @property
    def untrained(self) -> frozenset[str]:
        """The rows that are one model though no replicates show it."""
        return untrained(self.groups.values())

    @cached_property
    def _lent(self) -> dict[str, Lent]:
        """What the lender says by dataset; of a column with replicates of its own nothing is asked."""
        if self.lender is None or self.is_replicated:
            return {}
        pairs = {dataset: g.pair for (dataset, _), g in self.groups.items()}
        return {d: lend(self.lender, self.source, pair, d) for d, pair in pairs.items()}

    @property
    def is_replicated(self) -> bool:
        """Whether any of its rows was trained more than once."""
        return any(g.is_replicated for g in self.groups.values())

    @property
    def is_uneven(self) -> bool:
        """Whether some of its rows on a dataset have values of other questions or turns than others."""
        return any(scores.is_uneven for scores in self.of_datasets)

    @cached_property
    def of_datasets(self) -> list[Scores]:
        """All of its rows on each dataset, where any has a mean."""
        datasets = {dataset: [m for d, m in self.groups if d == dataset] for dataset, _ in self.groups}
        found = (self.scores(dataset, methods) for dataset, methods in datasets.items())
        return [scores for scores in found if scores.values]


def find(
    groups: Iterable[Group],
    benchmarks: Benchmarks = DEFAULT,
    summaries: Iterable[Summary] = (),
    lender: Lender | None = None,
) -> list[MeasuredColumn]:
    """The columns that a pair has groups or summaries for: means, of these the best first, then summaries."""
    by_benchmark: dict[str, list[Group]] = defaultdict(list)
    for g in groups:
        by_benchmark[g.benchmark].append(g)
    numbers: dict[str, list[Summary]] = defaultdict(list)
    for s in summaries:
        numbers[s.benchmark].append(s)
    columns: list[MeasuredColumn] = []
    for benchmark in benchmarks:
        for column in benchmark.columns:
            if column.aggregate == "mean":
                columns += _means(benchmark, column, by_benchmark[benchmark.name], lender)
            else:
                own = by_benchmark[benchmark.name]
                columns += _summaries(benchmark, column, numbers[benchmark.name], own)
    # Stable: within each kind the order is that of `benchmarks.json`.
    return sorted(columns, key=lambda c: (c.is_summary, not c.source.column.best))


def _means(
    benchmark: Benchmark, column: BenchmarkColumn, groups: list[Group], lender: Lender | None
) -> Iterator[MeasuredColumn]:
    """A column for each judge and reference; a reason that names none of them is for all."""
    reasons = [r for g in groups for r in g.reasons]
    variants: dict[tuple[str, str], dict[tuple[str, str], Group]] = defaultdict(dict)
    for g in groups:
        if g.metric == column.metric and g.records:
            variants[g.judge, g.reference][g.dataset, g.method] = g
    # A column with reasons alone is shown too: that a result could not be had is a result.
    for r in reasons:
        if r.metric in ("", column.metric) and not any(_is_for(r, *variant) for variant in variants):
            variants[r.judge, r.reference] = {}
    for (judge, reference), own in sorted(variants.items(), key=lambda variant: variant[0]):
        why = [r for r in reasons if _is_for(r, judge, reference)]
        yield MeasuredColumn(Source(benchmark, column, judge, reference), own, why, lender=lender)


def _is_for(reason: Record, judge: str, reference: str) -> bool:
    return reason.judge in ("", judge) and reason.reference in ("", reference)


def _summaries(
    benchmark: Benchmark, column: BenchmarkColumn, summaries: list[Summary], groups: list[Group]
) -> Iterator[MeasuredColumn]:
    """A column for each judge and reference; of its parts, where no row has the whole."""
    for part in _parts(benchmark, column, {s.metric for s in summaries}):
        for variant in sorted({(s.judge, s.reference) for s in summaries if s.metric == part.metric}):
            own = [s for s in summaries if (s.judge, s.reference) == variant]
            judged = (column.judged or column.metric, *variant)
            behind = {(g.dataset, g.method): g for g in groups if (g.metric, g.judge, g.reference) == judged}
            yield MeasuredColumn(Source(benchmark, part, *variant), {}, summaries=own, behind=behind)


def _parts(benchmark: Benchmark, column: BenchmarkColumn, metrics: set[str]) -> list[BenchmarkColumn]:
    if column.metric in metrics or not column.parts:
        return [column]
    tasks = {m: m.removeprefix(column.parts) for m in sorted(metrics) if m.startswith(column.parts)}
    titles = benchmark.tasks.titles if benchmark.tasks else {}
    return [
        column.model_copy(update={"metric": metric, "title": titles.get(task, task), "count": ""})
        for metric, task in tasks.items()
    ]


def cells(
    column: MeasuredColumn, dataset: str, methods: Sequence[str], estimate: Estimator, draw: Draw
) -> dict[str, Cell]:
    """method -> its cell. Methods that lack a task have none: means over different tasks do not compare."""
    if column.is_summary:
        return {m: _summary_cell(column, dataset, m) for m in methods}
    scores = column.scores(dataset, methods)
    estimates = estimate(scores, draw) if scores.values else {}
    footnotes = cell_notes(column, dataset, methods)
    return {
        m: _cell(estimates[m], footnotes[m]) if m in estimates else Cell(notes=footnotes[m]) for m in methods
    }


def _cell(estimate: Estimate, notes: tuple[str, ...]) -> Cell:
    value, low, high, n, exact = estimate
    return Cell(value, low, high, n, notes, exact=exact)


def _summary_cell(column: MeasuredColumn, dataset: str, method: str) -> Cell:
    """The mean over seeds, with the interval of the only seed, the flags that any seed has, and what of the
    judgments behind it has no verdict.
    """
    benchmark, spec, *_ = column.source
    by_run: dict[Replicate, dict[str, float]] = defaultdict(dict)
    for s in column.summaries:
        if (s.dataset, s.method) == (dataset, method):
            by_run[s.replicate][s.metric] = s.value
    # A benchmark leaves a number out where it can't be had: a seed without it is not in the mean.
    seeds = [numbers for numbers in by_run.values() if spec.metric in numbers]
    group = column.behind.get((dataset, method))
    told = _told(group) if group else ()
    if not seeds:
        return Cell(notes=told)
    value = fsum(numbers[spec.metric] for numbers in seeds) / len(seeds)
    count = int(sum(numbers.get(spec.count, 0) for numbers in seeds))
    # Bounds of several seeds do not average to the bounds of their mean.
    low, high = map(seeds[0].get, spec.bounds) if spec.bounds and len(seeds) == 1 else (None, None)
    flags = (note for flag, note in benchmark.flags.items() if any(numbers.get(flag) for numbers in seeds))
    estimate = Estimate(value, low, high, count)
    if column.is_share and count and low is not None and high is not None:
        spread = ((high - low) / 2 / Z) ** 2
        estimate = shares.share_interval(estimate, spread, count, shares.FRACTIONS)
    return _cell(estimate, (*told, *flags))


def _told(group: Group) -> tuple[str, ...]:
    """How many of its records have no value, by their status, and how many bear which mark; its half-judged
    questions; and of how many the judge named a place, where these are the most: they leave 50 %, and an
    interval that may have no width.
    """
    told = [*sorted(group.lost.items()), *sorted(group.marked.items())]
    half, (led, both) = group.measured.half_judged, group.led_by_position
    return (
        *(f"{count} of {len(group.records)} {what}" for what, count in told),
        *([f"{half} of {group.asked} questions half-judged, in no number"] if half else []),
        *([f"led by position in {led} of {both} questions asked in both orders"] if 2 * led > both else []),
    )


def cell_notes(column: MeasuredColumn, dataset: str, methods: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What each cell lacks: values by their status, seeds and tasks that other rows have, and the reasons
    given; and what is to be told of those that it has.
    """
    groups = {m: g for m in methods if (g := column.groups.get((dataset, m)))}
    scores = column.scores(dataset, methods)
    everybody = set().union(*(g.replicates for g in groups.values()))
    footnotes = {}
    for m in methods:
        notes, own = list[str](), set[Replicate]()
        if m in groups:
            own = set(scores.runs.get(m, groups[m].measured.runs))
            notes += _told(groups[m])
        # A mean over fewer seeds is another mean.
        if own and own != everybody:
            notes.append(replicates.fewer(own, everybody))
        reasons = [r for r in column.reasons if (r.dataset, r.method) == (dataset, m)]
        notes += sorted({r.status for r in reasons if r.replicate not in own})
        if m in scores.lacks:
            notes.append(f"no average without {', '.join(scores.lacks[m])}")
        footnotes[m] = tuple(notes)
    return footnotes


def heading(column: MeasuredColumn, columns: Sequence[MeasuredColumn]) -> Column:
    """Titled as declared or by its only task; by judge and reference too where they tell columns apart."""
    benchmark, spec, judge, reference = column.source
    # A title says only what tells it from the others that are shown.
    siblings = [c.source for c in columns if (c.source.benchmark, c.source.column) == (benchmark, spec)]
    variant = ""
    if len({s.reference for s in siblings}) > 1:
        variant += f" vs {reference or 'none'}"
    if len({s.judge for s in siblings}) > 1:
        variant += f" by {judge or 'none'}"
    title = spec.title
    # A mean over one task is that task: calling it the whole benchmark would mislead.
    if benchmark.tasks and len(tasks := tasks_of(column)) == 1:
        title = benchmark.tasks.titles.get(tasks[0], tasks[0])
    return Column(
        f"{benchmark.name}.{spec.metric}{variant}", title + variant, spec.unit, spec.best, column.source
    )


def tasks_of(column: MeasuredColumn) -> list[str]:
    """The tasks that its values are of, where its benchmark averages over tasks."""
    tasks = column.source.benchmark.tasks
    return sorted({tasks.task(s) for g in column.groups.values() for s in g.strata}) if tasks else []
