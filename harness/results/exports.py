"""A run's answers and judgments in the files of the benchmarks' own tools, for those tools to read.

exports/mt-bench/...    exports/alpaca-eval-2/...    as each benchmark's `export` writes them
exports/manifest.json   what is there (manifest.py)
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.declaration import JudgedAnswers
from harness.common.text import file_name, same_on_some_disk
from harness.plan.measurements import Cell
from harness.plan.plan import Plan
from harness.results import manifest
from harness.results.judging import JudgedRow
from harness.results.manifest import ExportedRow
from harness.results.records import RowKey, folders_of
from harness.store.store import Store
from harness.suite.measurement import Chosen, no_export


def write(plan: Plan, store: Store, rows: Sequence[tuple[JudgedRow, JudgedAnswers]], out: Path) -> None:
    """Write every export that the plan's benchmarks have into `out`, `rows` of judgments among them, and take
    away what an earlier one wrote and this one does not: a tool that reads a whole folder would count it.
    """
    try:
        earlier = manifest.read(out)
    except ValueError:  # it is written anew; whose the other files are nobody knows, and an audit tells them
        earlier = None
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=".exports") as aside:
        exported = list(_write(plan, store, rows, Path(aside)))
        files = manifest.checksums(Path(aside))
        stale = {n: digest for n, digest in (earlier.files if earlier else {}).items() if n not in files}
        there = manifest.checksums(out) if stale else {}
        for name, digest in stale.items():
            # Below this folder, and as it was written: anything else is not ours to remove.
            if there.get(name) == digest:
                (out / name).unlink()
        for name in files:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(aside) / name).replace(out / name)
    manifest.write(exported, files, out)


def _write(
    plan: Plan, store: Store, rows: Sequence[tuple[JudgedRow, JudgedAnswers]], out: Path
) -> Iterator[ExportedRow]:
    names = _row_names(plan)
    for name, chosen in plan.suite.benchmarks.chosen.items():
        judged = [(row, _named(row, of, names)) for row, of in rows if row.chosen.name == name]
        if judged and (export := chosen.declaration.export):
            export(out / name, [of for _, of in judged])
            yield from (_judged_row(row, of) for row, of in judged)
        cells = [cell for cell in plan.cells if name in cell.measures]
        if cells and chosen.benchmark.export is not no_export:
            chosen.benchmark.export(
                out / name, {names[RowKey.of(c)]: folders_of(c, name, store) for c in cells}
            )
            yield from (_measured_row(cell, chosen, names[RowKey.of(cell)]) for cell in cells)


def _judged_row(row: JudgedRow, found: JudgedAnswers) -> ExportedRow:
    key = {name: value for name, value in row.key.items() if name != "suite"}
    return ExportedRow(
        **key,
        like=row.chosen.declaration.name,
        row=found.row,
        judge_folder=found.judge_folder,
        reference_folder=found.reference_folder,
    )


def _measured_row(cell: Cell, chosen: Chosen, name: str) -> ExportedRow:
    like = chosen.declaration.name
    return ExportedRow(chosen.name, like, name, "", "", **RowKey.of(cell)._asdict(), judge="", reference="")


def _named(row: JudgedRow, judged: JudgedAnswers, names: Mapping[RowKey, str]) -> JudgedAnswers:
    """A row's judgments under the export's names, of itself and of the row that it is compared with."""
    own = RowKey.of(row.cell)._replace(method=row.reference)
    alike = [key for key in names if key[:3] == own[:3]]
    # A model that no world seed had a part in, or no seed, may be there once for all of them.
    near = min(alike, key=lambda k: (k.world_seed != own.world_seed) + (k.seed != own.seed), default=own)
    return judged._replace(row=names[RowKey.of(row.cell)], reference=names.get(near, row.reference))


def _row_names(plan: Plan) -> dict[RowKey, str]:
    """Each row's name as that of a file: what tells it from the others."""
    # What is the same for all is left out: a run of one pair and one seed has plain methods' names.
    parts_of_name = ("pair", "dataset", "world_seed", "seed")
    varied = [k for k in parts_of_name if len({getattr(c, k) for c in plan.cells}) > 1]
    parts = {RowKey.of(c): [*(str(getattr(c, k)) for k in varied), c.method] for c in plan.cells}
    names, taken = dict[RowKey, str](), set[str]()
    for key, words in parts.items():
        name = file_name("-".join(words))
        while same_on_some_disk(name) in taken:  # "a/b" and "a_b" are one file's name
            name += "_"
        taken.add(same_on_some_disk(name))
        names[key] = name
    return names
