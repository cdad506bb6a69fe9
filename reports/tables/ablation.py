"""The papers' ablations and other readings of a method: tables of a few rows, the full method among them.

    | Method | My bench WR (%) vs full method | Ratings | paper WR (500M / 1.8B / 7B) |
    | ADPA | 50.0 [50.0, 50.0] | 6.25 [5.90, 6.60] | 50.0 / 50.0 / 50.0 |
    | ADPA w/o reference teacher | 41.2 [37.0, 45.4] | 5.80 [5.41, 6.19] | 31.6 / 36.6 / 46.2 |

A row is judged against the full method of its block, as in the paper. Tables are listed
in `ablations.json`, with the columns of the papers.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from reports.records.groups import Groups, Records, grouped
from reports.statistics.bootstrap import DRAW, Draw
from reports.tables import column_notes, columns, pairwise_tests
from reports.tables.columns import MeasuredColumn
from reports.tables.scores import less, mean
from reports.tables.table import Cell, Column, Row, Table, by_pair, title


class Block(NamedTuple):
    """Rows that vary one method, itself among them, and the row whose answers theirs are compared with."""

    full: str
    rows: tuple[str, ...]
    against: str


class Beside(NamedTuple):
    """A column that was not measured here: method -> text, and where it comes from."""

    column: Column
    texts: Mapping[str, str]
    note: str = ""


class Shape(NamedTuple):
    """A table: its measured columns are those of the paper's `numbers`, between `before` and `after`."""

    title: str
    numbers: tuple[str, ...]
    blocks: tuple[Block, ...]
    before: tuple[Beside, ...] = ()
    after: tuple[Beside, ...] = ()


class ShownColumn(NamedTuple):
    """A column, measured or a paper's: (dataset, method) -> cell."""

    column: Column
    cells: Mapping[tuple[str, str], Cell]


WIN_RATE = "win_rate"  # as the benchmarks' columns name what the paper publishes
SHAPES = TypeAdapter(tuple[Shape, ...]).validate_json(Path(__file__).with_name("ablations.json").read_bytes())


def ablation_tables(records: Records, methods: Sequence[str], draw: Draw = DRAW) -> list[Table]:
    """The tables that a run has rows for: two at least, and of each block one that is not the full method."""
    tables, groups = [], grouped(records)
    for pair, own in by_pair(groups).items():
        run = {g.method for g in own} & set(methods)
        for shape in SHAPES:
            measured = [b._replace(rows=tuple(m for m in b.rows if m in run)) for b in shape.blocks]
            blocks = [b for b in measured if set(b.rows) - {b.full}]
            # A full method alone says nothing about what was taken away.
            if sum(len(b.rows) for b in blocks) > 1:
                tables += _tables(shape, blocks, pair, replace(groups, groups=tuple(own)), draw)
    return tables


def _tables(
    shape: Shape, blocks: list[Block], pair: tuple[str, str], groups: Groups, draw: Draw
) -> list[Table]:
    """The table, or none where nothing of it was measured."""
    names = [m for b in blocks for m in b.rows]
    own = [g for g in groups if g.method in names]
    shown = [
        c
        for c in columns.find(own, groups.benchmarks, lender=groups.lender)
        if c.source.publishes("adpa") in shape.numbers
    ]
    win_rates = [c for c in shown if c.source.publishes("adpa") == WIN_RATE]
    others = [c for c in shown if c not in win_rates]
    datasets = sorted({g.dataset for g in own})

    measured = _win_rates(win_rates, blocks, datasets, draw)
    for column in others:
        by_dataset = {d: columns.cells(column, d, names, mean, draw) for d in datasets}
        cells = {(d, m): cell for d, by_method in by_dataset.items() for m, cell in by_method.items()}
        head = columns.heading(column, others)
        measured.append(ShownColumn(head, cells))
        measured += _less_full(head, [(b, column) for b in blocks], datasets, draw)
    if not measured:
        return []

    before, after = (
        [ShownColumn(b.column, {(d, m): Cell(b.texts[m]) for d in datasets for m in names}) for b in side]
        for side in (shape.before, shape.after)
    )
    parts = [*before, *measured, *after]
    rows = tuple(Row(d, m, tuple(p.cells[d, m] for p in parts)) for d in datasets for m in names)
    # Notes name the references that a cell was judged against, not all that the run has.
    judged = [c for c in win_rates if c.source.reference in {b.against for b in blocks}]
    marked = [*others, *(judged if len({b.against for b in blocks}) == 1 else ())]
    heads = tuple(p.column for p in parts)
    notes = [*column_notes.notes([*judged, *others], names, draw), *column_notes.exact_notes(heads, rows)]
    notes += pairwise_tests.notes(marked)
    notes += [b.note for b in shape.after]
    if not win_rates:
        notes.append(f"no WR: the run has no {groups.benchmarks.publishing('adpa', WIN_RATE)}")
    return [Table(title(shape.title, *pair), heads, rows, tuple(notes))]


def _win_rates(
    shown: list[MeasuredColumn], blocks: list[Block], datasets: list[str], draw: Draw
) -> list[ShownColumn]:
    """A column per judge: each block's rows against its own reference; nothing is best across references."""
    references = {b.against for b in blocks}
    versus = blocks[0].against if len(references) == 1 else "full method"
    by_judge: dict[tuple[str, str], dict[str, MeasuredColumn]] = {}
    for c in shown:
        by_judge.setdefault((c.source.benchmark.name, c.source.judge), {})[c.source.reference] = c
    merged = []
    for by_reference in by_judge.values():
        source = next(iter(by_reference.values())).source
        changes = {"title": f"{source.column.title} vs {versus}", "best": len(references) == 1}
        # One column for several references: none of them can stand in its title, and none is best.
        declared = source.column.model_copy(update=changes)
        merged.append(MeasuredColumn(source._replace(column=declared, reference=""), {}))

    parts = []
    for head, by_reference in zip(merged, by_judge.values(), strict=True):
        cells = {}
        for reference in sorted(references):
            names = [m for b in blocks for m in b.rows if b.against == reference]
            for d in datasets:
                own = dict.fromkeys(names, Cell(notes=(f"not judged against {reference}",)))
                if column := by_reference.get(reference):
                    own = columns.cells(column, d, names, mean, draw)
                    own = pairwise_tests.mark(column, d, own) if len(references) == 1 else own
                cells.update({(d, m): cell for m, cell in own.items()})
        own_head = columns.heading(head, merged)
        of_blocks = [(b, column) for b in blocks if (column := by_reference.get(b.against))]
        parts += [ShownColumn(own_head, cells), *_less_full(own_head, of_blocks, datasets, draw)]
    return parts


def _less_full(
    head: Column, of_blocks: list[tuple[Block, MeasuredColumn]], datasets: Sequence[str], draw: Draw
) -> list[ShownColumn]:
    """Each row less its block's full method, where some lack verdicts: then their means do not compare."""
    if not any(column.is_uneven for _, column in of_blocks):
        return []
    cells: dict[tuple[str, str], Cell] = defaultdict(Cell)
    for (block, column), d in product(of_blocks, datasets):
        own = columns.cells(column, d, block.rows, less(block.full), draw)
        cells.update({(d, m): cell for m, cell in own.items()})
    title = f"{head.title}, less full method"
    return [ShownColumn(replace(head, name=f"{head.name}.less_full", title=title, best=False), cells)]
