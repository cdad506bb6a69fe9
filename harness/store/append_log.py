"""Crash-safe append-only JSON lines: one file per process, fsync per write.

    host-4711-9b2c61f0.jsonl    {"key": "9f3a...", ..., "checksum": "5d41..."}

Each process writes a file of its own and reads all of them. A row that does not match its checksum is not
read; rows of older versions have none.
"""

import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from harness.store.integrity import CHECKSUM, checksum

FLUSH_SECONDS = 1.0  # of work that a kill may lose, so that waits for the disk do not count
DIGITS = 32  # of a row's checksum: its first half


class AppendOnlyLog:
    """All rows below one folder, which is made with the first of them. None: nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._file: IO[bytes] | None = None

    def read(self) -> tuple[list[dict[str, Any]], int]:
        """Every row that is on the disk, and how many lines a kill cut short or something altered."""
        rows, torn = [], 0
        for path in sorted(self.folder.glob("*.jsonl")) if self.folder else ():
            for line in path.read_bytes().splitlines(keepends=True):
                try:
                    if not line.endswith(b"\n"):
                        raise ValueError("cut short")
                    rows.append(row_of(line))
                except ValueError:
                    torn += 1
        return rows, torn

    def add(self, *rows: Mapping[str, Any]) -> None:
        """Write rows, with one wait for the disk; when this returns, a kill does not lose them."""
        if self.folder is None:
            return
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            # A file of its own: appends of several machines to one may be torn apart on a shared disk.
            name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}.jsonl"
            self._file = (self.folder / name).open("xb")
        self._file.write(b"".join(line_of(row).encode() + b"\n" for row in rows))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file of this process, if there is one."""
        if self._file:
            self._file.close()


def line_of(row: Mapping[str, Any]) -> str:
    """A row as JSON, with its checksum."""
    return json.dumps({**row, CHECKSUM: checksum(row, sort_keys=False)[:DIGITS]})


def row_of(line: bytes) -> dict[str, Any]:
    """The row of a line, without its checksum; ValueError where it is none, or not as it was written."""
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError("no row")
    known = row.pop(CHECKSUM, None)
    if known not in (None, checksum(row, sort_keys=False)[:DIGITS]):
        raise ValueError("differs from its checksum")
    return row


class FlushTimer:
    """Limits fsync to once per FLUSH_SECONDS."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for an fsync; counts from here again if so."""
        now = time.monotonic()
        if now - self.last < FLUSH_SECONDS:
            return False
        self.last = now
        return True
