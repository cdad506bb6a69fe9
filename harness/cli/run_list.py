"""`bench runs`: the runs below a folder, of which suites they are, and what was set otherwise in each."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from harness.cli.options import AsJson, Runs, echo_json
from harness.common.text import printed


@dataclass(frozen=True)
class ListedRun:
    """A run's folder: its suite, what `--set` changed, how many rows, and when it was written."""

    run: str
    suite: str
    set: list[str]
    method_file: str | None
    rows: int
    written: str


def listed(runs: Path) -> list[ListedRun]:
    """The runs below a folder, in the order of their names."""
    return [_listed(path.parent) for path in sorted(runs.glob("*/results.jsonl"))]


def _listed(folder: Path) -> ListedRun:
    from harness.run import earlier_rows

    known = earlier_rows.read(folder) or earlier_rows.Settings("-")
    rows = _counted(folder) if known.rows is None else known.rows
    written = datetime.fromtimestamp((folder / "results.jsonl").stat().st_mtime).strftime("%Y-%m-%d %H:%M")
    return ListedRun(folder.name, known.suite, list(known.set), known.method_file, rows, written)


def _counted(folder: Path) -> int:
    """The rows of a run whose settings do not say how many there are."""
    # Line by line, as a run of many methods and questions has tens of megabytes of them.
    with (folder / "results.jsonl").open(encoding="utf-8") as lines:
        return len({(r.get("pair"), r.get("dataset"), r["method"]) for r in map(json.loads, lines)})


def list_runs(
    runs: Runs = Path("runs"),
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
        told = run.run, run.suite, "\n".join([*run.set, *own]) or "-", str(run.rows), run.written
        table.add_row(*(Text(printed(text)) for text in told))
    Console().print(table)
