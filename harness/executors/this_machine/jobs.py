"""Steps side by side in processes of this machine, by the standard library's pool: no dependency.

Each worker is a pool of one process, so that one that dies costs its own step alone, which is tried again.
Workers are forks of a server that has imported what the steps need; those of CPUs stay alive between steps,
those of GPUs see their own GPUs alone and end with their step, which frees the memory.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import connection
from pathlib import Path
from typing import NamedTuple

import typer

from harness.common import shutdown
from harness.common.devices import VISIBLE
from harness.common.text import printed
from harness.executors.job import RETRIES, Job, job, run_job
from harness.executors.protocol import ExecutorContext, Outcome
from harness.executors.this_machine.room import Room
from harness.store.step import Step


class Ended(NamedTuple):
    """How a step ended in a worker; `stopped`: how far it came before SIGTERM, None where it went through."""

    outcome: Outcome
    stopped: str | None = None


class Worker:
    """A pool of one process, which sees these GPUs."""

    def __init__(self, gpus: tuple[str, ...]) -> None:
        self.gpus = gpus
        env = {VISIBLE: ",".join(gpus)} if gpus else {}
        context = multiprocessing.get_context("forkserver")  # CUDA does not survive a fork of this process
        self._pool = ProcessPoolExecutor(1, context, _begin, (env,))
        self._pid = self._pool.submit(os.getpid)

    def submit(self, given: Job) -> "Future[Ended]":
        """Hand a job over."""
        return self._pool.submit(_run, given)

    def signal(self, number: int) -> None:
        """Send a signal; to none where the process is gone or has not begun."""
        with contextlib.suppress(BrokenProcessPool, ProcessLookupError):
            os.kill(self._pid.result(), number)

    def close(self) -> None:
        """End the process, which is idle or gone."""
        self._pool.shutdown()


@dataclass(frozen=True)
class Running:
    """A step under way, and how often its worker died before."""

    step: Step
    worker: Worker
    log: Path
    deaths: int = 0


class Jobs:
    """Runs as many steps at once as `room` has place for, which import what `preload` names."""

    def __init__(self, context: ExecutorContext, room: Room, preload: Sequence[str]) -> None:
        self._context, self._room = context, room
        self._idle: list[Worker] = []
        self._running: dict[Future[Ended], Running] = {}
        # A name that cannot be imported is passed over; the step that wants it will say so.
        multiprocessing.set_forkserver_preload([__name__, *preload])

    def has_room(self, step: Step) -> bool:
        """Whether CPUs and GPUs are free for the step."""
        return self._room.admits(step)

    def begin(self, step: Step) -> None:
        """Hand the step to an idle worker, or to a new one."""
        # SIGTERM waits: a step that runs and is not noted would not be told, and hold up the end.
        with shutdown.deferred():
            gpus = self._room.take(step)
            worker = self._idle.pop() if self._idle and not gpus else Worker(gpus)
            log = self._context.logs.resolve() / f"{step.kind.name}-{step.id}.log"
            self._submit(Running(step, worker, log))

    def ended(self, seconds: float) -> list[Outcome]:
        """The steps that are done; one whose worker died too often is a fault with its log."""
        ready, _ = wait(self._running, seconds, FIRST_COMPLETED)
        found = [self._outcome(future) for future in ready]
        return [outcome for outcome in found if outcome]

    def close(self) -> None:
        """End all workers. After SIGTERM those that run are told and waited for, since a training writes a
        checkpoint first; otherwise they are killed.
        """
        number = signal.SIGTERM if shutdown.requested() else signal.SIGKILL
        try:
            for running in self._running.values():
                running.worker.signal(number)
            for future, running in self._running.items():
                with contextlib.suppress(BrokenProcessPool, shutdown.Terminated):
                    stopped = future.result().stopped
                    if stopped:
                        typer.echo(printed(f"{running.step.label}: stopped{stopped}"))
        finally:
            for running in self._running.values():
                running.worker.signal(signal.SIGKILL)
            for worker in (*(r.worker for r in self._running.values()), *self._idle):
                worker.close()

    def _submit(self, running: Running) -> None:
        self._running[running.worker.submit(job(running.step, self._context, running.log))] = running

    def _outcome(self, future: "Future[Ended]") -> Outcome | None:
        """How a step ended; None where it is tried again."""
        running = self._running.pop(future)
        step, worker, log = running.step, running.worker, running.log
        try:
            outcome = future.result().outcome._replace(step=step)
        except BrokenProcessPool:
            worker.close()
            if running.deaths < RETRIES:
                self._submit(replace(running, worker=Worker(worker.gpus), deaths=running.deaths + 1))
                return None
            outcome = Outcome(step, fault=f"its worker died {RETRIES + 1} times; log {log}")
        except Exception as e:
            with log.open("a") as f:
                f.write(printed("".join(traceback.format_exception(e))))
            outcome = Outcome(step, fault=f"{type(e).__name__}: {e}; log {log}")
            self._free(worker)
        else:
            self._free(worker)
            if log.exists() and not log.stat().st_size:
                log.unlink()
        self._room.free(step)
        return outcome

    def _free(self, worker: Worker) -> None:
        if worker.gpus:
            worker.close()
        else:
            self._idle.append(worker)


def _begin(env: Mapping[str, str]) -> None:
    """The start of a worker, which ends with its parent, even where that one is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    shutdown.listen()
    # As in a process that nobody started: a lock that a library makes (tqdm does) would otherwise be one that
    # outlives a worker which is killed, of which Python warns at the end.
    multiprocessing.set_start_method(None, force=True)
    os.environ.update(env)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent, "of a worker"
    connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGKILL)  # an orderly end would wait for the step


def _run(given: Job) -> Ended:
    try:
        if shutdown.requested():  # before the step, where the pool that sends back a result swallows it
            raise shutdown.Terminated
        return Ended(run_job(given))
    except shutdown.Terminated as e:
        return Ended(Outcome(given.step), e.where)
