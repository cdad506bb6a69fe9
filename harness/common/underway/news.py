"""What a running step tells of how far it is: a small file that whoever waits for the step reads.

    running/3f9c01d2ab77.json    {"text": "optimizer step 12/24, loss 0.613, 1,240 tokens/s", "left": 31.5}

Written once a second at most, and replaced whole. It decides nothing: where there is no file to tell in, or
its disk is full, the step runs as it would.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

EVERY = 1.0  # seconds between two writes


class News(NamedTuple):
    """What a step told last, and the seconds that it still takes at the speed so far, if it can say."""

    text: str
    left: float | None


class Count:
    """How many of `of` are done. Its speed is that of what was done since it began, in tokens where these
    are told.
    """

    def __init__(self, teller: "Teller", unit: str, of: int, done: int, tokens: int) -> None:
        self.unit, self.of, self.done, self.tokens, self.said = unit, of, done, tokens, ""
        self._teller, self._before = teller, 0
        self._began, self._done_before, self._tokens_before = time.monotonic(), done, tokens

    def at(self, done: int, said: str = "", tokens: int = 0) -> None:
        """So many are done by now; of a part, so many of the part."""
        self.done, self.tokens, self.said = self._before + done, tokens, said
        self._teller.told()

    def part(self, done: int) -> "Count":
        """The next part of the whole, of which so many were done before."""
        self._before = self.done
        self.done += done
        self._done_before += done
        self._teller.told()
        return self

    def text(self, *, speed: bool) -> str:
        """What is to be told now, with or without its speed."""
        told = f"{self.unit} {self.done:,}/{self.of:,}", self.said, self._speed() if speed else ""
        return ", ".join(filter(None, told))

    def left(self) -> float | None:
        """Seconds until all are done, at the speed so far."""
        done = self.done - self._done_before
        return (time.monotonic() - self._began) * (self.of - self.done) / done if done > 0 else None

    def _speed(self) -> str:
        seconds = time.monotonic() - self._began
        done, tokens = self.done - self._done_before, self.tokens - self._tokens_before
        if not (seconds and done > 0):
            return ""
        if tokens > 0:
            return f"{tokens / seconds:,.0f} tokens/s"
        if done < seconds:
            return f"{60 * done / seconds:.1f}/min"
        return f"{done / seconds:,.{int(done < 10 * seconds)}f}/s"


class Teller:
    """What one step counts: first what the whole of it is, then what it counts on the way."""

    def __init__(self, file: Path | None) -> None:
        self.file, self.wholes = file, dict[str, Count]()
        self._counts: dict[str, Count] = {}
        self._written = float("-inf")

    def count(self, unit: str, of: int, done: int, tokens: int = 0) -> Count:
        """A new count, or the part of a whole."""
        if unit in self.wholes:
            return self.wholes[unit].part(done)
        self._counts[unit] = counted = Count(self, unit, of, done, tokens)
        self.told()
        return counted

    def told(self) -> None:
        """Write what is counted, if the last time was long enough ago."""
        now = time.monotonic()
        if self.file is None or now - self._written < EVERY:
            return
        self._written = now
        whole, *others = self._counts.values()
        counts = [whole, *(counted for counted in others if counted.done < counted.of)]
        # The speed of what is counted inside is what changes; that of the whole would be of its last unit.
        text = ", ".join(counted.text(speed=counted is counts[-1]) for counted in counts)
        aside = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        # No fsync: after a crash nobody reads it, and a slow disk would hold up the step.
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(exist_ok=True)
            aside.write_text(json.dumps(News(text, whole.left())._asdict()))
            aside.replace(self.file)


# No argument of a step: what it is given decides its id, and this changes no result.
_current: ContextVar[Teller | None] = ContextVar("teller", default=None)


@contextmanager
def telling(file: Path | None) -> Iterator[None]:
    """What is counted inside is told in a file, which is gone at the end."""
    token = _current.set(Teller(file))
    try:
        yield
    finally:
        _current.reset(token)
        if file:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)


def file() -> Path | None:
    """Where this step tells; None where nobody asks."""
    teller = _current.get()
    return teller.file if teller else None


def count(unit: str, of: int, done: int = 0, tokens: int = 0) -> Count:
    """Begin to count, with what was done and read before."""
    return (_current.get() or Teller(None)).count(unit, of, done, tokens)


@contextmanager
def whole(unit: str, of: int) -> Iterator[None]:
    """Every count of this unit inside is a part of one of `of`."""
    teller = _current.get()
    if teller is None or unit in teller.wholes:
        yield
        return
    teller.wholes[unit] = teller.count(unit, of, 0)
    try:
        yield
    finally:
        del teller.wholes[unit]


def read(file: Path) -> News | None:
    """What a step told last; None where it told nothing yet, or is over."""
    try:
        return News(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
