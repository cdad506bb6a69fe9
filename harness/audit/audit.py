"""`bench audit`: every number of a run that an official tool can compute, computed by that tool."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.declaration import Benchmark
from harness.audit.comparison import TABLE, Line, compared
from harness.audit.official import NotAudited, Tools, ruling
from harness.audit.our_numbers import OurNumbers, our_numbers
from harness.common.text import aligned, slug
from harness.results import manifest
from harness.results.manifest import ExportedRow, Manifest
from reports.records import run_folder

EXPORTS = "exports"
UNNAMED = f"{manifest.NAME} does not name it, so its numbers were not held against an official tool's"


@dataclass(frozen=True)
class Audited:
    """One benchmark: who was asked, the numbers beside each other, those that are ours alone, and faults.

    `skipped` says why nobody was asked.
    """

    benchmark: str
    tool: str = ""
    notes: Sequence[str] = ()
    lines: Sequence[Line] = ()
    ours_alone: Sequence[str] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    faults: Sequence[str] = ()
    skipped: str = ""

    @property
    def unexplained(self) -> list[Line]:
        """The lines that nothing explains."""
        return [line for line in self.lines if line.reasons is None]


@dataclass(frozen=True)
class Audit:
    """All benchmarks of a run, and how its exports differ from what it wrote."""

    benchmarks: Sequence[Audited]
    altered: Sequence[str]

    @property
    def holds(self) -> bool:
        """Whether every number that was computed again is ours or differs by design."""
        return not self.altered and not any(b.unexplained or b.faults for b in self.benchmarks)


def audit(folder: Path, known: Mapping[str, Benchmark], tools: Tools) -> Audit:
    """Ask each benchmark's tool; ValueError where the run has nothing to audit."""
    rows, exports = run_folder.read(folder), folder / EXPORTS
    written = manifest.read(exports)
    if written is None:
        raise ValueError(f"{exports} has no {manifest.NAME}: the same `bench run` or `bench eval` writes it")
    ours = our_numbers(rows, written.rows)
    measured = dict.fromkeys([r.benchmark for r in rows.records])
    names = dict.fromkeys([*(b.name for b in rows.benchmarks if b.name in measured), *measured])
    found = [_audited(name, exports / name, written, known, ours, tools) for name in names]
    return Audit(found, written.differences(exports))


def _audited(
    name: str,
    export: Path,
    written: Manifest,
    known: Mapping[str, Benchmark],
    ours: OurNumbers,
    tools: Tools,
) -> Audited:
    rows = [row for row in written.rows if row.benchmark == name]
    declared = known.get(rows[0].like if rows else name)
    unnamed = [method for benchmark, method in ours.not_exported if benchmark == name]
    if not rows and declared and declared.referee and unnamed:
        return Audited(name, declared.referee.tool, faults=[f"{', '.join(unnamed)}: {UNNAMED}"])
    if not rows:
        return Audited(name, skipped="no official tool reads it")
    if declared is None:
        return Audited(name, skipped=f"{rows[0].like} is not known here; --benchmark-file names its file")
    if declared.referee is None:
        return Audited(name, skipped="it has no official tool")
    try:
        found = ruling(declared.referee, export, tools)
    except NotAudited as why:
        return Audited(name, skipped=str(why))
    except ValueError as fault:
        return Audited(name, declared.referee.tool, faults=[str(fault)])
    lines = compared(declared.referee, found, rows, ours)
    audited = {(line.row, line.metric) for line in lines}
    alone = [m for row in rows for m in ours.of_rows[row] if (row, m) not in audited]
    uneven = sorted(key for key in ours.over_seeds if key.benchmark == name)
    alone += [f"{key.metric} of {key.method} over seeds that lack verdicts" for key in uneven]
    counted = {(n.row, slug(n.judge), slug(n.reference)) for n in found.numbers}
    missing = [row for row in rows if (row.row, row.judge_folder, row.reference_folder) not in counted]
    faults = [f"{_label(row, rows)}: the export holds nothing that {found.tool} counts" for row in missing]
    faults += [f"{_label(row, rows)}: the run has no number of it" for row in rows if not ours.of_rows[row]]
    faults += [f"{method}: {UNNAMED}" for method in unnamed]
    return Audited(
        name,
        found.tool,
        found.notes,
        lines,
        list(dict.fromkeys(alone)),
        declared.referee.reasons,
        faults,
    )


def text(found: Audit) -> Iterator[str]:
    """An audit in lines: each number, what explains it, and at the end what it comes to."""
    for benchmark in found.benchmarks:
        if benchmark.skipped:
            continue
        yield f"{benchmark.benchmark}: {benchmark.tool}"
        yield from (f"  {note}" for note in benchmark.notes)
        rows = [line.row for line in benchmark.lines]
        table: list[tuple[str, ...]] = [("  row", "number", "ours", "theirs", "difference", "why")]
        table += [_cells(line, rows) for line in benchmark.lines]
        yield from aligned(table, numbers=(2, 3, 4)) if rows else ()
        used = dict.fromkeys(r for line in benchmark.lines for r in line.reasons or ())
        yield from (f"  {reason}: {benchmark.reasons[reason]}" for reason in used)
        if benchmark.ours_alone:
            yield f"  ours alone, which the tool does not compute: {', '.join(benchmark.ours_alone)}"
        yield from (f"  {fault}" for fault in benchmark.faults)
        yield ""
    yield from (f"{EXPORTS}/{line}" for line in found.altered)
    yield from _sum(found)


def _sum(found: Audit) -> Iterator[str]:
    lines = [line for benchmark in found.benchmarks for line in benchmark.lines]
    skipped = [f"{b.benchmark} ({b.skipped})" for b in found.benchmarks if b.skipped]
    if skipped:
        yield f"not audited: {'; '.join(skipped)}"
    equal = sum(line.reasons == () for line in lines)
    unexplained = sum(line.reasons is None for line in lines)
    faults = sum(len(b.faults) for b in found.benchmarks) + len(found.altered)
    explained = len(lines) - equal - unexplained
    yield (
        f"{len(lines)} numbers: {equal} are the official tools', {explained} differ by design, "
        f"{unexplained} differ; {faults} faults of the exports"
    )


def _cells(line: Line, rows: Sequence[ExportedRow]) -> tuple[str, ...]:
    way = f" ({line.way})" if line.way else ""
    difference = line.difference
    why = "differs" if line.reasons is None else ", ".join(line.reasons)
    return (
        f"  {_label(line.row, rows, seeds=line.way != TABLE)}",
        f"{line.metric}{way}",
        f"{line.ours:.8g}",
        "-" if line.theirs is None else f"{line.theirs:.8g}",
        "-" if difference is None else "0" if line.reasons == () else f"{difference:.2g}",
        why,
    )


def _label(row: ExportedRow, rows: Sequence[ExportedRow], seeds: bool = True) -> str:
    """A row's name, with judge and reference where they tell it from others."""
    name = row.row if seeds else row.method
    parts = [("by", "judge"), ("against", "reference")]
    told = [f"{word} {getattr(row, of)}" for word, of in parts if len({getattr(r, of) for r in rows}) > 1]
    return " ".join([name, *told])
