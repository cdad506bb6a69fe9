"""A time limit for the code of others: files of methods and chat templates may never end."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN = 1.0  # seconds until code that swallowed it is told so once more


class TooLong(BaseException):
    """What no `except Exception` catches; a bare `except:` does, and is told again."""


@contextmanager
def in_time(seconds: float) -> Iterator[None]:
    """What is not done in time gets a `TooLong`, and another each second until it ends: only code that
    swallows them all goes on, and one call of C that hears no signal. In the main thread, which alone hears
    signals; the limit of a block around this one runs on, and is told after this one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, end)
    begun, outer, again = time.monotonic(), 0.0, 0.0
    try:
        try:
            outer, again = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # where the time ends between the two lines above as well: no limit outlives its block
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer:
            left = outer - (time.monotonic() - begun)
            signal.setitimer(signal.ITIMER_REAL, max(left, 0.001), again)  # 0 would be no limit
