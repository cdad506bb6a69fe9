"""Runs a command for as long as the process that asked for it lives.

    python -I -S supervisor.py PARENT_PID SECONDS COMMAND ...

The command gets a session of its own, so one signal reaches all of its processes. They are told to stop, and
SECONDS later made to, when this process is told to, when the parent is gone, SIGKILL included, or when the
command's first process ends. The parent is watched by its id rather than by PR_SET_PDEATHSIG, which fires
when the parent's *thread* ends; that one guards the command against the end of this process, which has one.

On Linux what the command leaves behind becomes a child of this process, so that a process which left the
session is found too, and none waits as a zombie for an init that may never look.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import IO

SECONDS_BETWEEN_LOOKS = 0.1
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def start(
    command: list[str], seconds: float, out: IO[bytes], env: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    """The command under a supervisor of this process, out of reach of the terminal's Ctrl-C, which is ours to
    act on; what it prints goes to `out`, and `env` is added to the environment.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(seconds), *command],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, **env, "PYTHONUNBUFFERED": "1"},
    )


def main(parent: int, seconds: float, command: list[str]) -> int:
    """Exit status of the command, or 128 and the signal that ended it."""
    signals: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        signals.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    # A process that leaves the session (double fork) would go to init and never be found again.
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: _prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
    )
    # Polled: a parent's SIGKILL tells nobody, and PR_SET_PDEATHSIG is about its thread.
    while child.poll() is None and not signals and os.getppid() == parent:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    _stop(child, seconds)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _stop(child: "subprocess.Popen[bytes]", seconds: float) -> None:
    """End every process of the command's session, and those that left it."""
    _signal(child.pid, signal.SIGTERM)
    until = time.monotonic() + seconds
    while time.monotonic() < until and (child.poll() is None or _left(child.pid)):
        time.sleep(0.02)
    _signal(child.pid, signal.SIGKILL)
    child.wait()
    while orphans := _children():
        for pid in orphans:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _left(group: int) -> bool:
    """Whether the group still has a process, once the dead that are ours are buried."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    return _signal(group, 0)


def _signal(group: int, number: int) -> bool:
    """Whether there was a process in the group to be told."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _children() -> list[int]:
    """Process ids of our children; none where the system does not list them (only Linux does)."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(pid) for pid in listed.read_text().split()] if listed.exists() else []


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
