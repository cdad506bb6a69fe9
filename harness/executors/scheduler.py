"""Running a plan: every step as soon as its inputs are done; what is done is never done again."""

import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from harness.executors.protocol import Executor, Outcome
from harness.executors.this_machine.inline import Inline
from harness.store.locks import RUN
from harness.store.step import Step
from harness.store.store import Store

LOOK = 1.0  # seconds between two looks at steps that another run is at
TOLD = 3  # faults that the last line names


class StepsFailed(Exception):
    """Steps that failed in other processes, when all that do not stand on them are made. `lost`: why, by the
    id of each that failed or stands on one that did.
    """

    lost: Mapping[str, str]


class MendableFailed(StepsFailed, ValueError):
    """All by what a person can mend."""


class OthersFailed(StepsFailed, ChildProcessError):
    """Some by what nobody can tell."""


class Watcher(Protocol):
    """Is told what runs; several steps may at once."""

    def begin(self, step: Step) -> None:
        """A step starts."""

    def end(self, step: Step, seconds: float) -> None:
        """A step is done."""

    def done_elsewhere(self, step: Step) -> None:
        """A step that was to be done has been done by another run."""

    def failed(self, step: Step, fault: str) -> None:
        """A step failed; others go on."""


def run(
    steps: Sequence[Step],
    store: Store,
    watcher: Watcher,
    executor: Executor | None = None,
    rests: Mapping[str, float] = MappingProxyType({}),
) -> None:
    """Make every step that is not done; of those that are ready the one first that begins the longest chain
    (`rests`: its seconds by a step's id), else in the plan's order.

    Steps that another run is at are left to it, and waited for when nothing else is ready. In other processes
    than this, a step that fails costs those that stand on it, and here one whose end is no result does; all
    others are made before the fault is raised.
    """
    # Before and after: what a killed run left goes first, and what this one's workers leave goes at once.
    store.sweep()
    if executor is None and all(map(store.is_done, steps)):
        return  # without a lock, for which a store must be written to
    executor = executor or Inline(store)
    with store.locks.trying(f"{RUN}.{socket.gethostname()}.{os.getpid()}"):
        try:
            first = sorted(steps, key=lambda step: -rests.get(step.id, 0.0))  # a stable sort
            _Running(first, store, watcher, executor).to_the_end()
        finally:
            executor.close()
            store.sweep()


class _Running:
    """A plan under way: which steps wait, run, and failed, by id."""

    def __init__(self, steps: Sequence[Step], store: Store, watcher: Watcher, executor: Executor) -> None:
        self.store, self.watcher, self.executor = store, watcher, executor
        self.waiting = {s.id: s for s in steps if not store.is_done(s)}
        self.running: dict[str, Step] = {}
        self.faults: list[Outcome] = []
        self.lost: dict[str, str] = {}  # why, by ids of steps that failed or stand on one that did

    def to_the_end(self) -> None:
        """Begin what is ready and wait for what ends, until nothing is left."""
        while self.waiting or self.running:
            begun = self._begin()
            ended = self.executor.ended(LOOK) if self.running else []
            for outcome in ended:
                self._end(outcome)
            if not (begun or ended or self.running) and self.waiting:
                time.sleep(LOOK)
        if self.faults:
            raise self._fault()

    def _begin(self) -> bool:
        """Begin what is ready, as far as there is room; whether anything changed."""
        changed = False
        for step in self._ready():
            if not self.executor.has_room(step):
                continue
            if self.store.is_done(step):
                del self.waiting[step.id]
                self.watcher.done_elsewhere(step)
            elif self.store.locks.holder(step.id):
                continue
            else:
                self.running[step.id] = self.waiting.pop(step.id)
                self.watcher.begin(step)
                self.executor.begin(step)
            changed = True
        return changed

    def _ready(self) -> Iterator[Step]:
        """The waiting steps whose inputs are done, in their order."""
        for step in list(self.waiting.values()):
            sources = {s.id for s in step.sources.values()}
            if lost := sources & self.lost.keys():
                self.lost[step.id] = self.lost[min(lost)]
                del self.waiting[step.id]
            elif not any(i in self.waiting or i in self.running for i in sources):
                yield step

    def _end(self, outcome: Outcome) -> None:
        step = self.running.pop(outcome.step.id)
        if outcome.fault:
            self.faults.append(outcome)
            self.lost[step.id] = outcome.fault
            self.watcher.failed(step, outcome.fault)
        elif outcome.made:
            self.watcher.end(step, outcome.seconds)
        else:
            self.waiting[step.id] = step

    def _fault(self) -> StepsFailed:
        told = "; ".join(f"{o.step.label}: {o.fault}" for o in self.faults[:TOLD])
        more = f"; and {len(self.faults) - TOLD} more" if len(self.faults) > TOLD else ""
        stand = len(self.lost) - len(self.faults)
        line = f"{len(self.faults)} failed: {told}{more}; {stand} stand on them; all others are done"
        mendable = all(outcome.mendable for outcome in self.faults)
        failed = MendableFailed(line) if mendable else OthersFailed(line)
        failed.lost = self.lost
        return failed
