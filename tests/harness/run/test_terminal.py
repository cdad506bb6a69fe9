"""The live view on a terminal of 80 columns, which is a pty: what it shows on the way, and that it leaves
nothing behind, whatever ends the command.
"""

import os
import pty
import re
import signal
import struct
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import ioctl
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.bench_command import ENV, SECONDS, forked
from tests.paths import TINY

WIDTH, HEIGHT = 80, 24
CODE = re.compile(r"\x1b\[(\??\d*)((?:;\d+)*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)|(.)", re.DOTALL)


@dataclass
class Screen:
    """What a terminal shows of what was written: lines, and whether its cursor is there."""

    lines: list[str] = field(default_factory=lambda: [""])
    row: int = 0
    column: int = 0
    cursor: bool = True
    seen: list[str] = field(default_factory=list)  # all that ever stood in a line

    def write(self, text: str) -> None:
        """As a terminal does, with the few codes that rich writes."""
        for number, _, code, back, new, plain, other in CODE.findall(text):
            if back:
                self.column = 0
            elif new:
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif plain:
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + plain + line[self.column + len(plain) :]
                self.column += len(plain)
                self.seen.append(self.lines[self.row])
            elif code == "A":
                self.row -= int(number or 1)
                assert self.row >= 0
            elif code == "K":
                self.lines[self.row] = "" if number == "2" else self.lines[self.row][: self.column]
            elif code in "hl" and number == "?25":
                self.cursor = code == "h"
            else:
                assert code == "m", (number, code, other)


def bench_on(tty: str, words: tuple[str, ...]) -> None:
    """The command on a terminal."""
    for stream in range(3):
        os.dup2(os.open(tty, os.O_RDWR), stream)
    os.environ.clear()
    os.environ.update({**ENV, "CI": "", "TERM": "xterm-256color"})
    sys.argv = ["bench", *words]
    from harness.cli.app import main

    main()


@contextmanager
def running(screen: Screen, *words: str) -> Iterator[BaseProcess]:
    """The command, whose terminal is written to the screen until it ends."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    process = forked(bench_on, os.ttyname(theirs), words)

    def read() -> None:
        rest = b""
        while True:
            try:
                rest += os.read(ours, 65536)
            except OSError:  # nobody has the terminal any more
                screen.write(rest.decode())
                return
            # A code may be cut by the end of what there is to read.
            whole, mark, begun = rest.rpartition(b"\n")
            screen.write((whole + mark).decode())
            rest = begun

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    yield process
    process.join(SECONDS)
    os.close(theirs)
    reader.join(10)
    os.close(ours)


VIEW = re.compile(r"\d+ of \d+ steps; |optimizer step|\d+/\d+ ━")
TRAINING = re.compile(r"^DPO +optimizer step ([\d,]+)/[\d,]+, loss [\d.]+, [\d,]+ tokens/s *$")


@pytest.mark.parametrize(
    ("sent", "code", "last"),
    [
        (None, 0, "More: "),
        (signal.SIGINT, 130, "bench: stopped; the same command goes on where it was"),
        pytest.param(signal.SIGTERM, 75, "bench: stopped by SIGTERM", marks=pytest.mark.slow),
    ],
)
def test_the_live_view_shows_the_inside_and_is_gone_at_the_end(
    copied: Path, sent: signal.Signals | None, code: int, last: str
) -> None:
    screen = Screen()
    epochs = 60 if sent is None else 400  # so that some seconds go by
    words = ("run", TINY, "--runs", str(copied), "--only", "DPO", "--name", "again")
    with running(screen, *words, "--set", f"training.epochs={epochs}") as process:
        while sent and process.exitcode is None:
            if any(map(TRAINING.match, screen.seen)):
                assert process.pid
                os.kill(process.pid, sent)
                break
            time.sleep(0.01)
    assert process.exitcode == code
    told = [int(found[1].replace(",", "")) for line in screen.seen if (found := TRAINING.match(line))]
    assert told == sorted(told) and (sent or len(set(told)) > 1)
    view = list(filter(VIEW.search, screen.seen))
    assert view and max(map(len, view)) <= WIDTH
    assert screen.cursor and not any(map(VIEW.search, screen.lines))
    assert any(line.startswith(last) for line in screen.lines)
    if sent:
        assert not list(copied.glob("store/running/*")) and not list(copied.glob("store/partial/*"))
