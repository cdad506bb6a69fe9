"""The text of a person's file, whole or line by line, unpacked where it is gzipped.

What is no file that can be read, cannot be unpacked, or is no UTF-8 is one line that names it. Nothing is
read without an end: neither a pipe or device, nor a line or a packed file that fills the memory.
"""

import errno
import gzip
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO, cast

from benchmarks.text import cut

LONGEST = 64 << 20  # bytes of a line
LARGEST = 2 << 30  # bytes of a file that is one value
GZIPPED = b"\x1f\x8b"
OTHERS = {  # how files begin that hold text in a way that is not read
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
}
BOM = "\ufeff"
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
# What whoever typed a path mends; any other error is the machine's.
TYPED = {
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG)
}


def kind_of(path: Path) -> str:
    """What lies at a path: a file, folder, pipe, socket or device. ValueError where nothing is to be seen."""
    with told(path):
        return KINDS.get(stat.S_IFMT(path.stat().st_mode), "device")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Whatever a path is no way to, or what is damaged there, is a ValueError that names it."""
    name = cut(str(path), 200)
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as e:
        raise ValueError(f"{name}: cannot be unpacked: {e}") from e
    except OSError as e:
        if e.errno is None:  # a library's, whose words are all that there is
            raise
        if e.errno not in TYPED:
            raise OSError(e.errno, e.strerror, name) from e
        raise ValueError(f"no file {name}" if e.errno == errno.ENOENT else f"{name}: {e.strerror}") from e


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked where it is gzipped, which its content says too."""
    with told(path):
        if (kind := kind_of(path)) != "file":
            raise ValueError(f"{path}: a {kind}, where a file is expected")
        with path.open("rb") as file:
            begun = file.peek(max(map(len, OTHERS)))
            if other := next((kind for first, kind in OTHERS.items() if begun.startswith(first)), None):
                raise ValueError(f"{path}: its content is {other}; text is read, as it is or gzipped")
            if path.name.lower().endswith(".gz") or begun.startswith(GZIPPED):
                with gzip.open(file) as unpacked:
                    yield cast(IO[bytes], unpacked)
            else:
                yield file


def lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """The lines of an open file with their numbers, from 1; of one that is too long its beginning."""
    for number in count(1):
        if not (line := file.readline(LONGEST + 1)):
            return
        yield number, line


def check_length(line: bytes, where: str) -> None:
    """ValueError for a line that is too long to be a row."""
    if len(line) > LONGEST:
        raise ValueError(f"{where}: over {LONGEST >> 20} MB; a row has as much at most")


def rest(path: Path, file: IO[bytes], begun: bytes) -> bytes:
    """All of an open file of which some was read. ValueError where that is too much."""
    whole = begun + file.read(LARGEST + 1 - len(begun))
    if len(whole) > LARGEST:
        raise ValueError(f"{path}: over {LARGEST >> 30} GB in one value; save it as JSON lines")
    return whole


def decoded(raw: bytes, where: str, *, first: bool = False) -> str:
    """Bytes as text, without UTF-8's mark before the first of them. ValueError where they are no UTF-8."""
    try:
        return raw.decode("utf-8").removeprefix(BOM if first else "")
    except UnicodeDecodeError as e:
        raise ValueError(f"{where}: not UTF-8 at byte {e.start + 1}; save it as UTF-8") from e


def content_of(path: Path) -> bytes:
    """All that a file holds, unpacked."""
    with opened(path) as file:
        return rest(path, file, b"")


def text_of(path: Path) -> str:
    """A file's whole text."""
    return decoded(content_of(path), str(path), first=True)
