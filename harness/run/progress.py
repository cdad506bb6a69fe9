"""What a person sees while a plan runs: the kinds of steps in the order of the line, or plain lines without
a terminal.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.executors.scheduler import Watcher
from harness.store.step import Step
from harness.store.store import Store

if TYPE_CHECKING:
    from rich.table import Table

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
        print(f"[{self.done}/{self.total}] {step.label}  {how}", flush=True)


class LiveProgress:
    """A table of the line: per kind of step how many are done, how many run and since when, the time left."""

    def __init__(self, steps: Sequence[Step], waiting: Sequence[Step], store: Store) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self.kinds = list(dict.fromkeys(s.kind for s in steps))
        self.total = {k: sum(s.kind == k for s in steps) for k in self.kinds}
        self.left = {k: sum(s.kind == k for s in waiting) for k in self.kinds}
        self.spent: dict[str, list[float]] = {
            k: [float(r["seconds"]) for r in store.records(k)] for k in self.kinds
        }
        self.running: dict[str, tuple[Step, float]] = {}  # by id, with when it began
        self.live = RichLive(get_renderable=self.table, console=Console(), refresh_per_second=4)

    def begin(self, step: Step) -> None:
        """Show the step as running."""
        self.running[step.id] = step, time.perf_counter()

    def end(self, step: Step, seconds: float) -> None:
        """Count the step."""
        self.spent[step.kind].append(seconds)
        self.done_elsewhere(step)

    def done_elsewhere(self, step: Step) -> None:
        """Count the step, whose seconds are not known here."""
        self.running.pop(step.id, None)
        self.left[step.kind] -= 1

    def failed(self, step: Step, fault: str) -> None:
        """Print the fault above the table; the step stays undone."""
        self.running.pop(step.id, None)
        self.live.console.print(f"FAILED {step.label}: {fault}", markup=False)

    def table(self) -> "Table":
        """The picture of this moment."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for title in ("step", "done", "", "seconds"):
            table.add_column(title, justify="right" if title == "seconds" else "left")
        running = list(self.running.values())
        for kind in self.kinds:
            done, total = self.total[kind] - self.left[kind], self.total[kind]
            bar = "#" * round(20 * done / total) + "." * (20 - round(20 * done / total))
            since = [began for step, began in running if step.kind == kind]
            seconds = f"{time.perf_counter() - min(since):.0f}" if since else ""
            table.add_row(kind, f"{done}/{total}", bar, seconds)
        labels = [step.label for step, _ in running]
        more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
        table.caption_justify = "left"
        table.caption = f"{', '.join(labels[:NAMED])}{more}; {self._time_left(len(labels))}"
        return table

    def _time_left(self, at_once: int) -> str:
        waiting = {k: n for k, n in self.left.items() if n}
        if any(not self.spent[k] for k in waiting):
            return "time left: not known yet"
        seconds = sum(n * sum(self.spent[k]) / len(self.spent[k]) for k, n in waiting.items())
        seconds /= max(at_once, 1)
        return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {seconds:.0f} s left"


@contextmanager
def show_progress(steps: Sequence[Step], store: Store) -> Iterator[Watcher]:
    """A live table on a terminal, plain lines where there is none or CI is set."""
    waiting = [s for s in steps if not store.find(s)]
    if not waiting or not sys.stdout.isatty() or os.environ.get("CI"):
        yield PlainProgress(len(waiting))
        return
    live = LiveProgress(steps, waiting, store)
    with live.live:
        yield live
