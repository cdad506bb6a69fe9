"""The command `bench audit`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import BenchmarkFile, FinishedRuns, RunName, quiet_libraries
from harness.cli.report import folder_of
from harness.common.text import printed


def audit(
    run: RunName,
    python: Annotated[
        Path, typer.Option(help="The interpreter that imports the official tools, where ours does not.")
    ] = Path(sys.executable),
    checkout: Annotated[
        list[str] | None, typer.Option(help="TOOL=FOLDER: a copy of the repository of a tool in no package.")
    ] = None,
    runs: FinishedRuns = Path("runs"),
    benchmark_file: BenchmarkFile = None,
) -> None:
    """Compute a run's numbers again with the benchmarks' official tools; exit code 1 where one differs."""
    quiet_libraries()
    from harness.audit import audit as auditing
    from harness.audit.official import Tools, parse_checkouts
    from harness.evaluate import registry

    known = {name: b.declaration for name, b in registry.known(benchmark_file).benchmarks.items()}
    wanted = [b.referee.tool for b in known.values() if b.referee and b.referee.checkout]
    tools = Tools(python, parse_checkouts(checkout or [], wanted))
    if not python.is_file():
        raise ValueError(f"--python {python}: no such file")
    found = auditing.audit(folder_of(run, runs), known, tools)
    for line in auditing.text(found):
        typer.echo(printed(line))
    if not found.holds:
        raise typer.Exit(1)
