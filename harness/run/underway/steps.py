"""The steps of a plan under way, as people are told of them."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from harness.common.text import printed
from harness.executors.protocol import Estimate
from harness.run.underway.time_left import Left, TimeLeft
from harness.store.step import Step
from harness.store.store import Store

FRESH = 2.0  # seconds for which a time left is told; it goes over all steps
MINUTES, HOURS = 90, 5400  # seconds from which on others than seconds are told


class Inside(NamedTuple):
    """A step that runs, and how far it is."""

    step: Step
    told: str


class Underway:
    """What is done of a plan's steps, what runs since when, and the time left."""

    def __init__(self, steps: Sequence[Step], store: Store, estimate: Estimate) -> None:
        self._store = store
        waiting = [s for s in steps if not store.is_done(s)]
        self.total, self.before = len(steps), len(steps) - len(waiting)
        self.running: dict[str, tuple[Step, float]] = {}  # by id, with when it began
        self._waiting = {s.id: s for s in waiting}  # those that run among them
        self._lost: set[str] = set()  # ids of what failed or stands on it
        done = [s for s in steps if s.id not in self._waiting] if waiting else []
        self._times, self._lanes = TimeLeft(done, store, estimate), 1
        self._told: tuple[float, str] = float("-inf"), ""

    @property
    def done(self) -> int:
        """Steps that are done, those of earlier runs among them."""
        return self.total - len(self._waiting)

    def begin(self, step: Step) -> None:
        """A step starts."""
        self.running[step.id] = step, time.perf_counter()
        here = sum("endpoint" not in s.context for s, _ in self.running.values())
        self._lanes = max(self._lanes, here)

    def end(self, step: Step, seconds: float | None = None) -> None:
        """A step is done, in so many seconds, if it was done here."""
        self.running.pop(step.id, None)
        self._waiting.pop(step.id, None)
        if seconds is not None:
            self._times.ended(step, seconds)

    def failed(self, step: Step) -> None:
        """A step failed: what stands on it will not run."""
        self.running.pop(step.id, None)
        self._lost.add(step.id)

    def inside(self) -> list[Inside]:
        """The steps that run, the first begun first, each with what it told last, else its seconds so far."""
        now = time.perf_counter()
        found = []
        for step, began in list(self.running.values()):
            news = self._store.news(step)
            found.append(Inside(step, printed(news.text) if news else f"{now - began:.0f} s"))
        return found

    def time_left(self) -> str:
        """In words, as of a moment ago."""
        now = time.monotonic()
        if now - self._told[0] > FRESH:
            self._told = now, _words(self._left())
        return self._told[1]

    def _left(self) -> Left:
        now, running = time.perf_counter(), {}
        for step, began in list(self.running.values()):
            news = self._store.news(step)
            whole = self._times.seconds(step)
            if news and news.left is not None:
                running[step.id] = news.left
            elif whole is not None:
                running[step.id] = max(0.0, whole - (now - began))
        lost, todo = set(self._lost), []
        for step in list(self._waiting.values()):
            if step.id in lost or any(s.id in lost for s in step.sources.values()):
                lost.add(step.id)
            else:
                todo.append(step)
        return self._times.left(todo, running, self._lanes)


def _words(left: Left) -> str:
    seconds, unknown = left
    more = f" and {unknown} steps of which nobody can say" if unknown else ""
    if not seconds and unknown:
        return "time left: not known yet"
    if seconds < 1 and not unknown:
        return "less than a second left"
    if seconds > HOURS:
        told = f"{seconds / 3600:.1f} h"
    else:
        told = f"{seconds / 60:.0f} min" if seconds > MINUTES else f"{seconds:.0f} s"
    return f"about {told} left{more}"
