"""SIGTERM, which a scheduler sends before it takes the machine: the process ends with a code that asks for
another start.

Most steps end where they are, since what they have written outlives them. One that must write first defers
the signal and polls `requested()` where it can stop.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

REQUEUE = 75  # EX_TEMPFAIL of sysexits.h: "the user is invited to retry"


class Terminated(SystemExit):
    """The end of this process by SIGTERM; `where` is what it says of how far it came."""

    def __init__(self, where: str = "") -> None:
        super().__init__(REQUEUE)
        self.where = where

    @property
    def message(self) -> str:
        """What the person or the scheduler's log should read."""
        return f"stopped by SIGTERM{self.where}; the same command goes on"


# Of the process, as its signal handler is.
class _State:
    requested = False
    deferred = 0
    file: Path | None = None


_state = _State()


def listen(file: Path | None = None) -> None:
    """From now on SIGTERM raises `Terminated` in the main thread, once; a deferred one waits. `file` is one
    that another process makes in its place; `requested` sees it.
    """
    _state.requested, _state.file = False, file
    signal.signal(signal.SIGTERM, _on_signal)


def _on_signal(number: int, frame: FrameType | None) -> None:
    first, _state.requested = not _state.requested, True
    if first and not _state.deferred:
        raise Terminated


def requested() -> bool:
    """Whether SIGTERM has come, or the file in its place."""
    return _state.requested or (_state.file is not None and _state.file.exists())


@contextmanager
def deferred() -> Iterator[None]:
    """SIGTERM waits until the end of this block, unless the block polls `requested()` and ends itself."""
    _state.deferred += 1
    try:
        yield
    finally:
        _state.deferred -= 1
    if requested() and not _state.deferred:
        raise Terminated
