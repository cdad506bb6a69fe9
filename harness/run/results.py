"""The results of a finished plan: written, or where all that they are made of is as it was, shown again.

    written.json   {"of": "3f9c...", "files": {"report.html": [21005325, 1764...], ...}, "tables": [...],
                    "rows": {"results.jsonl": "5d1f...", ...}}
    screen.json    what a terminal shows first

They are a function of the suite, the steps and their artifacts, prices, checks of judges and the code: `of`
is a hash of these. A rerun without work reads no artifact and draws nothing, so it imports no library for
that.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from pydantic import BaseModel, Field, ValidationError

from harness.endpoints.prices import Prices
from harness.evaluate.judge_check import JUDGE_CHECK
from harness.plan.measurements import Cell
from harness.plan.plan import Plan
from harness.results import benchmarks
from harness.results.health.counts import overlap_steps
from harness.store.integrity import RECORD
from harness.store.step import Step
from harness.store.store import Store
from harness.suite import extension_file
from harness.suite.schema import Suite
from harness.suite.tuning.section import TRIALS
from harness.suite.validation import at_key
from reports import terminal
from reports.records import jsonl
from reports.records.benchmarks import NAME as BENCHMARKS
from reports.records.jsonl import STAMP
from reports.terminal import FirstScreen

SCREEN = "screen.json"
SOURCES = ("harness", "methods", "benchmarks", "reports")
PLUGINS = ("bench.methods", "bench.benchmarks", "bench.judges")
SUFFIXES = (".py", ".j2", ".css", ".js", ".json")


def results(plan: Plan, store: Store, out: Path, prices: Prices) -> FirstScreen:
    """Write a finished plan's rows, tables, exports and page into `out`, if they are not there; returns what
    a terminal shows first.
    """
    stamp, overlaps = out / STAMP, overlap_steps(plan)
    known = _stamped(out)
    made_of = _made_of(plan, overlaps, store, prices)
    whole = known.of == made_of and all(map(store.is_done, overlaps)) and _are_there(out, known)
    if whole and (screen := _screen(out)):
        return screen
    from harness.results import write  # it draws tables, for which it imports much

    if not writable(out):
        with TemporaryDirectory(prefix="bench-") as aside:
            return write.write(plan, store, Path(aside), prices, []).screen
    # Is of nothing before the first file changes: a folder of which a kill left half must not look whole.
    earlier = known.tables
    out.mkdir(parents=True, exist_ok=True)
    trials = {name: state for name, state in known.files.items() if name == TRIALS}
    jsonl.replace(stamp, json.dumps({"of": "", "files": trials, "tables": earlier}))
    tuned = _with_trials(plan.suite, out, TRIALS in known.files)
    written = write.write(plan, store, out, prices, earlier)
    jsonl.replace(out / SCREEN, terminal.dumped(written.screen))
    # An artifact may have been made again, by another process, after it was read.
    same = made_of == _made_of(plan, overlaps, store, prices)
    files = {name: _state(out / name) for name in (*written.files, *tuned, SCREEN)}
    read = [name for name in files if name.endswith(".jsonl") or name == BENCHMARKS]
    rows = {name: jsonl.checksum(out / name) for name in read}
    told = {"of": made_of if same else "", "files": files, "tables": written.tables, "rows": rows}
    jsonl.replace(stamp, json.dumps(told))
    return written.screen


def trials_of(suite: Suite) -> Path | None:
    """The trials that a suite's settings come from; ValueError where they are not where it says."""
    if suite.tuned is None:
        return None
    path = Path(suite.tuned) / TRIALS
    with at_key("tuned"):
        if not path.is_file():
            raise ValueError(f"no file {path}, which `bench tune` writes; without the key none is wanted")
    return path


def _with_trials(suite: Suite, out: Path, had: bool) -> list[str]:
    """Put the trials of a suite's settings beside its results, from which the page draws them."""
    if trials := trials_of(suite):
        shutil.copyfile(trials, out / TRIALS)
        return [TRIALS]
    if had:
        (out / TRIALS).unlink(missing_ok=True)
    return []


def show_results(plan: Plan, store: Store, out: Path, prices: Prices, registry: bool) -> None:
    """Write a plan's results into `out`, where it can be, and print what a terminal shows first of them."""
    screen, width = results(plan, store, out, prices), terminal.terminal_width()
    typer.echo(terminal.text(screen, [out], width, styled=sys.stdout.isatty(), registry=registry), nl=False)


def writable(folder: Path) -> bool:
    """Whether files can be written into a folder that is there or is to be made."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return os.access(there, os.W_OK | os.X_OK)


class Stamp(BaseModel):
    """What a run's folder says of how it was written."""

    of: str = ""
    files: dict[str, tuple[int, int]] = {}
    tables: list[Annotated[str, Field(pattern=r"^[^/]+$")]] = []  # they are removed where they are no more
    rows: dict[str, str] = {}


def _stamped(out: Path) -> Stamp:
    """The stamp of a folder; of nothing where it has none that can be read, so that all is written anew."""
    try:
        return Stamp.model_validate(jsonl.stamped(out))
    except ValidationError:
        return Stamp()


def _screen(out: Path) -> FirstScreen | None:
    """What a terminal showed first; None where nobody can read it."""
    try:
        return terminal.loaded((out / SCREEN).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _are_there(out: Path, known: Stamp) -> bool:
    """Whether all files are there as they were written."""
    files = known.files.items()
    states = all((out / name).is_file() and _state(out / name) == [*state] for name, state in files)
    return states and all(jsonl.checksum(out / name) == digest for name, digest in known.rows.items())


def _state(path: Path) -> list[int]:
    at = path.stat()
    return [at.st_size, at.st_mtime_ns]


def _made_of(plan: Plan, overlaps: list[Step], store: Store, prices: Prices) -> str:
    """A hash of all that a plan's results are made of."""
    suite = plan.suite
    chosen, judges = suite.benchmarks.chosen, suite.judges
    setting = plan.cells[0].setting
    files = {setting.method_file, *(c.benchmark.file for c in chosen.values())}
    files |= {judge.kind.file for judge in judges.values()}
    checks = sorted((store.root / JUDGE_CHECK.name).glob(f"*/{RECORD}"))
    plugins = [point.module.partition(".")[0] for group in PLUGINS for point in entry_points(group=group)]
    parts = [
        code_hash((*SOURCES, *plugins)),
        sorted(extension_file.digest(file) for file in files if file),
        suite.model_dump(mode="json", exclude={"track", "judges", "benchmarks", "tuning"}),
        extension_file.digest(str(trials)) if (trials := trials_of(suite)) else "",
        # Their settings as they are: `exclude` leaves out of a dump what is no part of an id.
        [(name, judge.kind.name, repr(judge.settings)) for name, judge in judges.items()],
        [(name, repr(one.settings)) for name, one in chosen.items()],
        benchmarks.benchmarks(suite).text(),
        setting.machine.device,
        [_row(cell) for cell in plan.cells],
        [(step.kind.name, step.id, step.label) for step in (*plan.steps, *overlaps)],
        # Whoever reads an artifact sees whether it is whole; here it is enough that it is the same.
        [_state(folder / RECORD) for step in plan.steps if (folder := store.find(step))],
        [(path.parent.name, _state(path)) for path in checks],
        sorted((model, price.input, price.output) for model, price in prices.items()),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _row(cell: Cell) -> list[Any]:
    source = cell.source.id if isinstance(cell.source, Step) else repr(cell.source)
    measures = [(n, key, step.id) for n, steps in cell.measures.items() for key, step in steps.items()]
    key = cell.pair, cell.dataset, cell.method, cell.world_seed, cell.seed
    return [key, source, measures, list(cell.missing.items())]


def code_hash(packages: Iterable[str]) -> str:
    """A hash of the code of some packages, and of what it reads."""
    digest = hashlib.sha256()
    # Of all files rather than of a version: whoever edits a table wants to see it at the next run.
    for path in sorted({path for package in packages for path in _files(package)}):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _files(package: str) -> Iterator[Path]:
    spec = find_spec(package)
    assert spec, package
    for place in spec.submodule_search_locations or ():
        for top, _, names in os.walk(place):
            yield from (Path(top) / name for name in names if name.endswith(SUFFIXES))
    if spec.origin:
        yield Path(spec.origin)
