"""Runs the parts in a process of their own, and goes on with the next where one takes that process with it.

A fault on a GPU may leave no context to go on with, and a kernel may hang: neither ends the check.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from tests.gpu.check import LINES, Line

GRACE = 60.0  # seconds that the part under way may go on after the budget's end


def run(
    parts: Mapping[str, str], out: Path, folder: Path, *, budget: float, small: bool, grace: float = GRACE
) -> list[Line]:
    """Every line of a check, which are in `out` as well."""
    began, written = time.time(), list[Line]()
    out.mkdir(parents=True, exist_ok=True)
    with (out / LINES).open("a") as file:

        def write(part: str, **said: object) -> None:
            line = {"part": part, "at": round(time.time() - began, 1), **said}
            written.append(line)
            text = json.dumps(line)
            print(text, flush=True)
            file.write(text + "\n")
            file.flush()

        rest = dict(parts)
        while rest and time.time() < began + budget:
            for line in _until_it_ends(rest, folder, began + budget, small, grace):
                rest.pop(line["part"], None)
                if "begins" not in line:
                    write(**line)
        for name in rest:
            write(name, left_out=f"the budget of {budget:g} s is spent")
    return written


def _until_it_ends(
    parts: Mapping[str, str], folder: Path, until: float, small: bool, grace: float
) -> Iterator[Line]:
    """The lines of one process, and a last one of what it died of."""
    asked = json.dumps({"parts": dict(parts), "folder": str(folder), "until": until, "small": small})
    command = [sys.executable, "-m", "tests.gpu.worker", asked]
    # In a session of its own, so that what a part has started ends with it.
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert child.stdout
    running, late, idle = "", False, True
    try:
        for text in _lines(child.stdout, until + grace):
            if text is None:
                late = True
                break
            line: Line = json.loads(text)
            idle = False
            running = line["part"] if "begins" in line else running
            if "seconds" in line or "error" in line or "absent" in line:
                running = ""
            yield line
    finally:
        if late or child.poll() is None:
            _end(child, at_once=late)
    if running:
        told = f"not over {grace:g} s after the budget's end" if late else f"exit code {child.returncode}"
        yield {"part": running, "error": f"its process ended: {told}"}
    elif child.returncode and idle:  # not one of them began: without a word they would be tried for ever
        yield {"part": next(iter(parts)), "error": f"its process ended: exit code {child.returncode}"}


def _end(child: "subprocess.Popen[str]", at_once: bool) -> None:
    if not at_once:
        try:
            child.wait(GRACE)
            return
        except subprocess.TimeoutExpired:
            pass
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _lines(stream: IO[str], until: float) -> Iterator[str | None]:
    """Lines as they come; None, and no more, once it is too late."""
    os.set_blocking(stream.fileno(), False)
    waiting = ""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, until - time.time())):
                yield None
                return
            if not (read := os.read(stream.fileno(), 1 << 16)):
                return
            *whole, waiting = (waiting + read.decode()).split("\n")
            yield from whole
