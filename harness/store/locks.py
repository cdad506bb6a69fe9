"""Locks in a folder that several machines may share: at most one process at a time works at a name.

    locks/3f9c01d2ab77   {"host": "node-7", "space": "pid:[4026531836]", "pid": 4711, "born": 17.2, ...}

A lock is a file created with O_EXCL; its modification time is touched every few seconds by a thread, which is
its heartbeat. One whose process is gone (told at once on the same host), or whose heart has not beaten for
`stale` seconds, may be taken over: who creates the claim on that very token wins, so that two takers cannot
both. Ages are measured by the clock of the file system, not by those of the hosts.

A process that was suspended for longer than `stale` may find its lock taken. Both then make the same
artifact, and the one that comes second keeps the other's (store.py): a lock saves work, publication keeps it
right.
"""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import psutil

BEAT = 5.0  # seconds between two touches
STALE = 60.0  # seconds without one until a lock may be taken over
CLAIM = ".claim."


@dataclass(frozen=True)
class Owner:
    """Who holds a lock. `space` tells containers apart that call themselves by one name; `born` is when the
    process started, in seconds since 1970: ids of processes come again.
    """

    host: str
    space: str
    pid: int
    born: float
    token: str

    @property
    def is_gone(self) -> bool:
        """Whether it is known that the process has ended; of other hosts it never is."""
        if (self.host, self.space) != _place():
            return False
        try:
            process = psutil.Process(self.pid)
            other = abs(process.create_time() - self.born) > STALE  # the clock may have been set since
            return other or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True


class Locks:
    """The locks below a folder, as this process sees them."""

    def __init__(self, folder: Path, *, stale: float = STALE) -> None:
        self.folder, self.stale = folder, stale

    def holder(self, name: str) -> Owner | None:
        """Who is at work on a name; None where nobody is, or nobody who lives."""
        found = self._read(name)
        return found if found and not self._is_dead(name, found) else None

    def held(self) -> dict[str, Owner]:
        """All names at which somebody is at work."""
        names = [p.name for p in self.folder.glob("*") if CLAIM not in p.name]
        return {name: owner for name in names if (owner := self.holder(name))}

    def sweep(self) -> None:
        """Remove what the dead left: their locks, each by taking it over, and claims that are stale."""
        for path in list(self.folder.glob("*")):
            with contextlib.suppress(OSError):  # in a store that cannot be written to they stay
                if CLAIM in path.name:
                    if (age := self._age(path)) is not None and age > self.stale:
                        path.unlink(missing_ok=True)
                elif self.holder(path.name) is None:
                    with self.trying(path.name):
                        pass

    @contextlib.contextmanager
    def trying(self, name: str) -> Iterator[bool]:
        """Whether this process has the lock while inside."""
        mine = self._acquired(name)
        if mine is None:
            yield False
            return
        path = self.folder / name
        try:
            with _beating(mine):
                yield True
        finally:
            if _is_same(path, mine):
                path.unlink(missing_ok=True)
            os.close(mine)

    def _acquired(self, name: str) -> int | None:
        """The descriptor of the lock's file, None where another has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        with contextlib.suppress(FileExistsError):
            return _created(path)
        found = self._read(name)
        if found is None:  # released this moment: the next look gets it
            return None
        return self._taken_over(path, found) if self._is_dead(name, found) else None

    def _taken_over(self, path: Path, dead: Owner) -> int | None:
        """The descriptor of a lock that replaces a dead one, None where another was quicker."""
        # Without a claim a second taker, who judged the same owner dead, would replace the first one's lock.
        claim = path.with_name(f"{path.name}{CLAIM}{dead.token}")
        try:
            mine = _created(claim)
        except FileExistsError:
            if (age := self._age(claim)) is not None and age > self.stale:  # the taker died half-way
                claim.unlink(missing_ok=True)
            return None
        found = self._read(path.name)
        with contextlib.suppress(FileNotFoundError):  # a claim of a taker that slept for long was dropped
            # Another token: somebody took it over and is through already.
            if found and found.token == dead.token and _is_same(claim, mine):
                os.replace(claim, path)
                return mine
        if _is_same(claim, mine):
            claim.unlink(missing_ok=True)
        os.close(mine)
        return None

    def _read(self, name: str) -> Owner | None:
        """Whose name the file bears; one that is not written yet, or cut short by a full disk, bears none."""
        path = self.folder / name
        if path.exists() and not path.is_file():  # who reads a pipe waits for somebody to write
            return Owner("", "", 0, 0.0, "torn")
        try:
            return Owner(**json.loads(path.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            return Owner("", "", 0, 0.0, "torn")

    def _is_dead(self, name: str, owner: Owner) -> bool:
        if owner.is_gone:
            return True
        age = self._age(self.folder / name)
        return age is not None and age > self.stale

    def _age(self, path: Path) -> float | None:
        """Seconds since a file was touched, by the file system's own clock; None where it is gone."""
        probe = self.folder / f"probe{CLAIM}{uuid4().hex}"
        probe.touch()
        try:
            now = probe.stat().st_mtime
            probe.unlink()
            return now - path.stat().st_mtime
        except FileNotFoundError:  # the probe too, of a process that slept for long
            return None


def _place() -> tuple[str, str]:
    space = Path("/proc/self/ns/pid")
    return socket.gethostname(), os.readlink(space) if space.is_symlink() else ""


def _created(path: Path) -> int:
    """A descriptor of a new file that says whose it is; FileExistsError where there is one."""
    # O_EXCL rather than flock: it is atomic on NFS since version 3, flock is local to a host on many shares.
    process = psutil.Process()
    owner = Owner(*_place(), process.pid, process.create_time(), uuid4().hex)
    opened = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    os.write(opened, json.dumps(asdict(owner)).encode())
    return opened


def _is_same(path: Path, opened: int) -> bool:
    """Whether the path still leads to the file that was opened."""
    try:
        return os.path.samestat(path.stat(), os.fstat(opened))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _beating(opened: int) -> Iterator[None]:
    """Touch an open file every few seconds; by its descriptor, so that a taker's file is left alone."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            with contextlib.suppress(OSError):  # a share that is away for a moment; a later beat is in time
                os.utime(opened)

    thread = threading.Thread(target=beat, daemon=True)
    try:
        thread.start()  # which waits for the thread: on a busy machine Ctrl-C and SIGTERM come in here
        yield
    finally:
        over.set()
        with contextlib.suppress(RuntimeError):  # it has not begun
            thread.join()


RUN = "run"  # begins the name of the lock that says that a run is at work in the store
