"""The papers' ablations and other readings of a method: tables of a few rows, the full method among them.

    | Method | AlpacaEval WR (%) vs full method | MT-Bench | paper WR (500M / 1.8B / 7B) |
    | ADPA | 50.0 [50.0, 50.0] | 6.25 [5.90, 6.60] | 50.0 / 50.0 / 50.0 |
    | ADPA w/o reference teacher | 41.2 [37.0, 45.4] | 5.80 [5.41, 6.19] | 31.6 / 36.6 / 46.2 |

A row is judged against the full method of its block, as in the paper. Papers' columns are of `published.py`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from reports import published
from reports.records.groups import Group, Records, grouped
from reports.statistics.bootstrap import DRAW, Draw
from reports.tables import columns as slots
from reports.tables import pairwise_tests
from reports.tables.columns import Slot
from reports.tables.table import Cell, Column, Row, Table, by_pair, title


class Block(NamedTuple):
    """Rows that vary one method, itself among them, and the row whose answers theirs are compared with."""

    full: str
    rows: tuple[str, ...]
    against: str = "ADPA"


class Beside(NamedTuple):
    """A column that was not measured here: method -> text, and where it comes from."""

    column: Column
    texts: Mapping[str, str]
    note: str = ""


class Shape(NamedTuple):
    """A table: `before` and `after` stand beside its measured columns."""

    title: str
    blocks: tuple[Block, ...]
    benchmarks: tuple[str, ...] = ("alpaca-eval", "mt-bench")
    before: tuple[Beside, ...] = ()
    after: tuple[Beside, ...] = ()


class Part(NamedTuple):
    """A measured column: (dataset, method) -> cell."""

    column: Column
    cells: Mapping[tuple[str, str], Cell]


PAPER_WR = Column("published.win_rate", "paper WR (%)", "text")
PAPER_WRS = Column("published.win_rates", f"paper WR ({' / '.join(published.STUDENTS)})", "text")
COMPLEXITY = Column("complexity", "Samples for the best next action", "text")
SHAPES = (
    Shape(
        "Ablation",
        (
            Block("DCKD", ("DCKD", "DCKD w/o DPO teacher", "DCKD w/o dispreferred"), "DCKD"),
            Block("ADPA", ("ADPA", "ADPA w/o reference teacher")),
        ),
        after=(
            Beside(
                PAPER_WRS,
                {m: " / ".join(str(a.win_rate) for a in row) for m, row in published.ABLATION.items()},
                "paper WR: percent against the full method, ADPA's Table 2, DPO-MIX-7K, three students",
            ),
        ),
    ),
    Shape(
        "Reward granularity",
        (Block("ADPA", ("DPPO[sequence]", "DPPO[token]", "ADPA")),),
        ("alpaca-eval",),
        before=(Beside(COMPLEXITY, {m: row.complexity for m, row in published.GRANULARITY.items()}),),
        after=(
            Beside(
                PAPER_WR,
                {m: str(row.win_rate) for m, row in published.GRANULARITY.items()},
                "paper WR and complexity: ADPA's Table 3",
            ),
        ),
    ),
    Shape(
        "Q-variants",
        (Block("ADPA", ("Q-argmax KD", "Q-softmax KD", "ADPA")),),
        ("alpaca-eval",),
        after=(
            Beside(
                PAPER_WR,
                {m: str(win_rate) for m, win_rate in published.Q_VARIANTS.items()},
                "paper WR: slides of ADPA's paper",
            ),
        ),
    ),
    Shape(
        "State sources",
        (Block("ADPA", ("ADPA[chosen]", "ADPA[rejected]", "ADPA[teacher_rollout]", "ADPA")),),
    ),
    Shape("Support", (Block("ADPA", ("ADPA[top-5]", "ADPA[top-20]", "ADPA[top-50]", "ADPA")),)),
    Shape("Teacher scores", (Block("PAD", ("PAD[selection]", "PAD[likelihood]", "PAD")),)),
    Shape("Decomposing strategy", (Block("PAD", ("PAD", "PAD[2x2]", "PAD[3x4]")),)),
    Shape(
        "As released",
        (
            Block("ADPA", ("ADPA", "ADPA[release]")),
            Block("SimPO", ("SimPO", "SimPO[release]", "SimPO[PAD]")),
            Block("DDPO", ("DDPO", "DDPO[unscaled]", "DDPO[zephyr]", "DDPO[teacher_vs_student]")),
            Block("DPKD", ("DPKD", "DPKD[token]")),
            Block("PAD", ("PAD", "PAD[VPD]", "PAD[release]")),
        ),
    ),
)


def ablation_tables(records: Records, methods: Sequence[str], draw: Draw = DRAW) -> list[Table]:
    """The tables that a run has rows for: two at least, and of each block one that is not the full method."""
    tables = []
    for pair, groups in by_pair(grouped(records)).items():
        run = {g.method for g in groups} & set(methods)
        for shape in SHAPES:
            own = [b._replace(rows=tuple(m for m in b.rows if m in run)) for b in shape.blocks]
            blocks = [b for b in own if set(b.rows) - {b.full}]
            if sum(len(b.rows) for b in blocks) > 1:
                tables += _tables(shape, blocks, pair, groups, draw)
    return tables


def _tables(
    shape: Shape, blocks: list[Block], pair: tuple[str, str], groups: list[Group], draw: Draw
) -> list[Table]:
    """The table, or none where nothing of it was measured."""
    names = [m for b in blocks for m in b.rows]
    own = [g for g in groups if g.method in names]
    found = [s for s in slots.find(own) if s.spec.benchmark in shape.benchmarks]
    win_rates = [s for s in found if s.spec.benchmark == "alpaca-eval"]
    others = [s for s in found if s.spec.benchmark != "alpaca-eval"]
    datasets = sorted({g.dataset for g in own})

    parts = _win_rates(win_rates, blocks, datasets, draw)
    for slot in others:
        cells = {
            (d, m): c for d in datasets for m, c in slots.cells(slot, d, names, slots.mean, draw).items()
        }
        parts.append(Part(slots.column(slot, others), cells))
    if not parts:
        return []

    rows = []
    for d in datasets:
        for m in names:
            before, after = (tuple(Cell(b.texts[m]) for b in side) for side in (shape.before, shape.after))
            rows.append(Row(d, m, (*before, *(p.cells[d, m] for p in parts), *after)))
    columns = (
        *(b.column for b in shape.before),
        *(p.column for p in parts),
        *(b.column for b in shape.after),
    )
    judged = [s for s in win_rates if s.reference in {b.against for b in blocks}]
    marked = [*others, *(judged if len({b.against for b in blocks}) == 1 else ())]
    notes = [*slots.notes([*judged, *others], names, draw), *pairwise_tests.notes(marked)]
    notes += [b.note for b in shape.after]
    if not win_rates:
        notes.append("no WR: the run has no AlpacaEval")
    return [Table(title(shape.title, *pair), columns, tuple(rows), tuple(notes))]


def _win_rates(found: list[Slot], blocks: list[Block], datasets: list[str], draw: Draw) -> list[Part]:
    """A column per judge: each block's rows against its own reference; nothing is best across references."""
    references = {b.against for b in blocks}
    versus = blocks[0].against if len(references) == 1 else "full method"
    columns = {}
    for s in found:
        spec = s.spec._replace(title=f"{s.spec.title} vs {versus}", best=len(references) == 1)
        columns[s.judge] = Slot(spec, s.judge, "", {}, [])
    of = {(s.judge, s.reference): s for s in found}

    parts = []
    for judge, column in sorted(columns.items()):
        cells = {}
        for reference in sorted(references):
            names = [m for b in blocks for m in b.rows if b.against == reference]
            slot = of.get((judge, reference))
            for d in datasets:
                without = dict.fromkeys(names, Cell(notes=(f"not judged against {reference}",)))
                told = slots.cells(slot, d, names, slots.mean, draw) if slot else without
                if slot and column.spec.best:
                    told = pairwise_tests.mark(slot, d, told)
                cells.update({(d, m): cell for m, cell in told.items()})
        parts.append(Part(slots.column(column, list(columns.values())), cells))
    return parts
