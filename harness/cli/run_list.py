"""`bench runs`: the runs below a folder, of which suites they are, and what was set otherwise in each."""

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import typer

from harness.cli.options import AsJson, FinishedRuns, echo_json
from harness.common.text import cut, printed

LINE = 290  # characters of a fault's line


@dataclass(frozen=True)
class ListedRun:
    """A run's folder: its suite, what `--set` changed, how many rows, and when it was written."""

    run: str
    suite: str
    set: list[str]
    method_file: str | None
    rows: int | None
    written: str


def listed(runs: Path) -> list[ListedRun]:
    """The runs below a folder, in the order of their names."""
    return [_listed(path.parent) for path in sorted(runs.glob("*/results.jsonl"))]


def _listed(folder: Path) -> ListedRun:
    from harness.run import earlier_rows

    try:
        found = earlier_rows.checked(folder)
    except ValueError as fault:
        found = None
        _tell(fault)
    known = found or earlier_rows.Settings("-")
    rows = _counted(folder) if known.rows is None else known.rows
    written = datetime.fromtimestamp((folder / "results.jsonl").stat().st_mtime).strftime("%Y-%m-%d %H:%M")
    return ListedRun(folder.name, known.suite, list(known.set), known.method_file, rows, written)


def _counted(folder: Path) -> int | None:
    """The rows of a run whose settings do not say how many; None, and a line, where nobody knows."""
    from reports.records import jsonl
    from reports.records.rows import Record

    try:
        records = jsonl.read(folder / "results.jsonl", Record)
    except ValueError as fault:
        _tell(fault)
        return None
    return len({(record.pair, record.dataset, record.method) for record in records})


def _tell(fault: ValueError) -> None:
    typer.echo(printed(f"bench: {cut(str(fault), LINE)}"), err=True)


def list_runs(
    runs: FinishedRuns = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List the runs with their suite, the settings that differ from it, and how many rows they have."""
    found = listed(runs)
    if as_json:
        echo_json([asdict(run) for run in found])
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("Run", "Suite", "Set otherwise", "Rows", "Written")
    for run in found:
        own = [f"--method-file {run.method_file}"] if run.method_file else []
        rows = "-" if run.rows is None else str(run.rows)
        told = run.run, run.suite, "\n".join([*run.set, *own]) or "-", rows, run.written
        table.add_row(*(Text(printed(text)) for text in told))
    Console().print(table)
