"""The command `bench`."""

import errno
import gc
import json
import os
import sys
import tempfile
import traceback
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from harness.cli.audit import audit
from harness.cli.evaluate import data_commands, evaluate, judge_commands
from harness.cli.options import (
    AsJson,
    BenchmarkFile,
    FinishedRuns,
    JudgeFile,
    MethodFile,
    Only,
    Overrides,
    RunName,
    Runs,
    SuiteName,
    echo_json,
    gathered,
    quiet_libraries,
)
from harness.cli.report import compare, folder_of, report, show
from harness.cli.run_list import list_runs
from harness.cli.share.push import push
from harness.cli.start import surroundings
from harness.cli.start.chat import chat
from harness.cli.start.doctor import doctor
from harness.cli.start.init import init
from harness.cli.start.new import new_benchmark, new_method
from harness.cli.store import export, store_commands
from harness.common import devices, shutdown
from harness.common.files import FULL
from harness.common.input import model_files
from harness.common.secrets.redaction import without_secrets
from harness.common.text import cut, printed
from harness.executors.options import RunOptions, Spending, TrainingOptions
from harness.suite import extension_file

app = typer.Typer(
    no_args_is_help=True,
    # Whatever ends a command is one line, see main().
    pretty_exceptions_enable=False,
    help="Which way of aligning a small language model is best, by how much, at what cost, and is it real?",
)

app.add_typer(judge_commands, name="judge")
app.add_typer(data_commands, name="data")
app.add_typer(store_commands, name="store")
for command in (report, compare, show, audit, export, push, doctor, init, new_method, new_benchmark, chat):
    app.command()(command)
app.command(name="eval")(evaluate)
app.command(name="runs")(list_runs)

NO_MEMORY = "this machine has no memory left; end other programs, or let this have more of it"
LINE = 290  # characters of a fault's line
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(printed(f"bench {version('prefbench')}"))
        raise typer.Exit


@app.callback()
def bench(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compare methods that align small language models."""


@app.command()
@gathered
def run(
    options: RunOptions,
    spending: Spending,
    training: TrainingOptions,
    suite: SuiteName = "pocket",
    only: Only = None,
    overrides: Overrides = None,
    runs: Runs = Path("runs"),
    method_file: MethodFile = None,
    benchmark_file: BenchmarkFile = None,
    judge_file: JudgeFile = None,
    name: Annotated[
        str | None, typer.Option(help="The name of the results' folder; the suite's and what --set changes.")
    ] = None,
) -> None:
    """Compute what is missing of a suite, then print and write its tables.

    Safe to stop and start again: finished steps are never done twice, and rows of the same settings that
    the folder holds stay there.
    """
    quiet_libraries()
    # Heavy imports stand inside the commands, so that --help answers at once.
    from harness.evaluate import registry
    from harness.run import run_names
    from harness.suite import loading as suites

    given, known = [*(overrides or [])], registry.known(benchmark_file, judge_file)
    if name:
        # A text, whatever YAML would take it for; JSON's escapes of an emoji are two characters in YAML.
        given.append(f"name={json.dumps(name, ensure_ascii=False)}")
    loaded, changed = run_names.named(given, lambda others: suites.load(suite, others, known))
    from harness.run import earlier_rows, pipeline

    settings = earlier_rows.Settings(suite, changed, method_file)
    gc.freeze()  # torch's modules stay to the end: no collection need look at them
    pipeline.run(loaded, runs, options, spending, training, only=only or [], settings=settings)


@app.command()
def view(
    run: RunName,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 0,
    runs: FinishedRuns = Path("runs"),
) -> None:
    """Serve a run's page, report.html, to this machine alone until Ctrl-C."""
    from harness.cli import view

    view.view(folder_of(run, runs), port)


@app.command()
def why(
    one: Annotated[str, typer.Argument(help="An artifact: its id, label or folder's name, or RUN/METHOD.")],
    two: Annotated[str, typer.Argument(help="Another one.")],
    runs: FinishedRuns = Path("runs"),
) -> None:
    """Print in what two artifacts differ: settings, versions, inputs, and what these differ in."""
    from harness.store import provenance
    from harness.store.store import Store

    lines = provenance.artifact_differences(one, two, Store(runs / "store"))
    typer.echo(printed("\n".join(lines)))


@app.command()
def suites(
    words: Annotated[
        list[str] | None, typer.Argument(help="Nothing, to list them; `show NAME`; or `keys [PLACE]`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the suites that ship, show one as it stands in its file, or say what keys a suite may have."""
    from harness.cli import suite_catalogue

    if as_json:
        echo_json(suite_catalogue.for_programs(words or []))
    else:
        typer.echo(printed(suite_catalogue.catalogue(words or [])))


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="One method, in full.")] = None,
    method_file: MethodFile = None,
    sources: Annotated[
        bool, typer.Option(help="Only the numbers that are ours: no paper or code has them.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Every part and number with its source, as JSON.")
    ] = False,
    write: Annotated[Path | None, typer.Option(help="Write a page for each method into this folder.")] = None,
) -> None:
    """List the methods with their cost and what they read, or show one in full."""
    from harness.cli.pages import method_pages

    forms: dict[str, method_pages.Form] = {}
    if sources:
        forms["--sources"] = "sources"
    if as_json:
        forms["--json"] = "json"
    if write:
        forms["--write"] = write
    if len(forms) > 1:
        raise ValueError(f"{' and '.join(forms)}: one of them")
    method_pages.show_methods(name, method_file, next(iter(forms.values()), None))


@app.command()
@gathered
def tune(
    options: RunOptions,
    spending: Spending,
    training: TrainingOptions,
    suite: SuiteName = "pocket",
    only: Only = None,
    overrides: Overrides = None,
    runs: Runs = Path("runs"),
    method_file: MethodFile = None,
    benchmark_file: BenchmarkFile = None,
    judge_file: JudgeFile = None,
    name: Annotated[
        str | None,
        typer.Option(help="The folder is NAME-tune; else by the suite, --set and --only."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A CSV file of all trials, beside the folder's.")] = None,
) -> None:
    """Choose settings by an equal budget for every method, on validation questions; docs/tuning.md.

    Writes all trials, and the best ones as a suite for `bench run`. Safe to stop and start again.
    """
    quiet_libraries()
    from harness.run.tuning import tune as tuning

    files = method_file, benchmark_file, judge_file
    wanted = tuning.Wanted(suite, overrides or [], only or [], *files, name, out)
    tuning.run(wanted, runs, options, spending, training)


def main() -> None:
    """Entry point. Exit codes: 0 done; 2 yours to mend, and nothing was begun or what was done stays; 1 the
    world's (a disk, a network, a worker that died); 75 stopped, the same command goes on; 130 Ctrl-C.
    """
    shutdown.listen()
    surroundings.open_streams()
    extension_file.try_imports_apart()
    surroundings.bound_width()
    if ranks := devices.by_itself():
        typer.echo(
            printed(f"bench: {ranks}: not heeded, as a training here starts its own processes"), err=True
        )
    try:
        surroundings.check(sys.argv[1:])
        surroundings.check_variables()
        code = app(standalone_mode=False)  # else typer draws a box around a wrong option, and many lines
    except shutdown.Terminated as e:
        code = _fail(e.message, shutdown.REQUEUE)
    except TyperException as e:
        # Of a command without arguments there is nothing to say: its help has been printed.
        code = _fail(e.format_message(), 2) if e.format_message().strip() else 2
    except ValueError as e:
        code = _fail(surroundings.not_text(sys.argv[1:], e) or str(e), 2)
    except SystemExit as e:  # of a file of one's own or a library: it would look as if all were done
        if any(name.endswith("_COMPLETE") for name in os.environ):  # a shell asks what a word may end in
            raise
        if isinstance(e.__context__, BrokenPipeError):  # what typer makes of it
            code = _fail("nobody reads the output any more; what is done stays", 1)
        else:
            code = _fail(f"ended by a sys.exit({e.code!r}) of other code, with nothing done", 2)
    except MemoryError:
        code = _fail(NO_MEMORY, 1)
    except OSError as e:
        # A full disk is the one OSError that the same command goes on from.
        full = "; nothing that is done is lost, make room and run the same command again"
        code = _fail(f"{e}{full if e.errno in FULL else ''}", 2 if e.errno == errno.ENAMETOOLONG else 1)
    except Exception as e:
        code = _fail(NO_MEMORY if model_files.NO_MEMORY in str(e) else _fault_of_ours(e), 1)
    if code == INTERRUPTED:  # what typer makes of Ctrl-C, without a word
        _fail("stopped; the same command goes on where it was", INTERRUPTED)
    surroundings.close_output()
    sys.exit(code)


def _fault_of_ours(error: Exception) -> str:
    """What to say of a fault that nobody foresaw. Its traceback, for developers, is in a file: of a long run
    it can't be had again.
    """
    words, place = cut(f"{type(error).__name__}: {error}", 100), traceback.extract_tb(error.__traceback__)[-1]
    said = f"a fault of bench itself, {words} ({Path(place.filename).name}:{place.lineno})"
    try:
        descriptor, path = tempfile.mkstemp(prefix="bench-fault-", suffix=".txt")
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(printed("".join(traceback.format_exception(error))))
    except OSError:
        return said
    return f"{said}; please report it with {path}"


def _fail(message: str, code: int) -> int:
    # One line, whatever a library has put into its message: logs of schedulers are read by lines.
    with suppress(OSError):  # where nobody listens, the code says it
        typer.echo(printed(f"bench: {cut(without_secrets(' '.join(message.split())), LINE)}"), err=True)
    return code
