"""Flat arrays on disk: appended to and read in slices, never whole in memory.

hidden.f32 + hidden.json {"dtype": "float32", "width": 128}      rows of `width` numbers, or of one for
width 0
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from harness.common.files import replace
from harness.store.append_log import line_of, row_of

BLOCK = 1 << 20  # bytes that are hashed at once


class ArrayFileWriter:
    """Appends rows to one array; use as a context manager. The first `rows` of one that is there stay."""

    def __init__(self, folder: Path, name: str, dtype: str, width: int = 0, *, rows: int = 0) -> None:
        (folder / f"{name}.json").write_text(json.dumps({"dtype": dtype, "width": width}))
        self.dtype = np.dtype(dtype)
        path = folder / f"{name}.bin"
        self.file = path.open("r+b" if rows and path.exists() else "w+b")
        self._hash = hashlib.sha256()
        # A kill may have left part of a row, or rows that nothing else of the step knows.
        self.file.truncate(rows * max(width, 1) * self.dtype.itemsize)
        while block := self.file.read(BLOCK) if rows else b"":
            self._hash.update(block)
        self.file.seek(0, os.SEEK_END)

    @property
    def checksum(self) -> str:
        """The SHA-256 of all rows."""
        return self._hash.hexdigest()

    def append(self, rows: NDArray[np.generic]) -> None:
        """Write rows [n] or [n, width] behind what is there."""
        data = np.ascontiguousarray(rows, dtype=self.dtype).data
        self.file.write(data)
        self._hash.update(data)

    def to_disk(self) -> None:
        """Wait until what was appended is on the disk."""
        self.file.flush()
        os.fsync(self.file.fileno())

    def __enter__(self) -> "ArrayFileWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


class Note(NamedTuple):
    """How far unfinished arrays are: entries that are in them for certain, a sum over these, and the checksum
    of each array.
    """

    entries: int = 0
    total: float = 0.0
    checksums: Mapping[str, str] = {}

    @classmethod
    def read(cls, path: Path) -> Self:
        """What a file says; one that was damaged fits no arrays."""
        if not path.exists():
            return cls()
        try:
            return cls(**row_of(path.read_bytes()))
        except (ValueError, TypeError):
            return cls(checksums={path.name: ""})

    def write(self, path: Path) -> None:
        """Put it in the file's place."""
        replace(path, line_of(self._asdict()))


class ArrayFile:
    """Reads slices of rows by position (pread: what was read does not stay mapped)."""

    def __init__(self, folder: Path, name: str) -> None:
        about = json.loads((folder / f"{name}.json").read_text())
        self.dtype, self.width = np.dtype(about["dtype"]), int(about["width"])
        self.file = os.open(folder / f"{name}.bin", os.O_RDONLY)
        self.row_bytes = self.dtype.itemsize * max(self.width, 1)
        self.length = os.fstat(self.file).st_size // self.row_bytes

    def __len__(self) -> int:
        return int(self.length)

    def __del__(self) -> None:
        os.close(self.file)

    def rows(self, a: int, b: int) -> NDArray[np.generic]:
        """Rows a to b, [b - a] or [b - a, width]."""
        # Not np.memmap: pages of a mapped file count as this process's memory until the system wants them.
        raw = os.pread(self.file, (b - a) * self.row_bytes, a * self.row_bytes)
        flat = np.frombuffer(raw, self.dtype)
        return flat.reshape(-1, self.width) if self.width else flat

    def prefetch(self, a: int, b: int) -> None:
        """Have rows a to b read from the disk while the caller goes on, where the system can."""
        if hasattr(os, "posix_fadvise"):
            at, size = a * self.row_bytes, (b - a) * self.row_bytes
            os.posix_fadvise(self.file, at, size, os.POSIX_FADV_WILLNEED)

    def all(self) -> NDArray[np.generic]:
        """The whole array, for small ones."""
        return self.rows(0, self.length)
