"""The tiny suite over and over in one process, whose memory, handles and threads must stay flat: `make soak`.

    runs  12   19.1 s  Sample(memory=612.1, workers=1512.7, objects=589328, handles=21, threads=7, ...)
    ...
    memory of the process, MiB: 612 -> 614, +0.041 a run (bound 1)
    objects: 589328 -> 589328, +0.000 a run (bound 0.1)
    flat: 124 runs in 1203 s

Runs alternate between steps in the process itself and `--jobs 2`, each in a folder that is removed. The first
quarter of them warms up; over the rest a line is fitted to each of what was read, and its slope a run must be
within a bound. What a worker has is its most at any moment of a run.

Of memory, what the allocators keep free is given back first. What rises a little still is held by libraries:
safetensors 0.8.0 keeps two integers of each tensor that it reads, and vl-convert's engine what it compiled.
What we hold ourselves are objects, and of those not one may be left.
"""

import argparse
import atexit
import ctypes
import gc
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TextIO

import psutil

from tests.paths import TINY
from tests.reliability import forks, records

MINUTES = 20.0
MIB = float(1 << 20)
EXECUTORS = {"inline": None, "jobs": 2}
WARM_UP = 0.25  # of the samples, each of which follows one run of every executor
LEAST = 4  # samples
COMMAND = "make soak"


@dataclass(frozen=True)
class Sample:
    """What the process has after a run, MiB of memory, and the most that its workers had together; `objects`
    are those that Python's collector knows.
    """

    memory: float
    workers: float
    objects: int
    handles: int
    threads: int
    processes: int
    temporary: int


# A run may leave so much more than the one before, in the units of a sample. Python's and torch's allocators
# keep what they had, in pieces that vary; everything that is counted must not grow at all,
# though an object more or less may be there at the end.
BOUNDS = Sample(memory=1.0, workers=4.0, objects=0.1, handles=0, threads=0, processes=0, temporary=0)
NAMES = Sample("memory of the process, MiB", "most memory of workers, MiB", "objects", "open handles",
               "threads", "processes below it", "temporary files")  # type: ignore[arg-type]  # fmt: skip


class Workers(threading.Thread):
    """Looks at the processes below this one, and keeps the most memory that they had together."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.over = 0.0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.2):
            self.most = max(self.most, sum(map(_memory, psutil.Process().children(recursive=True))))


def _memory(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / MIB
    except psutil.NoSuchProcess:
        return 0.0


@contextmanager
def watched() -> Iterator[Workers]:
    """Workers are looked at meanwhile."""
    workers = Workers()
    workers.start()
    try:
        yield workers
    finally:
        workers.over.set()
        workers.join()


def one_run(folder: Path, executor: str, log: TextIO) -> float:
    """Run the suite in this process; the most memory of its workers, MiB. Some libraries keep every file that
    was ever the standard output, so `log` is one for all runs.
    """
    from harness.executors.options import RunOptions
    from harness.run import pipeline
    from tests import suites

    jobs = EXECUTORS[executor]
    options = RunOptions(executor=executor, jobs=jobs)  # type: ignore[arg-type]
    with (
        watched() as workers,
        tempfile.TemporaryDirectory(dir=folder) as runs,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        pipeline.run(suites.load(TINY), Path(runs), options)
    return workers.most


def sample(temporary: Path, workers: float, earlier: Sequence[Sample]) -> Sample:
    """What this process has now, without the earlier samples."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    own = psutil.Process()
    left = sum(1 for _ in temporary.rglob("*"))
    below = own.children(recursive=True)
    objects = len(gc.get_objects()) - len(earlier)
    return Sample(_memory(own), workers, objects, own.num_fds(), own.num_threads(), len(below), left)


def slope(values: Sequence[float]) -> float:
    """The least-squares slope of values at 0, 1, 2, ..."""
    n = len(values)
    x, y = (n - 1) / 2, sum(values) / n
    across = sum((i - x) ** 2 for i in range(n))
    return sum((i - x) * (v - y) for i, v in enumerate(values)) / across if across else 0.0


@dataclass(frozen=True)
class Trend:
    """What one executor's runs left more of, each than the one before."""

    name: str
    first: float
    last: float
    slope: float
    bound: float

    @property
    def flat(self) -> bool:
        """Whether it stays within its bound; what is counted may waver but not rise."""
        return self.slope <= self.bound or self.last <= self.first

    def __str__(self) -> str:
        told = f"{self.first:.0f} -> {self.last:.0f}, {self.slope:+.3f} a run (bound {self.bound:g})"
        return f"{self.name}: {told}" + ("" if self.flat else " RISES")


def trends(samples: Sequence[Sample]) -> list[Trend]:
    """The trend of each value behind the warm-up."""
    warm = samples[int(len(samples) * WARM_UP) :]
    found = []
    for field in fields(Sample):
        values = [asdict(one)[field.name] for one in warm]
        name, bound = getattr(NAMES, field.name), getattr(BOUNDS, field.name)
        found.append(Trend(name, values[0], values[-1], slope(values) / len(EXECUTORS), bound))
    return found


def main(words: list[str] | None = None) -> int:
    """Exit status 0 where all is flat."""
    parser = argparse.ArgumentParser(description="Run the tiny suite over and over.")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    records.option(parser)
    asked = parser.parse_args(words)
    minutes = asked.minutes
    name = tempfile.mkdtemp(prefix="soak-")
    # The first that is registered is the last that runs: behind multiprocessing, whose folder lies in it.
    atexit.register(shutil.rmtree, name, ignore_errors=True)
    folder, temporary = Path(name) / "runs", Path(name) / "tmp"
    folder.mkdir()
    temporary.mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    forks.prepare()
    began, samples = time.monotonic(), list[Sample]()
    with (folder / "said.log").open("w") as log:
        while time.monotonic() - began < 60 * minutes or len(samples) < LEAST:
            started = time.monotonic()
            most = max([one_run(folder, executor, log) for executor in EXECUTORS])
            samples.append(now := sample(temporary, most, samples))
            print(f"runs {2 * len(samples):3}  {time.monotonic() - started:5.1f} s  {now}", flush=True)
    found = trends(samples)
    for trend in found:
        print(trend)
    seconds, rising = time.monotonic() - began, [str(t) for t in found if not t.flat]
    rows = [_row(2 * len(samples), seconds, trend) for trend in found]
    command = COMMAND if minutes == MINUTES else f'{COMMAND} OPTIONS="--minutes {minutes:g}"'
    records.write(asked.record, "soak", records.Found(command, round(seconds), rows, rising))
    print(f"{'rises' if rising else 'flat'}: {2 * len(samples)} runs in {seconds:.0f} s")
    return bool(rising)


def _row(runs: int, seconds: float, trend: Trend) -> records.Row:
    """A line of the page."""
    return records.Row(
        f"{runs} runs of the tiny suite in one process, {seconds / 60:.0f} minutes",
        "steps in the process itself and with `--jobs 2` by turns",
        str(trend),
        "nothing" if trend.flat else "it grows",
    )


if __name__ == "__main__":
    sys.exit(main())
