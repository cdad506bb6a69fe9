"""What a person sees while a plan runs: the kinds of steps in the order of the line, or plain lines without
a terminal.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import TYPE_CHECKING

from harness.common.text import printed
from harness.executors.scheduler import Watcher
from harness.store.step import Step
from harness.store.store import Store

if TYPE_CHECKING:
    from rich.console import Group
    from rich.progress import TaskID

NAMED = 3  # running steps that the caption names


class PlainProgress:
    """One line when a step is done; for CI and files."""

    def __init__(self, total: int) -> None:
        self.done, self.total = 0, total

    def begin(self, step: Step) -> None:
        """Nothing: the line comes when the step is done."""

    def end(self, step: Step, seconds: float) -> None:
        """Print the step and its seconds."""
        self._print(step, f"{seconds:.1f} s")

    def done_elsewhere(self, step: Step) -> None:
        """Print the step."""
        self._print(step, "by another run")

    def failed(self, step: Step, fault: str) -> None:
        """Print the fault."""
        self._print(step, f"FAILED: {fault}")

    def _print(self, step: Step, how: str) -> None:
        self.done += 1
        print(printed(f"[{self.done}/{self.total}] {step.label}  {how}"), flush=True)


class LiveProgress:
    """A bar per kind of step with the seconds since it began to run; below, the steps that run and the time
    left.
    """

    def __init__(self, steps: Sequence[Step], waiting: Sequence[Step], store: Store) -> None:
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress

        columns = "{task.description}", MofNCompleteColumn(), BarColumn(20), "{task.fields[seconds]}"
        self.bars = Progress(*columns)
        self.tasks: dict[str, TaskID] = {}
        self.seconds: dict[str, list[float]] = {}  # of finished steps, by kind
        for kind, total in Counter(s.kind.name for s in steps).items():
            done = total - sum(s.kind.name == kind for s in waiting)
            self.tasks[kind] = self.bars.add_task(kind, total=total, completed=done, seconds="")
            self.seconds[kind] = [float(r["seconds"]) for r in store.records(kind)]
        self.running: dict[str, tuple[Step, float]] = {}  # by id, with when it began
        # Of the callable, not of the bars: `seconds` and the caption change between two events too.
        # Transient: the answer stands at the end, and not the last bars.
        self.live = Live(get_renderable=self.view, refresh_per_second=4, transient=True)

    def begin(self, step: Step) -> None:
        """Show the step as running."""
        self.running[step.id] = step, time.perf_counter()

    def end(self, step: Step, seconds: float) -> None:
        """Count the step."""
        self.seconds[step.kind.name].append(seconds)
        self.done_elsewhere(step)

    def done_elsewhere(self, step: Step) -> None:
        """Count the step, whose seconds are not known here."""
        self.running.pop(step.id, None)
        self.bars.advance(self.tasks[step.kind.name])

    def failed(self, step: Step, fault: str) -> None:
        """Print the fault above the bars; the step stays undone."""
        self.running.pop(step.id, None)
        self.live.console.print(printed(f"FAILED {step.label}: {fault}"), markup=False)

    def view(self) -> "Group":
        """The picture of this moment."""
        from rich.console import Group
        from rich.text import Text

        for kind, task in self.tasks.items():
            since = [began for step, began in self.running.values() if step.kind.name == kind]
            seconds = f"{time.perf_counter() - min(since):.0f} s" if since else ""
            self.bars.update(task, seconds=seconds)
        labels = [printed(step.label) for step, _ in self.running.values()]
        more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
        return Group(self.bars, Text(f"{', '.join(labels[:NAMED])}{more}; {self._time_left()}"))

    def _time_left(self) -> str:
        """By the mean of the finished steps of each kind: one step in ten may take most of a plan's time, so
        rich's estimate from the speed of counting would be far off.
        """
        waiting = {task.description: task.remaining or 0 for task in self.bars.tasks if task.remaining}
        if any(not self.seconds[kind] for kind in waiting):
            return "time left: not known yet"
        seconds = sum(n * fmean(self.seconds[kind]) for kind, n in waiting.items())
        seconds /= max(len(self.running), 1)
        return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {seconds:.0f} s left"


@contextmanager
def show_progress(steps: Sequence[Step], store: Store) -> Iterator[Watcher]:
    """A live table on a terminal, plain lines where there is none or CI is set."""
    waiting = [s for s in steps if not store.is_done(s)]
    # CI systems often have a terminal that keeps every frame of a live view.
    if not waiting or not sys.stdout.isatty() or os.environ.get("CI"):
        yield PlainProgress(len(waiting))
        return
    live = LiveProgress(steps, waiting, store)
    with live.live:
        yield live
