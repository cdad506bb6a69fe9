"""A process that is killed behind a chosen call, by itself: who looks on from another may be late where the
machine is busy, and it may have ended by then.
"""

import os
import signal
from collections.abc import Callable
from functools import wraps

from tests.bench_command import forked


def killed_behind(owner: type, method: str, calls: int, run: Callable[..., object], *given: object) -> None:
    """Run a function of a module in a process that SIGKILL ends behind so many calls of a class's method."""
    process = forked(_killed, owner, method, calls, run, *given)
    process.join()
    assert process.exitcode == -signal.SIGKILL


def _killed(owner: type, method: str, calls: int, run: Callable[..., object], *given: object) -> None:
    whole, left = getattr(owner, method), calls

    @wraps(whole)
    def counted(*arguments: object) -> object:
        nonlocal left
        result, left = whole(*arguments), left - 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, method, counted)
    run(*given)
