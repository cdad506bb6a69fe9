"""Files: hashes of their bytes, JSON lines, and writes that a kill cannot cut short."""

import ctypes
import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FULL = errno.ENOSPC, errno.EDQUOT  # no room on the disk, or in what a person may have of it
HERE, RENAME_EXCHANGE = -100, 2  # AT_FDCWD, and a flag of renameat2(2)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(folder: Path) -> list[Path]:
    """Every file below a folder, in order; links to folders are followed, into each folder once."""
    # Not rglob, which goes into no linked folder: what is read must be in the fingerprint.
    found, seen = [], set()
    for top, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(top)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()  # of two ways into one folder the same is taken wherever it lies
        found += [path for name in names if (path := Path(top) / name).is_file()]
    return sorted(found)


def expanded(path: str | Path) -> Path:
    """A path whose ~ is the home of its user. ValueError where nobody is called so."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"no file {path}: no user of this machine is called so") from None


def read_json_lines(path: Path) -> list[Any]:
    """The value of every line of a file."""
    # Not str.splitlines, which also ends a line at U+2028 and other separators that a JSON string may hold.
    with path.open("rb") as file:
        return [json.loads(line) for line in file]


def write_json_lines(path: Path, rows: Iterable[Any]) -> None:
    """Write one value a line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def replace(path: Path, text: str) -> None:
    """Put a text in a file's place, whole or not at all."""
    # rename(2) is atomic, but without an fsync before it a crash may leave the new name with no bytes.
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


@contextmanager
def full_disk_told() -> Iterator[None]:
    """What libraries make of a full disk (safetensors, tokenizers: an error of their own with its words) is
    raised as the OSError that it was.
    """
    try:
        yield
    except Exception as error:
        known = isinstance(error, OSError) and error.errno in FULL
        number = next((n for n in FULL if os.strerror(n) in str(error)), None)
        if known or number is None:
            raise
        raise OSError(number, os.strerror(number)) from error


def is_taken(path: Path) -> bool:
    """Whether a path is the name of anything, be it a link to nowhere; OSError for one too long to be one."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def check_new(path: Path, option: str = "") -> None:
    """ValueError where a folder to be written has the name of anything, be it a link to nowhere."""
    if is_taken(path):
        raise ValueError(f"{path}: exists; name a folder that does not{option and f' by {option}'}")


def exchange(one: Path, other: Path) -> None:
    """Let two names on one file system change places, at once where the system can: neither is ever gone."""
    # Python has no renameat2, which Linux and glibc have; file systems such as NFS refuse to exchange.
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    if renameat2 and renameat2(HERE, os.fsencode(one), HERE, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return
    aside = one.with_name(f"{one.name}.exchanged")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)


def discard(path: Path) -> None:
    """Remove a folder with what can be removed in it; of a link the link alone."""
    if path.is_symlink():  # which rmtree refuses
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def private(folder: Path) -> Path:
    """A folder that this user alone can read and write, made where it is not there; ValueError where it is
    somebody else's, who could change what lies in it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise ValueError(f"{folder}: not a folder of this user's own, so nothing is run from it; remove it")
    folder.chmod(0o700)
    return folder


def fsync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
