"""SIGTERM, which a scheduler sends before it takes the machine: the process ends with a code that asks for
another start.

Most steps end where they are, since what they have written outlives them. One that must write first defers
the signal and looks at `asked` where it can stop.
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
    def told(self) -> str:
        """What the person or the scheduler's log should read."""
        return f"stopped by SIGTERM{self.where}; the same command goes on"


class _State:
    asked = False
    deferred = 0
    file: Path | None = None


_state = _State()


def listen(file: Path | None = None) -> None:
    """From now on SIGTERM raises `Terminated` in the main thread, once; a deferred one waits. `file` is one
    that another process makes in its place; it is seen where `asked` is.
    """
    _state.asked, _state.file = False, file
    signal.signal(signal.SIGTERM, _on_signal)


def _on_signal(number: int, frame: FrameType | None) -> None:
    first, _state.asked = not _state.asked, True
    if first and not _state.deferred:
        raise Terminated


def asked() -> bool:
    """Whether SIGTERM has come, or the file in its place."""
    return _state.asked or (_state.file is not None and _state.file.exists())


@contextmanager
def deferred() -> Iterator[None]:
    """SIGTERM waits until the end of this block, unless the block looks at `asked` and ends itself."""
    _state.deferred += 1
    try:
        yield
    finally:
        _state.deferred -= 1
    if asked() and not _state.deferred:
        raise Terminated
