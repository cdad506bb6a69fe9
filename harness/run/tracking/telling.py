"""A process for each tracker, from before a run's first step until all is told."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from harness.common.text import cut, printed
from harness.executors.scheduler import StepsFailed
from harness.plan.plan import Plan
from harness.run.tracking.notes import FOLDER, RunNotes, Told, fault_file, trainings
from harness.suite.parts.tracking import trackers

TELLER = "harness.run.tracking.teller"


def known(given: Sequence[str]) -> tuple[str, ...]:
    """The trackers that are named; ValueError where there is no such one, or its package is not installed."""
    names = trackers(given, "--track: ")
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ValueError(
                f"--track {name}: its package is not installed; pip install 'prefbench[{name}]', or pip "
                f"install {name}"
            )
    return names


@contextmanager
def telling(plan: Plan, store: Path, out: Path, tracked: Sequence[str]) -> Iterator[None]:
    """Tell trackers of a plan's trainings as they are done, and at the end of this block of its results; what
    could not be told is printed, and stops nothing.
    """
    if not tracked:
        yield
        return
    notes = RunNotes(plan.suite.name, str(out), str(store), trainings(plan)).write()
    processes = {name: _start(notes, name, _log(out, name)) for name in tracked}
    try:
        yield
    except (StepsFailed, ValueError, OSError):
        _end(processes, out)
        raise
    finally:
        # What a process reads there is the end alone, and it ends by itself where this one is killed.
        for process in processes.values():
            assert process.stdin
            process.stdin.close()
    _end(processes, out)


def _log(out: Path, tracker: str) -> Path:
    return out / FOLDER / f"{tracker}.log"


def _start(notes: Path, tracker: str, log: Path) -> "subprocess.Popen[bytes]":
    fault_file(log.parents[1], tracker).unlink(missing_ok=True)
    with log.open("wb") as said:
        return subprocess.Popen(
            # From where this process imports, and not from the folder that it is called in.
            [sys.executable, "-P", "-m", TELLER, str(notes), tracker],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.STDOUT,
        )


def _end(processes: "dict[str, subprocess.Popen[bytes]]", out: Path) -> None:
    """Wait until all is told; print what of it, and why a tracker was not told the rest."""
    for name, process in processes.items():
        assert process.stdin
        process.stdin.close()
        failed = process.wait()
        told = Told.read(out, name)
        typer.echo(
            printed(f"{name}: told of {len(told.trainings)} trainings and {len(told.results)} results")
        )
        if failed:
            said = fault_file(out, name)
            why = said.read_text(encoding="utf-8") if said.is_file() else f"exit code {failed}"
            again = "the results are whole, and the same command tells the rest"
            typer.echo(printed(f"{name}: not told all: {cut(why, 160)}; {again}; {_log(out, name)}"))
