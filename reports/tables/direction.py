"""Whether each method did what it is for: its own objective, and its win rate beside the Student's.

held out 0.693 -> 0.512, right way yes | WR less Student 8.2 [3.1, 13.2] | paper 8.1 | as the paper
"""

from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from typing import NamedTuple

from reports import published
from reports.records.groups import Records, grouped
from reports.records.rows import Training
from reports.statistics.bootstrap import DRAW, Draw
from reports.tables import column_notes, columns
from reports.tables.columns import MeasuredColumn
from reports.tables.scores import less
from reports.tables.table import STUDENT, Cell, Column, Row, Source, Table, by_pair, is_untrained, title
from reports.tables.training import HELD_OUT, held_out

OBJECTIVE = (
    Column("held_before", "Held out before", "loss"),
    Column("held_after", "Held out after", "loss"),
    Column("right_way", "Right way", "text"),
)
PAPER = Column("published.win_rate.less_student", "paper WR less Student (%)", "share")
PAPER_NOTE = "paper: ADPA's main table, DPO-MIX-7K, WR against ADPA; another judge, other models"
VERDICT_NOTE = "as the paper: the same sign, and our interval excludes 0; cannot be told: it holds 0"
NO_STUDENT = "no WR less Student: the run has no win rate of the Student"


class WinRate(NamedTuple):
    """A benchmark's win rates by one judge, and what tells them from others: " by gpt-4"."""

    by_reference: Mapping[str, MeasuredColumn]
    variant: str

    @property
    def source(self) -> Source:
        """The benchmark and the judge."""
        return next(iter(self.by_reference.values())).source


def direction_tables(
    records: Records,
    training: Iterable[Training],
    methods: Sequence[str],
    draw: Draw = DRAW,
) -> list[Table]:
    """One table per pair that measured objectives on held-out prompts, or win rates."""
    names = [m for m in methods if not is_untrained(m)]
    groups = grouped(records)
    measured, trained = by_pair(groups), by_pair(training)
    tables = []
    for pair in sorted({*measured, *trained}):
        own = [g for g in measured.get(pair, []) if g.method in {*names, STUDENT}]
        shown = [
            c
            for c in columns.find(own, groups.benchmarks, lender=groups.lender)
            if c.source.publishes("adpa") == "win_rate"
        ]
        wins = [c for c in shown if c.groups]
        table = _table(title("Direction", *pair), names, wins, trained.get(pair, []), draw)
        tables += [table] if table.columns else []
    return tables


def _table(
    what: str, names: list[str], wins: list[MeasuredColumn], runs: list[Training], draw: Draw
) -> Table:
    datasets = sorted({t.dataset for t in runs} | {dataset for c in wins for dataset, _ in c.groups})
    cells: dict[tuple[str, str], tuple[Cell, ...]] = {(d, m): () for d in datasets for m in names}
    heads: tuple[Column, ...] = ()
    notes: tuple[str, ...] = ()

    if any(t.held_after is not None for t in runs):
        heads, notes = OBJECTIVE, (HELD_OUT,)
        for d, m in cells:
            cells[d, m] = _objective([t for t in runs if (t.dataset, t.method) == (d, m)])

    if any(m == STUDENT and g.measured.values for c in wins for (_, m), g in c.groups.items()):
        win_rates = _by_judge(wins)
        heads += _columns(win_rates)
        notes += tuple(_references_note(w, names) for w in win_rates)
        notes += (*column_notes.intervals(wins, draw), PAPER_NOTE, VERDICT_NOTE)
        for d in datasets:
            differences = [_less_student(w.by_reference, d, names, draw) for w in win_rates]
            for m in names:
                ours, paper = [by_method[m] for by_method in differences], _published(m)
                cells[d, m] += (*ours, Cell(paper), *(Cell(_verdict(cell, paper)) for cell in ours))
    elif wins:
        notes += (NO_STUDENT,)
    return Table(what, heads, tuple(Row(d, m, own) for (d, m), own in cells.items()), notes)


def _by_judge(wins: list[MeasuredColumn]) -> list[WinRate]:
    """The columns of each benchmark and judge together, told apart by what differs between them."""
    parts: dict[tuple[str, str], dict[str, MeasuredColumn]] = {}
    for c in wins:
        parts.setdefault((c.source.benchmark.name, c.source.judge), {})[c.source.reference] = c
    titles = {c.source.benchmark.name: c.source.benchmark.title for c in wins}
    judges = {judge for _, judge in parts}
    return [
        WinRate(
            own,
            (f" on {titles[benchmark]}" if len(titles) > 1 else "")
            + (f" by {judge or 'none'}" if len(judges) > 1 else ""),
        )
        for (benchmark, judge), own in parts.items()
    ]


def _objective(seeds: list[Training]) -> tuple[Cell, ...]:
    """Before, after, and whether it moved the right way on average over the seeds that have both."""
    before, after = held_out(seeds)
    pairs = [
        (t.held_before, t.held_after) for t in seeds if t.held_before is not None and t.held_after is not None
    ]
    if not pairs:
        return before, after, Cell()
    rise = fsum(after - before for before, after in pairs)
    # A method without a loss on held-out prompts names a mean that training should raise.
    raised = {t.objective for t in seeds} != {"loss"}
    return before, after, Cell("yes" if (rise > 0 if raised else rise < 0) else "NO")


def _columns(win_rates: list[WinRate]) -> tuple[Column, ...]:
    ours = []
    for w in win_rates:
        name = f"{w.source.benchmark.name}.{w.source.column.metric}.less_student{w.variant}"
        ours.append(Column(name, f"WR less Student (%){w.variant}", w.source.column.unit))
    verdicts = (Column(f"verdict{w.variant}", f"Verdict{w.variant}", "text") for w in win_rates)
    return (*ours, PAPER, *verdicts)


def _reference(method: str, references: Iterable[str]) -> str:
    """The first reference that is not the method itself, where there is one."""
    # A row against its own answers is 50 % by definition, so it is taken against another reference.
    return min(references, key=lambda reference: (reference == method, reference))


def _references_note(win_rate: WinRate, names: list[str]) -> str:
    """In words: WR: judge rule, reference ADPA; reference DCKD for ADPA."""
    first = min(win_rate.by_reference)
    note = f"WR: judge {win_rate.source.judge or 'none'}, reference {first}"
    other = _reference(first, win_rate.by_reference)
    return f"{note}; reference {other} for {first}" if other != first and first in names else note


def _less_student(
    by_reference: Mapping[str, MeasuredColumn], dataset: str, names: list[str], draw: Draw
) -> dict[str, Cell]:
    """method -> its win rate less the Student's against the same reference, paired by question."""
    differences = {}
    for reference, column in by_reference.items():
        own = [m for m in names if _reference(m, by_reference) == reference]
        if own:
            cells = columns.cells(column, dataset, [*own, STUDENT], less(STUDENT), draw)
            differences.update({m: cells[m] for m in own})
    return differences


def _published(method: str) -> float | None:
    """The paper's win rate less its Student's, 0-1 as ours."""
    table = published.DPO_MIX_7K
    if method not in table:
        return None
    return (table[method]["win_rate"] - table[STUDENT]["win_rate"]) / 100


def _verdict(ours: Cell, paper: float | None) -> str | None:
    if paper is None or not isinstance(ours.value, float):
        return None
    # Other models and another judge: only the sign can be compared, and only where ours is sure.
    if ours.low is None or ours.high is None or ours.low <= 0 <= ours.high:
        return "cannot be told"
    return "as the paper" if (ours.value > 0) == (paper > 0) else "not as the paper"
