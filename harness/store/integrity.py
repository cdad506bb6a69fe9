"""Whether an artifact is as it was published.

    verified/3f9c01d2ab77   {"RECORD.json": [812, 17643230011..., 17643230011..., 9123], "text": [...], ...}

Its record holds the checksum of every file, and one of itself. A file is read only where its size, its times
or its inode are not those with which it was last found whole: a look costs some system calls, and whoever
writes to a file and then sets its modification time back still changes the time of its status.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from harness.common.files import sha256
from harness.common.text import cut, printed

RECORD = "RECORD.json"
CHECKSUM = "checksum"  # of the record, in it
DROPPED = "dropped.txt"  # in what a step keeps of unfinished work: a line for each part that was damaged
READERS = 8  # files that are read at once
NO_CHECKSUMS = "holds no checksums"  # made before there were any
# What every record has, whichever version wrote it.
KEYS = {
    "id": str,
    "kind": str,
    "label": str,
    "settings": dict,
    "inputs": dict,
    "measured": dict,
    "seconds": float,
}
State = tuple[int, ...]  # size, modification and status-change time in nanoseconds, inode


class Fault(NamedTuple):
    """A file that is not as it was published; "" is the whole artifact."""

    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.file} {self.what}" if self.file else self.what


def files_of(folder: Path) -> list[Path]:
    """The files of an artifact that are its own, in order: not its record, nor what links lead to."""
    inside = (Path(top) / name for top, _, names in os.walk(folder) for name in names)
    return sorted(p for p in inside if not p.is_symlink() and p != folder / RECORD)


def read_record(folder: Path) -> dict[str, Any]:
    """The record of an artifact; OSError where there is no file, ValueError where that is no record."""
    if (folder / RECORD).exists() and not (folder / RECORD).is_file():  # a pipe would never end
        raise ValueError(f"{folder / RECORD} cannot be read")
    try:
        record = json.loads((folder / RECORD).read_text())
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or not all(isinstance(record.get(k), of) for k, of in KEYS.items()):
        raise ValueError(f"{folder / RECORD} cannot be read")
    texts = [*record["inputs"].values(), *_files(record)]
    if not all(isinstance(text, str) for text in texts) or not isinstance(record.get("version", 1), int):
        raise ValueError(f"{folder / RECORD} cannot be read")
    return record


def _files(record: Mapping[str, Any]) -> list[Any]:
    files = record.get("files", {})
    return list(files.values()) if isinstance(files, dict) else [files]


def checksum(record: Mapping[str, Any], sort_keys: bool = True) -> str:
    """The SHA-256 of what a record says but for its own, whatever the order of its keys; or in their order,
    which is that of a line when it is read back.
    """
    told = {key: value for key, value in record.items() if key != CHECKSUM}
    return hashlib.sha256(json.dumps(told, sort_keys=sort_keys).encode()).hexdigest()


def faults(folder: Path, verified: Path | None = None) -> list[Fault]:
    """What of an artifact is not as it was published. `verified` is the file that says how its files were
    when last they were; None reads all.
    """
    before, links = _noted(verified), _dangling(folder)
    try:
        # Only what was whole is noted, all of its files: where each is as it was, nothing is read.
        if before and not links and before == _states(folder, before):
            return []
        record = read_record(folder)
        known = {str(name): str(digest) for name, digest in record.get("files", {}).items()}
        altered = record.get(CHECKSUM) not in (None, checksum(record))
    except (FileNotFoundError, NotADirectoryError):
        return [Fault(RECORD, "missing")]
    except (OSError, ValueError, AttributeError):  # a folder in its place, no record, or no files in it
        return [Fault(RECORD, "cannot be read")]
    now = _states(folder, known)
    found = [Fault(RECORD, "differs from its checksum")] if altered else []
    if not folder.name.endswith(record["id"]):
        found.append(Fault(RECORD, f"is of another artifact, {cut(record['id'])}"))
    found += [Fault(name, "missing") for name in known if name not in now]
    # A hidden file is no model's nor a table's; network file systems leave some.
    strange = (n for n in now if n not in known and n != RECORD and not Path(n).name.startswith("."))
    found += [Fault(name, "is not of it") for name in strange] if known else []
    unread = [name for name in known if name in now and now[name] != before.get(name)]
    found += differing(folder, {name: known[name] for name in unread})
    if links:
        found.append(Fault(links[0].name, f"leads to {os.readlink(links[0])}, which is gone"))
    if "files" not in record:
        found.append(Fault("", NO_CHECKSUMS))
    elif verified and not found and now != before:
        note(folder, verified, now)
    return found


def checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a folder that is its own, by name."""
    files = files_of(folder)
    with ThreadPoolExecutor(READERS) as pool:
        digests = pool.map(sha256, files)
        return {str(path.relative_to(folder)): digest for path, digest in zip(files, digests, strict=True)}


def differing(folder: Path, known: Mapping[str, str]) -> list[Fault]:
    """Those of some files of a folder that have not the checksums that are known of them."""

    def fault(name: str) -> Fault | None:
        if not (folder / name).is_file():  # gone, or a pipe or folder is in its place
            return Fault(name, "missing")
        try:
            same = sha256(folder / name) == known[name]
        except (FileNotFoundError, NotADirectoryError):
            return Fault(name, "missing")
        return None if same else Fault(name, "differs from its checksum")

    with ThreadPoolExecutor(READERS) as pool:
        return list(filter(None, pool.map(fault, known)))


def drop(kept: Path, part: Path, damage: str) -> None:
    """Remove a damaged part of what a step keeps of unfinished work, say so, and note it for its record."""
    print(printed(f"bench: damaged, so it is not used: {part}: {damage}"), file=sys.stderr)
    with (kept / DROPPED).open("a") as noted:
        noted.write(f"unfinished {part.relative_to(kept)}: {damage}\n")
    shutil.rmtree(part)


def note(folder: Path, verified: Path, states: Mapping[str, State] | None = None) -> None:
    """Write down how the files of a whole artifact are, so that they need not be read again."""
    # Who may only read a store reads its files anew in each run.
    with contextlib.suppress(OSError):
        verified.parent.mkdir(parents=True, exist_ok=True)
        aside = verified.with_name(f".{verified.name}.{os.getpid()}")
        aside.write_text(json.dumps(states or _states(folder, ())))
        aside.replace(verified)


def _states(folder: Path, known: Iterable[str]) -> dict[str, State]:
    """The states of an artifact's own files, the record among them, by name. A file that the record knows may
    be a link by now: large ones are moved to another disk.
    """
    states: dict[str, State] = {}
    own = (str(path.relative_to(folder)) for path in files_of(folder))
    for name in dict.fromkeys([RECORD, *own, *(n for n in known if (folder / n).is_file())]):
        at = (folder / name).stat()
        states[name] = (at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino)
    return states


def _dangling(folder: Path) -> list[Path]:
    """The links in an artifact whose ends are gone."""
    inside = (Path(top) / name for top, folders, names in os.walk(folder) for name in (*folders, *names))
    return [path for path in inside if path.is_symlink() and not path.exists()]


def _noted(verified: Path | None) -> dict[str, State]:
    try:
        return {n: tuple(s) for n, s in json.loads(verified.read_text()).items()} if verified else {}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}  # all is read then, which is slower and no less sure
