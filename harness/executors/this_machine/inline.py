"""One step after the other in this process: no dependency, no start-up."""

import time
from collections.abc import Callable

from harness.executors.job import set_threads
from harness.executors.protocol import Outcome
from harness.executors.resources import one_thread
from harness.store.step import Step, StepLost
from harness.store.store import Store


class Inline:
    """Runs a step when its end is asked for; what it raises is raised there, unless that is the step's own
    end (`StepLost`).
    """

    def __init__(self, store: Store, threads: Callable[[Step], int] = one_thread) -> None:
        self._store, self._threads = store, threads
        self._step: Step | None = None

    def has_room(self, step: Step) -> bool:
        """One step at a time."""
        return self._step is None

    def begin(self, step: Step) -> None:
        """Remember the step."""
        self._step = step

    def ended(self, seconds: float) -> list[Outcome]:
        """Run it."""
        if self._step is None:
            return []
        step, self._step = self._step, None
        set_threads(self._threads(step))
        began = time.perf_counter()
        # Not `make`, which would wait: while another run is at this step, others of the plan can be made.
        made, fault = False, ""
        try:
            made = self._store.attempt(step) is not None
        except StepLost as lost:
            fault = " ".join(f"{lost}".split())
        return [Outcome(step, time.perf_counter() - began, made, fault, mendable=bool(fault))]

    def close(self) -> None:
        """Nothing is left running."""
