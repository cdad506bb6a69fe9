"""The commands `bench report`, `bench compare` and `bench show`: of finished runs, from their rows alone.

No model library is imported, and what draws tables only where they are drawn: `--help` does not wait for it.
"""

import sys
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import FinishedRuns, RunName
from harness.common.suggest import meant, nearest
from harness.common.text import printed

if TYPE_CHECKING:
    from reports.build import Paired
    from reports.records.run_folder import Rows
    from reports.tables.table import Table
    from reports.terminal import FirstScreen

NoiseFrom = Annotated[
    str | None,
    typer.Option(help="A run with several seeds: the chance of training of one that has a single one."),
]
TERMINAL, HTML, JSON, PAPER = "terminal", "html", "json", "paper"
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: the same as --format json.")]


def folder_of(name: str, runs: Path) -> Path:
    """The folder of a run: a path, or a name below `runs`."""
    if ((path := Path(name)) / "results.jsonl").is_file():
        # "." and ".." are no names, by which rows of several runs are told apart.
        return path if path.name not in ("", "..") else path.resolve()
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
    noise_from: NoiseFrom = None,
    registry_order: Annotated[
        bool, typer.Option("--registry-order", help="Rows as `bench methods` lists them, not the best first.")
    ] = False,
    as_json: AsJson = False,
    runs: FinishedRuns = Path("runs"),
) -> None:
    """Print the verdict and tables of a finished run again, or of several as one, from their rows alone."""
    from reports import build, terminal
    from reports.page import page

    format = _checked_format(format, as_json, HTML)
    if table == build.VERDICT and format not in (TERMINAL, "md", JSON, HTML):
        raise ValueError(f"--table {table} --format {format}: words are printed as {TERMINAL} or md")
    if beside not in (None, PAPER):
        raise ValueError(f"--beside {beside}: known: {PAPER}")
    folders = [folder_of(name, runs) for name in run]
    if format == HTML:
        of_tables = {
            "--beside": beside,
            "--registry-order": registry_order or None,
            "--noise-from": noise_from,
        }
        if given := [option for option, value in of_tables.items() if value is not None]:
            raise ValueError(f"{given[0]} is for tables; a page is of its run alone")
        for folder in folders:
            typer.echo(printed(f"Written: {page.write(folder)}"))
        return
    paired = build.paired(_borrowing(_rows_of(folders), noise_from, runs))
    source = ", ".join(map(str, folders))
    if beside:
        _echo({PAPER: build.beside(paired)}, format)
    elif table is None and format == TERMINAL:
        _echo_screen(terminal.first_screen(paired.verdict, build.build(paired)), folders, registry_order)
    else:
        _echo_parts(paired, table or terminal.MAIN, source, format, registry_order)


def _echo_parts(paired: "Paired", table: str, source: str, format: str, registry_order: bool) -> None:
    """Print the table of that name, the verdict, or all."""
    from reports import build, terminal

    told = paired.verdict if table in (terminal.ALL, build.VERDICT) or format == JSON else []
    if table == build.VERDICT:
        _echo({}, format, told)
        return
    tables = build.build(paired)
    wanted = list(tables) if table == terminal.ALL else [meant(table, tables)]
    for name in wanted:
        # Which tables there are depends on what the run measured.
        if name not in tables:
            known = [*tables, build.VERDICT, terminal.ALL]
            raise ValueError(f"{source}: no table {name!r}; {nearest(name, known)}")
    _echo({name: _ordered(tables[name], format, registry_order) for name in wanted}, format, told)


def compare(
    run: Annotated[list[str], typer.Argument(help="A run; or RUN:METHOD of several, first the baseline.")],
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
    format: Annotated[str, typer.Option(help="terminal, md, csv, tex or json.")] = TERMINAL,
    as_json: AsJson = False,
    runs: FinishedRuns = Path("runs"),
) -> None:
    """Compare every method with one of them: difference, interval, p, adjusted p, rank, groups, power."""
    from reports import build

    format = _checked_format(format, as_json)
    if ":" in run[0]:
        if noise or baseline is not None:
            raise ValueError(f"compare {' '.join(run)}: the first is the baseline; no --baseline, no --noise")
        rows, baseline = _across(run, runs)
        _echo({"comparison": build.compared(_borrowing(rows, noise_from, runs), baseline)}, format)
        return
    if noise == (baseline is not None):
        raise ValueError("compare wants one of --baseline METHOD and --noise")
    if difference is not None and not (noise and 0 < difference < inf):
        raise ValueError(f"--difference {difference}: allowed: a number over 0, with --noise")
    if noise and noise_from is not None:
        raise ValueError("--noise is of the run's own replicates; --noise-from is for --baseline")
    rows = _borrowing(_rows_of([folder_of(name, runs) for name in run]), noise_from, runs)
    if baseline is not None:
        baseline = meant(baseline, {name for names in rows.methods().values() for name in names})
        _echo({"comparison": build.compared(rows, baseline)}, format)
    else:
        _echo({"noise": build.noise(rows, difference)}, format)


def show(
    run: RunName,
    methods: Annotated[str, typer.Option(help="Methods with commas between, such as ADPA,DPO.")],
    benchmark: Annotated[str, typer.Option(help="Its name, as in the suite.")],
    question: Annotated[str, typer.Option(help="The question's id, as in the page and in results.jsonl.")],
    runs: FinishedRuns = Path("runs"),
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


def _rows_of(folders: list[Path]) -> "Rows":
    """The rows of a folder, or those of several as one run; ValueError where they cannot be compared."""
    from reports.records import across, run_folder

    if len(folders) == 1:
        return run_folder.read(folders[0])
    # Merged rows are told apart by the names of their runs.
    if len({folder.name for folder in folders}) < len(folders):
        raise ValueError(f"{', '.join(map(str, folders))}: runs in one table have names of their own")
    return across.together(folders)


def _across(typed: Sequence[str], runs: Path) -> "tuple[Rows, str]":
    """The rows that RUN:METHOD name, and what the first is called."""
    from reports.records import across

    if len(typed) < 2:
        raise ValueError(f"compare {typed[0]}: nothing to compare it with; name another RUN:METHOD after it")
    chosen = []
    for words in typed:
        run, _, method = words.partition(":")
        if not run or not method.strip():
            raise ValueError(f"compare {words}: must be RUN:METHOD, as pocket:DPO")
        chosen.append((folder_of(run, runs), method.strip()))
    return across.chosen(chosen)


def _borrowing(rows: "Rows", noise_from: str | None, runs: Path) -> "Rows":
    from reports import build
    from reports.records import run_folder

    if noise_from is None:
        return rows
    folder = folder_of(noise_from, runs)
    return build.borrowing(rows, folder.name, run_folder.read(folder))


def _checked_format(format: str, as_json: bool, *others: str) -> str:
    from reports import build

    formats = [TERMINAL, *build.FORMATS, JSON, *others]
    if format not in formats:
        raise ValueError(f"--format {format}: {nearest(format, formats)}")
    if as_json and format not in (TERMINAL, JSON):
        raise ValueError(f"--json and --format {format}: one of them")
    return JSON if as_json else format


def _ordered(tables: "Sequence[Table]", format: str, registry_order: bool) -> "Sequence[Table]":
    """A terminal has the best row first; files have the registry's order, so that they can be compared."""
    from reports.terminal import best_first

    sorted_here = format == TERMINAL and not registry_order
    return [best_first(table) for table in tables] if sorted_here else tables


def _echo_screen(screen: "FirstScreen", folders: Sequence[Path], registry: bool) -> None:
    from reports import terminal

    styled, width = sys.stdout.isatty(), terminal.terminal_width()
    typer.echo(terminal.text(screen, folders, width, styled=styled, registry=registry), nl=False)


def _echo_verdict(told: Sequence[str], format: str) -> None:
    """Print what the tables say in words; other programs read the tables alone."""
    from reports import build
    from reports.terminal import terminal_width
    from reports.verdict import words

    if told and format == TERMINAL:
        typer.echo(words.to_terminal(told, terminal_width()), nl=False)
    elif told and format == "md":
        typer.echo(build.verdict_markdown(told))


def _echo(tables: "Mapping[str, Sequence[Table]]", format: str, told: Sequence[str] = ()) -> None:
    from reports import build
    from reports.machine import tables_json
    from reports.render import to_terminal
    from reports.terminal import terminal_width

    if format == JSON:
        typer.echo(tables_json(tables, verdict=list(told)))
        return
    _echo_verdict(told, format)
    width, styled = terminal_width(), sys.stdout.isatty()
    for part in (t for parts in tables.values() for t in parts):
        typer.echo(to_terminal(part, width, styled) if format == TERMINAL else build.FORMATS[format](part))
