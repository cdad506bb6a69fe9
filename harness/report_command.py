"""`bench report`: the tables of finished runs, from their rows alone; no model library is imported."""

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from harness.validation import nearest
from reports import run
from reports.page import page
from reports.render import to_terminal

TERMINAL, HTML, PAPER = "terminal", "html", "paper"


def folder_of(name: str, runs: Path) -> Path:
    """The folder of a run: a path, or a name below `runs`."""
    if (Path(name) / "results.jsonl").is_file():
        return Path(name)
    there = sorted(p.parent.name for p in runs.glob("*/results.jsonl"))
    if name not in there:
        raise ValueError(f"no run {name!r} in {runs}; {nearest(name, there) if there else 'it holds none'}")
    return runs / name


def report(
    names: Sequence[str], table: str | None, format: str, runs: Path, beside: str | None = None
) -> None:
    """Print every table of the runs, or one of them; or the paper's numbers beside ours."""
    formats = [TERMINAL, *run.FORMATS, HTML]
    if format not in formats:
        raise ValueError(f"--format {format}: {nearest(format, formats)}")
    if beside not in (None, PAPER):
        raise ValueError(f"--beside {beside}: known: {PAPER}")
    for folder in [folder_of(name, runs) for name in names]:
        if format == HTML:
            typer.echo(f"Written: {page.write(folder)}")
            continue
        rows = run.read(folder)
        tables = {PAPER: run.beside(rows)} if beside else run.build(rows)
        if table is not None and table not in tables:
            raise ValueError(f"{folder}: no table {table!r}; {nearest(table, list(tables))}")
        for part in [t for name, parts in tables.items() if table in (None, name) for t in parts]:
            styled = sys.stdout.isatty()
            typer.echo(to_terminal(part, styled=styled) if format == TERMINAL else run.FORMATS[format](part))


def compare(name: str, baseline: str, runs: Path, format: str) -> None:
    """Print each benchmark's comparison of every method with one of them."""
    formats = [TERMINAL, *run.FORMATS]
    if format not in formats:
        raise ValueError(f"--format {format}: {nearest(format, formats)}")
    rows = run.read(folder_of(name, runs))
    for part in run.compared(rows, baseline):
        styled = sys.stdout.isatty()
        typer.echo(to_terminal(part, styled=styled) if format == TERMINAL else run.FORMATS[format](part))
