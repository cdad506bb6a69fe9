"""The process that tells one tracker of a run: `python -m harness.run.tracking.teller RUN.json TRACKER`.

Its standard input ends when the run does. A training is told when it is done, a line of metrics.jsonl a step:
of several at once a tracker would know but one.
"""

import hashlib
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from accelerate import PartialState

from harness.common.files import read_json_lines
from harness.run.tracking.notes import FOLDER, RunNotes, Told, fault_file
from harness.run.tracking.trackers import Score, tracked
from harness.store.integrity import RECORD
from harness.store.provenance import dotted_settings
from harness.train.checkpoints import METRICS
from harness.train.costs import TRAIN
from reports import build
from reports.records import run_folder
from reports.render import to_markdown
from reports.tables.table import Table

LOOK = 2.0  # seconds between two looks at what is done
HUNG = 180.0  # seconds behind the run's end in which nothing is told; W&B gives a connection up after 90
RESULTS = "results"


class _Teller:
    """A tracker, and what it has been told."""

    def __init__(self, run: RunNotes, tracker: str) -> None:
        self.run, self.tracker = run, tracker
        self.told = Told.read(Path(run.folder), tracker)
        self.ended, self.moved = threading.Event(), threading.Event()

    def tell_all(self) -> None:
        """Trainings as they are done, and when the run has ended its results."""
        last = False
        while not last:
            last = self.ended.wait(LOOK)
            for number, folder in self._waiting().items():
                self._training(number, folder)
        self._results()

    def _waiting(self) -> dict[str, Path]:
        """The trainings that are done and not told."""
        left = [number for number in self.run.trainings if number not in self.told.trainings]
        made = Path(self.run.store) / TRAIN.name
        found = {number: list(made.glob(f"*-{number}/{RECORD}")) for number in left}
        return {number: records[0].parent for number, records in found.items() if records}

    def _training(self, number: str, folder: Path) -> None:
        record = json.loads((folder / RECORD).read_bytes())
        about = dotted_settings({"label": record["label"], **record["settings"], **record["measured"]})
        about = {n: json.dumps(v) if isinstance(v, list) else v for n, v in about.items()}
        with self._run(self.run.trainings[number], "training", about) as tracker:
            for step, values in training_steps(folder):
                tracker.log(values, step)
                self.moved.set()
        self.told.trainings[number] = self.run.trainings[number]
        self._write()

    def _results(self) -> None:
        """The main tables, once, and again where they are others now."""
        folder = Path(self.run.folder)
        if not (folder / "results.jsonl").is_file():
            return
        paired = build.paired(run_folder.read(folder))
        tables = build.build(paired).get("main", [])
        text = "\n\n".join(map(to_markdown, tables))
        digest = hashlib.sha256(text.encode()).hexdigest()
        if digest in self.told.results.values():
            return
        count = len(self.told.results)
        name = f"{RESULTS}-{count + 1}" if count else RESULTS
        about = {"suite": self.run.project, "verdict": " ".join(build.verdict(paired))}
        with self._run(name, RESULTS, about) as tracker:
            tracker.scores(list(scores(tables)), text)
        self.told.results[name] = digest
        self._write()

    def _run(self, name: str, group: str, about: Mapping[str, Any]) -> Any:
        folder = Path(self.run.folder) / FOLDER
        return tracked(self.tracker, self.run.project, name, group, about, folder)

    def _write(self) -> None:
        self.told.write()
        self.moved.set()

    def watch(self) -> None:
        """Know the run's end by that of the standard input; end this process where it tells no more."""
        # Not through sys.stdin, whose lock this thread would hold where a fault ends the process: an abort.
        while os.read(0, 4096):
            pass
        self.ended.set()
        while self.moved.wait(HUNG):
            self.moved.clear()
        self.failed(f"nothing more was told for {HUNG:.0f} s")
        os._exit(1)  # a thread of a library may hang as well

    def failed(self, why: str) -> None:
        """Say why this process ends; what a library prints behind its fault says nothing."""
        fault_file(Path(self.run.folder), self.tracker).write_text(
            why.strip().split("\n")[0], encoding="utf-8"
        )

    def on_fault(self, kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
        """The same of an exception that nothing has caught, whose traceback stands in the log."""
        self.failed(f"{kind.__name__}: {fault}")
        sys.__excepthook__(kind, fault, trace)


def training_steps(folder: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """The logged optimizer steps of a training as metrics.jsonl has them, between what its probe said before
    and after.
    """
    metrics = ((row.pop("step"), row) for row in read_json_lines(folder / METRICS))
    if not (folder / "training.json").is_file():  # a store from before there was a probe
        yield from metrics
        return
    summary = json.loads((folder / "training.json").read_bytes())

    def probe(place: int, when: str) -> dict[str, float]:
        watched = {name: values[place] for name, values in summary["watched"].items()}
        return {f"probe/{name}": value for name, value in {**summary[when], **watched}.items()}

    yield 0, probe(0, "before")
    yield from metrics
    yield summary["steps"], probe(1, "after")


def scores(tables: list[Table]) -> Iterator[Score]:
    """Every number of the main tables with its interval, shares 0-1; of several tables under their titles."""
    for table in tables:
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                if isinstance(cell.value, float | int):
                    parts = table.title if len(tables) > 1 else "", row.dataset, row.method, column.name
                    yield Score("/".join(filter(None, parts)), float(cell.value), cell.low, cell.high)


def main(notes: Path, tracker: str) -> None:
    """Tell a tracker of a run until it has ended."""
    PartialState(cpu=True)  # accelerate's trackers log by it
    teller = _Teller(RunNotes.read(notes), tracker)
    sys.excepthook = teller.on_fault
    threading.Thread(target=teller.watch, daemon=True).start()
    teller.tell_all()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
