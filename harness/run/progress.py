"""What a person sees while a plan runs: what is done of it, what runs and how far inside, and the time left;
on a terminal as it changes, elsewhere in plain lines.
"""

import contextlib
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from harness.common.text import printed
from harness.executors.protocol import Estimate, nobody_knows
from harness.executors.scheduler import Watcher
from harness.run.underway.steps import Underway
from harness.store.step import Step
from harness.store.store import Store

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.progress import TaskID
    from rich.table import Table

NAMED = 3  # running steps that a plain line names
LABEL, GAP = 20, 2  # columns that the label of a running step keeps, and behind each column
EVERY = 30.0  # seconds between two plain lines about what runs


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


class RegularProgress:
    """Plain lines, and while something runs one every so many seconds that says how far inside it is."""

    def __init__(self, underway: Underway, every: float) -> None:
        self.underway, self._every = underway, every
        self.lines = PlainProgress(underway.total - underway.before)
        self._one = threading.Lock()  # line at a time
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def begin(self, step: Step) -> None:
        """Note the step."""
        self.underway.begin(step)

    def end(self, step: Step, seconds: float) -> None:
        """Print the step and its seconds."""
        self.underway.end(step, seconds)
        with self._one:
            self.lines.end(step, seconds)

    def done_elsewhere(self, step: Step) -> None:
        """Print the step."""
        self.underway.end(step)
        with self._one:
            self.lines.done_elsewhere(step)

    def failed(self, step: Step, fault: str) -> None:
        """Print the fault."""
        self.underway.failed(step)
        with self._one:
            self.lines.failed(step, fault)

    def line(self) -> str:
        """What runs now and how far it is; "" where nothing does."""
        inside = self.underway.inside()
        if not inside:
            return ""
        named = [f"{step.label}: {told}" for step, told in inside[:NAMED]]
        more = [f"{len(inside) - NAMED} more"] if len(inside) > NAMED else []
        done = f"{self.lines.done} of {self.lines.total} done"
        return f"running {'; '.join([*named, *more, done, self.underway.time_left()])}"

    def _tell(self) -> None:
        # A reader that has gone, such as `head`, is told of by the main thread.
        with contextlib.suppress(OSError, ValueError):
            while not self._over.wait(self._every):
                with self._one:
                    if line := self.line():
                        print(printed(line), flush=True)


class LiveProgress:
    """How many steps are done and the time left; the steps that run, each with how far it is; a bar per kind
    of step.
    """

    def __init__(
        self, steps: Sequence[Step], underway: Underway, store: Store, console: "Console | None" = None
    ) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress

        self.underway, self.console = underway, console or Console()
        self.bars = Progress("{task.description}", MofNCompleteColumn(), BarColumn(20))
        self.tasks: dict[str, TaskID] = {}
        done = Counter(s.kind.name for s in steps if store.is_done(s))
        for kind, total in Counter(s.kind.name for s in steps).items():
            self.tasks[kind] = self.bars.add_task(kind, total=total, completed=done[kind])
        # Of the callable, not of the bars: what runs tells more between two events too.
        # Transient: the answer stands at the end, and not the last bars.
        self.live = Live(get_renderable=self.view, refresh_per_second=4, transient=True, console=self.console)

    def begin(self, step: Step) -> None:
        """Show the step as running."""
        self.underway.begin(step)

    def end(self, step: Step, seconds: float) -> None:
        """Count the step."""
        self.underway.end(step, seconds)
        self.bars.advance(self.tasks[step.kind.name])

    def done_elsewhere(self, step: Step) -> None:
        """Count the step, whose seconds are not known here."""
        self.underway.end(step)
        self.bars.advance(self.tasks[step.kind.name])

    def failed(self, step: Step, fault: str) -> None:
        """Print the fault above the bars; the step stays undone."""
        self.underway.failed(step)
        self.console.print(printed(f"FAILED {step.label}: {fault}"), markup=False)

    def view(self) -> "Group":
        """The picture of this moment; what a low terminal has no lines for are bars."""
        from rich.console import Group
        from rich.text import Text

        caption = f"{self.underway.done} of {self.underway.total} steps; {self.underway.time_left()}"
        return Group(Text(caption, no_wrap=True, overflow="ellipsis"), self._running(), self.bars)

    def _running(self) -> "Table":
        """A line for each step that runs, as many as leave the bars half of the terminal."""
        from rich.cells import cell_len
        from rich.table import Table
        from rich.text import Text

        inside, most = self.underway.inside(), max(NAMED, self.console.height // 2 - 2)
        # How far a step is stands whole beside a label that is cut, as long as that has some room.
        widest = max((cell_len(told) for _, told in inside[:most]), default=0)
        table = Table.grid(padding=(0, GAP, 0, 0))
        table.add_column(
            no_wrap=True, overflow="ellipsis", max_width=max(LABEL, self.console.width - 2 * GAP - widest)
        )
        table.add_column(no_wrap=True, overflow="ellipsis")
        for step, told in inside[:most]:
            table.add_row(Text(printed(step.label)), Text(told))
        if len(inside) > most:
            table.add_row(Text(f"and {len(inside) - most} more"), Text(""))
        return table


@contextmanager
def show_progress(
    steps: Sequence[Step], store: Store, estimate: Estimate = nobody_knows, every: float | None = None
) -> Iterator[Watcher]:
    """A live table on a terminal; plain lines where there is none or CI is set, `every` so many seconds."""
    underway = Underway(steps, store, estimate)
    # CI systems often have a terminal that keeps every frame of a live view.
    if underway.done == underway.total or not sys.stdout.isatty() or os.environ.get("CI"):
        with RegularProgress(underway, every or EVERY) as lines:
            yield lines
        return
    live = LiveProgress(steps, underway, store)
    with live.live:
        yield live
