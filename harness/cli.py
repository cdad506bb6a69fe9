"""The command `bench`."""

import errno
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Which way of aligning a small language model is best, by how much, at what cost, and is it real?",
)

INTERRUPTED = 130

SuiteName = Annotated[str, typer.Argument(help="A suite by name, or a path that ends in .yaml.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one key of the suite, such as methods.ADPA.gamma_beta=0.2."),
]
Only = Annotated[
    list[str] | None, typer.Option("--only", "-o", help="Run these methods, with all that they need.")
]
Runs = Annotated[
    Path, typer.Option(envvar="BENCH_RUNS", help="The folder of the store and of each suite's results.")
]
MethodFile = Annotated[str | None, typer.Option(help="A Python file that defines methods of your own.")]


@app.callback()
def bench() -> None:
    """Compare methods that align small language models."""


@app.command()
def run(
    suite: SuiteName = "pocket",
    only: Only = None,
    overrides: Overrides = None,
    runs: Runs = Path("runs"),
    method_file: MethodFile = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print every step, whether it is done and why it would run.")
    ] = False,
) -> None:
    """Compute what is missing of a suite, then print and write its tables.

    Safe to stop and start again: finished steps are never done twice.
    """
    _quiet_libraries()
    from harness import command

    command.run(suite, only or [], overrides or [], runs, method_file, plan)


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="One method, in full.")] = None,
    method_file: MethodFile = None,
    write: Annotated[Path | None, typer.Option(help="Write a page for each method into this folder.")] = None,
) -> None:
    """List the methods with their cost and what they read, or show one in full."""
    from harness import command

    command.show_methods(name, method_file, write)


@app.command()
def tune(
    suite: SuiteName = "pocket",
    only: Only = None,
    overrides: Overrides = None,
    runs: Runs = Path("runs"),
    out: Annotated[Path, typer.Option(help="The CSV file of all trials.")] = Path("tuning.csv"),
) -> None:
    """Try every method's grid on the validation questions, and write a table of all trials."""
    _quiet_libraries()
    from harness import tuning

    tuning.run(suite, only or [], overrides or [], runs, out)


def _quiet_libraries() -> None:
    """Libraries that talk while they load would break the live view; set before they are imported."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("DATASETS_VERBOSITY", "critical")  # what fails is told by us, once
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def main() -> None:
    """Entry point: one clear line and exit code 2 for what the person at the keyboard can mend."""
    try:
        app()
    except ValueError as e:
        sys.exit(_fail(str(e), 2))
    except OSError as e:
        full = "; nothing that is done is lost, make room and run the same command again"
        sys.exit(_fail(f"{e}{full if e.errno in (errno.ENOSPC, errno.EDQUOT) else ''}", 1))
    except SystemExit as e:  # what typer makes of Ctrl-C, without a word
        if e.code == INTERRUPTED:
            _fail("stopped; the same command goes on where it was", INTERRUPTED)
        raise


def _fail(message: str, code: int) -> int:
    typer.echo(f"bench: {' '.join(message.split())}", err=True)
    return code
