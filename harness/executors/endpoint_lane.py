"""Runs endpoint steps in a thread beside the executor, so that judging overlaps generation.

An endpoint's pace, what may be spent and the key in the environment are the run's; workers of their own would
each have all of it. What such a step computes is little.
"""

import queue
import threading
import time
from contextvars import copy_context

from harness.endpoints.servers import is_served_here
from harness.executors.job import make_in_session
from harness.executors.protocol import Executor, ExecutorContext, Outcome
from harness.store.step import Step

LOOK = 0.2  # seconds between two looks at the lane while the other executor is waited for


class EndpointLane:
    """An executor for all steps, from one for those that ask no endpoint."""

    def __init__(self, others: Executor, context: ExecutorContext) -> None:
        self._others, self._context = others, context
        self._theirs = 0  # steps that the other executor runs
        self._thread: threading.Thread | None = None
        self._ends: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()

    def has_room(self, step: Step) -> bool:
        """One of ours, any number of the others that they have room for."""
        return self._thread is None if self._is_ours(step) else self._others.has_room(step)

    def begin(self, step: Step) -> None:
        """Start a thread that ends with this process, or hand the step on."""
        if not self._is_ours(step):
            self._theirs += 1
            self._others.begin(step)
            return
        # A daemon, which a second Ctrl-C need not wait for; the context holds the session of this run.
        inside = copy_context()
        self._thread = threading.Thread(target=inside.run, args=(self._run, step), daemon=True)
        self._thread.start()

    def ended(self, seconds: float) -> list[Outcome]:
        """What ended on either side."""
        until, look = time.monotonic() + seconds, min(seconds, LOOK) if self._thread else seconds
        while True:
            theirs = self._others.ended(look) if self._theirs else []
            self._theirs -= len(theirs)
            found = [*theirs, *self._ours(0.0 if theirs or self._theirs else seconds)]
            if found or time.monotonic() >= until:
                return found

    def close(self) -> None:
        """Stop the others; our thread ends with the process."""
        self._others.close()

    def _is_ours(self, step: Step) -> bool:
        """A server of our own is started where the step runs, unless what it may be asked is limited."""
        where = step.context.get("endpoint")
        return where is not None and (not is_served_here(where) or self._context.limited)

    def _run(self, step: Step) -> None:
        try:
            self._ends.put(make_in_session(step, self._context.store))
        except BaseException as e:  # raised in the main thread
            self._ends.put(e)

    def _ours(self, seconds: float) -> list[Outcome]:
        if self._thread is None:
            return []
        try:
            found = self._ends.get(timeout=seconds)
        except queue.Empty:
            return []
        self._thread.join()
        self._thread = None
        if isinstance(found, BaseException):
            raise found
        return [found]
