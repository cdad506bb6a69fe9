"""Whether each method did what it is for: its own objective, and its win rate beside the Student's.

held out 0.693 -> 0.512, right way yes | WR less Student 8.2 [3.1, 13.2] | paper 8.1 | as the paper
"""

from collections.abc import Iterable, Sequence
from math import fsum

from reports import published
from reports.records.groups import Records, grouped
from reports.records.rows import Training
from reports.statistics.bootstrap import DRAW, Draw
from reports.tables import columns as slots
from reports.tables.columns import Slot
from reports.tables.table import STUDENT, TEACHER, Cell, Column, Row, Table, by_pair, title
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


def direction_tables(
    records: Records,
    training: Iterable[Training],
    methods: Sequence[str],
    draw: Draw = DRAW,
) -> list[Table]:
    """One table per pair that measured objectives on held-out prompts, or win rates."""
    names = [m for m in methods if m not in (TEACHER, STUDENT)]
    measured, trained = by_pair(grouped(records)), by_pair(training)
    tables = []
    for pair in sorted({*measured, *trained}):
        own = [g for g in measured.get(pair, []) if g.method in {*names, STUDENT}]
        runs, wins = trained.get(pair, []), [s for s in slots.find(own) if _is_win_rate(s)]
        table = _table(title("Direction", *pair), names, wins, runs, draw)
        tables += [table] if table.columns else []
    return tables


def _table(what: str, names: list[str], wins: list[Slot], runs: list[Training], draw: Draw) -> Table:
    datasets = sorted({t.dataset for t in runs} | {dataset for s in wins for dataset, _ in s.groups})
    cells: dict[tuple[str, str], tuple[Cell, ...]] = {(d, m): () for d in datasets for m in names}
    columns: tuple[Column, ...] = ()
    notes: tuple[str, ...] = ()

    if any(t.held_after is not None for t in runs):
        columns, notes = OBJECTIVE, (HELD_OUT,)
        for d, m in cells:
            cells[d, m] = _objective([t for t in runs if (t.dataset, t.method) == (d, m)])

    if any(m == STUDENT and g.measured.values for s in wins for (_, m), g in s.groups.items()):
        judges = sorted({s.judge for s in wins})
        of = [{s.reference: s for s in wins if s.judge == judge} for judge in judges]
        columns += _columns(judges)
        notes += tuple(_references_note(j, list(found), names) for j, found in zip(judges, of, strict=True))
        notes += (slots.intervals(wins, draw), PAPER_NOTE, VERDICT_NOTE)
        for d in datasets:
            by_judge = [_less_student(found, d, names, draw) for found in of]
            for m in names:
                ours, paper = [found[m] for found in by_judge], _published(m)
                cells[d, m] += (*ours, Cell(paper), *(Cell(_verdict(cell, paper)) for cell in ours))
    elif wins:
        notes += (NO_STUDENT,)
    return Table(what, columns, tuple(Row(d, m, found) for (d, m), found in cells.items()), notes)


def _is_win_rate(slot: Slot) -> bool:
    return slot.spec.benchmark == "alpaca-eval" and bool(slot.groups)


def _objective(seeds: list[Training]) -> tuple[Cell, ...]:
    """Before, after, and whether it moved the right way on average over the seeds that have both."""
    before, after = held_out(seeds)
    pairs = [
        (t.held_before, t.held_after) for t in seeds if t.held_before is not None and t.held_after is not None
    ]
    if not pairs:
        return before, after, Cell()
    rise = fsum(after - before for before, after in pairs)
    raised = {t.objective for t in seeds} != {"loss"}
    return before, after, Cell("yes" if (rise > 0 if raised else rise < 0) else "NO")


def _columns(judges: list[str]) -> tuple[Column, ...]:
    by = [f" by {judge or 'none'}" if len(judges) > 1 else "" for judge in judges]
    ours = (Column(f"alpaca-eval.win_rate.less_student{b}", f"WR less Student (%){b}", "share") for b in by)
    return (*ours, PAPER, *(Column(f"verdict{b}", f"Verdict{b}", "text") for b in by))


def _reference(method: str, references: Iterable[str]) -> str:
    """The first reference that is not the method itself, where there is one."""
    return min(references, key=lambda reference: (reference == method, reference))


def _references_note(judge: str, references: list[str], names: list[str]) -> str:
    """In words: WR: judge rule, reference ADPA; reference DCKD for ADPA."""
    first = min(references)
    told = f"WR: judge {judge or 'none'}, reference {first}"
    other = _reference(first, references)
    return f"{told}; reference {other} for {first}" if other != first and first in names else told


def _less_student(of: dict[str, Slot], dataset: str, names: list[str], draw: Draw) -> dict[str, Cell]:
    """method -> its win rate less the Student's against the same reference, paired by question."""
    found = {}
    for reference, slot in of.items():
        own = [m for m in names if _reference(m, of) == reference]
        if own:
            cells = slots.cells(slot, dataset, [*own, STUDENT], slots.less(STUDENT), draw)
            found.update({m: cells[m] for m in own})
    return found


def _published(method: str) -> float | None:
    """The paper's win rate less its Student's, 0-1 as ours."""
    table = published.DPO_MIX_7K
    if method not in table:
        return None
    return (table[method].win_rate - table[STUDENT].win_rate) / 100


def _verdict(ours: Cell, paper: float | None) -> str | None:
    if paper is None or not isinstance(ours.value, float):
        return None
    if ours.low is None or ours.high is None or ours.low <= 0 <= ours.high:
        return "cannot be told"
    return "as the paper" if (ours.value > 0) == (paper > 0) else "not as the paper"
