"""Code of others in a process of its own, which may die, hang or change what it likes without harm to ours.

first_fault(attempt, [("m.py", "Hinge")], 60)    ->    Fault(0, "its process was killed (SIGSEGV)", ...)
"""

import contextlib
import faulthandler
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from harness.common import devices

GRACE = 5.0  # seconds beyond a limit: of what hears no signal, then of what stops faulthandler's clock
SPAWN_SECONDS = 60.0  # until a process that is no fork has imported what the call needs
_leave = os._exit  # as it is before a file's code or what looks after it has replaced it


class Fault(NamedTuple):
    """What was wrong with a call, by its number from 0. `trace`: where it was when its process ended or it
    raised something else, the last call first; None for a ValueError, which says it itself.
    """

    number: int
    words: str
    trace: str | None = None


def first_fault(
    attempt: Callable[..., None], calls: Sequence[tuple[Any, ...]], seconds: float
) -> Fault | None:
    """The first call of a module's function that raises, ends its process, or is not done in so many seconds;
    None where all return.
    """
    # A fork starts at once and has all modules; where a GPU's driver may be in use it cannot compute.
    forks = sys.platform == "linux" and not devices.gpu_count()
    context: Any = multiprocessing.get_context("fork" if forks else "spawn")
    reading, writing = context.Pipe(duplex=False)
    process: BaseProcess = context.Process(target=_call, args=(writing, attempt, calls, seconds))
    process.start()
    writing.close()
    try:
        limit = seconds + 2 * GRACE + (0.0 if forks else SPAWN_SECONDS)
        said, in_time = _said(reading, process, len(calls), limit)
    finally:
        process.kill()
        process.join()
        reading.close()
    told = [json.loads(line) for line in said.splitlines() if line.startswith("[")]
    if told and told[-1]:
        return Fault(len(told) - 1, *told[-1])
    if len(told) == len(calls):
        return None
    late = not in_time or "\nTimeout (" in f"\n{said}"
    words = f"not done in {seconds:g} seconds" if late else f"its process {how_ended(process)}"
    return Fault(len(told), words, said)


def how_ended(process: BaseProcess) -> str:
    """How a process ended: "was killed (SIGSEGV)" or "ended with exit code 3"."""
    code = process.exitcode or 0
    return f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with exit code {code}"


def _said(
    reading: "connection.Connection[Any, Any]", process: BaseProcess, calls: int, seconds: float
) -> tuple[str, bool]:
    """What the process wrote until it had told of all calls or ended, and whether it was in time."""
    said, lines, until = b"", 0, time.monotonic() + seconds
    while lines < calls:
        if not connection.wait([reading, process.sentinel], max(0.0, until - time.monotonic())):
            return said.decode(errors="replace"), False
        # Looked at anew: its last words may have come between the looks at the pipe and at its end.
        more = os.read(reading.fileno(), 2**16) if reading.poll() else b""
        if not more:  # it closed the pipe, or is gone
            process.join(GRACE)
            break
        if b"\n" in more:
            until = time.monotonic() + seconds
        said += more
        lines = said.count(b"]\n")
    return said.decode(errors="replace"), True


def _call(
    writing: "connection.Connection[Any, Any]",
    attempt: Callable[..., None],
    calls: Sequence[tuple[Any, ...]],
    seconds: float,
) -> None:
    """The life of the process: a line of JSON for each call, an empty list where it returned."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if torch := sys.modules.get("torch"):  # whose other threads did not come along with a fork
            torch.set_num_threads(1)
        sys.breakpointhook = lambda *_, **__: None  # those are for the training, which may have a terminal
        told = writing.fileno()
        faulthandler.disable()  # where it is on, its handlers are not set anew, and Ray replaces them
        faulthandler.enable(told)
        for call in calls:
            faulthandler.dump_traceback_later(seconds + GRACE, exit=True, file=told)
            fault = _fault(attempt, call)
            os.write(told, f"{json.dumps(fault)}\n".encode())
            if fault:
                break
        with contextlib.suppress(Exception):  # of streams that were closed or replaced
            sys.stdout.flush()
            sys.stderr.flush()
    finally:
        _leave(0)  # no thread that goes on is waited for, and nothing is run that the code left for the end


def _fault(attempt: Callable[..., None], call: tuple[Any, ...]) -> list[str | None]:
    try:
        attempt(*call)
    except ValueError as e:
        return [str(e), None]
    except BaseException as e:  # a KeyboardInterrupt of the code's own, too
        return [repr(e), "".join(reversed(traceback.format_tb(e.__traceback__)))]
    return []
