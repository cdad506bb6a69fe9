"""`bench report`: the tables of finished runs, from their rows alone; no model library is imported."""

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from harness.common.suggest import nearest
from reports import build as run
from reports.answers_in_terminal import shown
from reports.page import page
from reports.records import run_folder, texts
from reports.records.merge import merged
from reports.render import to_terminal
from reports.tables.table import Table

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
    names: Sequence[str],
    table: str | None,
    format: str,
    runs: Path,
    beside: str | None = None,
    merge: bool = False,
) -> None:
    """Print every table of the runs, or one of them; or the paper's numbers beside ours; or runs as one."""
    formats = [TERMINAL, *run.FORMATS, HTML]
    if format not in formats:
        raise ValueError(f"--format {format}: {nearest(format, formats)}")
    if beside not in (None, PAPER):
        raise ValueError(f"--beside {beside}: known: {PAPER}")
    folders = [folder_of(name, runs) for name in names]
    if format == HTML:
        if merge:
            raise ValueError("--merge makes tables; a page is of one run")
        for at in folders:
            typer.echo(f"Written: {page.write(at)}")
        return
    every = [(str(folder), run_folder.read(folder)) for folder in folders]
    if merge:
        if len({folder.name for folder in folders}) < max(2, len(folders)):
            raise ValueError("--merge wants several runs, each by another name")
        every = [("merged", merged({f.name: rows for f, (_, rows) in zip(folders, every, strict=True)}))]
    for told, rows in every:
        tables = {PAPER: run.beside(rows)} if beside else run.build(rows)
        if table is not None and table not in tables:
            raise ValueError(f"{told}: no table {table!r}; {nearest(table, list(tables))}")
        _echo([t for name, parts in tables.items() if table in (None, name) for t in parts], format)


def _echo(tables: Sequence[Table], format: str) -> None:
    for part in tables:
        styled = sys.stdout.isatty()
        typer.echo(to_terminal(part, styled=styled) if format == TERMINAL else run.FORMATS[format](part))


def compare(name: str, baseline: str, runs: Path, format: str) -> None:
    """Print each benchmark's comparison of every method with one of them."""
    formats = [TERMINAL, *run.FORMATS]
    if format not in formats:
        raise ValueError(f"--format {format}: {nearest(format, formats)}")
    rows = run_folder.read(folder_of(name, runs))
    _echo(run.compared(rows, baseline), format)


def show(name: str, methods: Sequence[str], benchmark: str, question: str, runs: Path) -> None:
    """Print what methods answered to one question, and what the judge said."""
    folder = folder_of(name, runs)
    said = texts.read_texts(folder / "texts.jsonl")
    if not said:
        raise ValueError(f"{folder}: no answers, it has no texts.jsonl")
    typer.echo(shown(said, methods, benchmark, question))
