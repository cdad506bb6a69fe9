"""One step in a worker: a process of its own, perhaps on another machine, that shares the store's folder."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from harness.common import devices
from harness.endpoints import session
from harness.endpoints.prices import Prices
from harness.executors.protocol import ExecutorContext, Outcome
from harness.store.step import Step
from harness.store.store import Store

RETRIES = 2  # of a step whose worker died
UNTIL_SEEN = 60.0  # seconds in which a shared folder shows what another machine published


@dataclass(frozen=True)
class Job:
    """All that a worker needs to know. `log`: a file for what the step prints, where nobody else keeps it."""

    step: Step
    store: Path
    logs: Path
    prices: Prices
    threads: int
    folder: str  # what relative paths of the suite start from
    log: Path | None = None


def job(step: Step, context: ExecutorContext, log: Path | None = None) -> Job:
    """A step as a job, with the paths of a run that may be relative made whole."""
    root, logs = context.store.root.resolve(), context.logs.resolve()
    threads = context.resources.threads(step)
    return Job(step, root, logs, context.prices, threads, os.getcwd(), log)


def run_job(given: Job) -> Outcome:
    """Make a step here, with a session of its own; a fault that is told by a line is told in the outcome."""
    devices.by_itself()  # a job's scheduler may have started it as one of several
    os.chdir(given.folder)  # relative paths of a suite mean the folder of the command, not of the worker
    store = Store(given.store)
    with _kept(given.log) if given.log else nullcontext():
        set_threads(given.threads)
        _await_inputs(given.step, store)
        with session.open_session(given.prices, None, None, given.logs, store.root / "replies"):
            return make_in_session(given.step, store)


def make_in_session(step: Step, store: Store) -> Outcome:
    """Make a step in the session of this process."""
    began = time.perf_counter()
    try:
        store.make(step)
    except (ValueError, OSError) as e:
        fault = " ".join(f"{e}".split()) or type(e).__name__
        return Outcome(step, time.perf_counter() - began, fault=fault, mendable=isinstance(e, ValueError))
    return Outcome(step, time.perf_counter() - began)


def set_threads(threads: int) -> None:
    """Set the number of threads of torch and of every library beside it, loaded or not: the last bits of a
    sum depend on it.
    """
    from threadpoolctl import threadpool_limits

    os.environ["OMP_NUM_THREADS"] = str(threads)
    threadpool_limits(threads)
    if "torch" in sys.modules:  # a step may do without it, and it takes seconds
        sys.modules["torch"].set_num_threads(threads)


def _await_inputs(step: Step, store: Store) -> None:
    until = time.monotonic() + UNTIL_SEEN
    while not all(map(store.is_done, step.sources.values())) and time.monotonic() < until:
        time.sleep(0.5)


@contextmanager
def _kept(log: Path) -> Iterator[None]:
    """Send what this process prints to a file, where the last words of one that dies can be read."""
    log.parent.mkdir(parents=True, exist_ok=True)
    before = os.dup(1), os.dup(2)
    opened = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
    try:
        os.dup2(opened, 1)
        os.dup2(opened, 2)
        yield
    finally:
        for ours, number in zip(before, (1, 2), strict=True):
            os.dup2(ours, number)
            os.close(ours)
        os.close(opened)
