"""The commands `bench report`, `bench compare` and `bench show`: of finished runs, from their rows alone.

No model library is imported, and what draws tables only where they are drawn: `--help` does not wait for it.
"""

import sys
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import RunName, Runs
from harness.common.suggest import meant, nearest

if TYPE_CHECKING:
    from reports.build import Paired
    from reports.records.run_folder import Rows
    from reports.tables.table import Table
    from reports.terminal import FirstScreen

NoiseFrom = Annotated[
    str | None,
    typer.Option(help="A run with several seeds: the chance of training of one that has a single one."),
]
TERMINAL, HTML, PAPER = "terminal", "html", "paper"


def folder_of(name: str, runs: Path) -> Path:
    """The folder of a run: a path, or a name below `runs`."""
    if (Path(name) / "results.jsonl").is_file():
        return Path(name)
    known = sorted(p.parent.name for p in runs.glob("*/results.jsonl"))
    if name not in known:
        raise ValueError(f"no run {name!r} in {runs}; {nearest(name, known) if known else 'it holds none'}")
    return runs / name


def report(
    run: Annotated[list[str], typer.Argument(help="Runs by name below --runs, or their folders.")],
    table: Annotated[
        str | None,
        typer.Option(
            help="One table: main, cost, training, ...; verdict: the words; all: everything. Absent: the "
            "verdict and the main table."
        ),
    ] = None,
    format: Annotated[str, typer.Option(help="terminal, md, csv, tex, or html: the page.")] = TERMINAL,
    beside: Annotated[
        str | None, typer.Option(help="`paper`: the published numbers beside ours, and nothing else.")
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Runs as one: what both hold once, what differs by run.")
    ] = False,
    noise_from: NoiseFrom = None,
    registry_order: Annotated[
        bool, typer.Option("--registry-order", help="Rows as `bench methods` lists them, not the best first.")
    ] = False,
    runs: Runs = Path("runs"),
) -> None:
    """Print the verdict and tables of finished runs again, from their rows alone."""
    from reports import build, terminal
    from reports.page import page

    _check_format(format, HTML)
    if table == build.VERDICT and format not in (TERMINAL, "md", HTML):
        raise ValueError(f"--table {table} --format {format}: words are printed as {TERMINAL} or md")
    if beside not in (None, PAPER):
        raise ValueError(f"--beside {beside}: known: {PAPER}")
    folders = [folder_of(name, runs) for name in run]
    if format == HTML:
        if merge:
            raise ValueError("--merge makes tables; a page is of one run")
        if noise_from is not None:
            raise ValueError("--noise-from is for tables; a page is of its run alone")
        for folder in folders:
            typer.echo(f"Written: {page.write(folder)}")
        return
    for source, rows in _rows_of(folders, merge):
        paired = build.paired(_borrowing(rows, noise_from, runs))
        if beside:
            _echo(build.beside(paired), format)
        elif table is None and format == TERMINAL:
            _echo_screen(terminal.first_screen(paired.verdict, build.build(paired)), source, registry_order)
        else:
            _echo_parts(paired, table or terminal.MAIN, source, format, registry_order)


def _echo_parts(paired: "Paired", table: str, source: str, format: str, registry_order: bool) -> None:
    """Print the table of that name, the verdict, or all."""
    from reports import build, terminal

    if table in (terminal.ALL, build.VERDICT):
        _echo_verdict(paired.verdict, format)
    if table == build.VERDICT:
        return
    tables = build.build(paired)
    wanted = list(tables) if table == terminal.ALL else [meant(table, tables)]
    for name in wanted:
        # Which tables there are depends on what the run measured.
        if name not in tables:
            known = [*tables, build.VERDICT, terminal.ALL]
            raise ValueError(f"{source}: no table {name!r}; {nearest(name, known)}")
        _echo(_ordered(tables[name], format, registry_order), format)


def compare(
    run: RunName,
    baseline: Annotated[
        str | None, typer.Option(help="The method that all others are compared with.")
    ] = None,
    noise: Annotated[
        bool,
        typer.Option("--noise", help="What the numbers vary by, and what more seeds or questions would buy."),
    ] = False,
    difference: Annotated[
        float | None,
        typer.Option(
            help="With --noise: how many replicates find it, in the table's unit; that of the first two."
        ),
    ] = None,
    noise_from: NoiseFrom = None,
    format: Annotated[str, typer.Option(help="terminal, md, csv or tex.")] = TERMINAL,
    runs: Runs = Path("runs"),
) -> None:
    """Compare every method with one of them: difference, interval, p, adjusted p, rank, groups, power."""
    from reports import build
    from reports.records import run_folder

    _check_format(format)
    if noise == (baseline is not None):
        raise ValueError("compare wants one of --baseline METHOD and --noise")
    if difference is not None and not (noise and 0 < difference < inf):
        raise ValueError(f"--difference {difference}: allowed: a number over 0, with --noise")
    if noise and noise_from is not None:
        raise ValueError("--noise is of the run's own replicates; --noise-from is for --baseline")
    rows = _borrowing(run_folder.read(folder_of(run, runs)), noise_from, runs)
    if baseline is not None:
        baseline = meant(baseline, {name for names in rows.methods().values() for name in names})
    tables = build.compared(rows, baseline) if baseline is not None else build.noise(rows, difference)
    _echo(tables, format)


def show(
    run: RunName,
    methods: Annotated[str, typer.Option(help="Methods with commas between, such as ADPA,DPO.")],
    benchmark: Annotated[str, typer.Option(help="Its name, as in the suite.")],
    question: Annotated[str, typer.Option(help="The question's id, as in the page and in results.jsonl.")],
    runs: Runs = Path("runs"),
) -> None:
    """Print the answers of methods to one question, and what the judge said of them."""
    from reports.answers_in_terminal import shown
    from reports.records import texts

    folder = folder_of(run, runs)
    said = texts.read_texts(folder / "texts.jsonl")
    if not said:
        raise ValueError(f"{folder}: no answers, it has no texts.jsonl")
    rows = {text.method for text in said}
    named = [meant(method.strip(), rows) for method in methods.split(",")]
    typer.echo(shown(said, named, benchmark, question))


def _rows_of(folders: list[Path], merge: bool) -> "list[tuple[str, Rows]]":
    """The rows of each folder, or those of all as one run, and what to call them."""
    from reports.records import run_folder
    from reports.records.merge import merged

    rows_of = [(folder, run_folder.read(folder)) for folder in folders]
    if not merge:
        return [(str(folder), rows) for folder, rows in rows_of]
    # Merged rows are told apart by the names of their runs.
    by_run = {folder.name: rows for folder, rows in rows_of}
    if len(by_run) < max(2, len(folders)):
        raise ValueError("--merge wants several runs, each by another name")
    return [("merged", merged(by_run))]


def _borrowing(rows: "Rows", noise_from: str | None, runs: Path) -> "Rows":
    from reports import build
    from reports.records import run_folder

    if noise_from is None:
        return rows
    folder = folder_of(noise_from, runs)
    return build.borrowing(rows, folder.name, run_folder.read(folder))


def _check_format(format: str, *others: str) -> None:
    from reports import build

    formats = [TERMINAL, *build.FORMATS, *others]
    if format not in formats:
        raise ValueError(f"--format {format}: {nearest(format, formats)}")


def _ordered(tables: "Sequence[Table]", format: str, registry_order: bool) -> "Sequence[Table]":
    """A terminal has the best row first; files have the registry's order, so that they can be compared."""
    from reports.terminal import best_first

    sorted_here = format == TERMINAL and not registry_order
    return [best_first(table) for table in tables] if sorted_here else tables


def _echo_screen(screen: "FirstScreen", folder: str, registry: bool) -> None:
    from reports import terminal

    styled, width = sys.stdout.isatty(), terminal.terminal_width()
    typer.echo(terminal.text(screen, Path(folder), width, styled=styled, registry=registry), nl=False)


def _echo_verdict(told: Sequence[str], format: str) -> None:
    """Print what the tables say in words; other programs read the tables alone."""
    from reports import build
    from reports.terminal import terminal_width
    from reports.verdict import words

    if told and format == TERMINAL:
        typer.echo(words.to_terminal(told, terminal_width()), nl=False)
    elif told and format == "md":
        typer.echo(build.verdict_markdown(told))


def _echo(tables: "Sequence[Table]", format: str) -> None:
    from reports import build
    from reports.render import to_terminal
    from reports.terminal import terminal_width

    width, styled = terminal_width(), sys.stdout.isatty()
    for part in tables:
        typer.echo(to_terminal(part, width, styled) if format == TERMINAL else build.FORMATS[format](part))
