"""The store: every artifact is a folder named by the hash of what made it.

    store/train/adpa-3f9c01d2ab77/RECORD.json   {"id", "kind", "label", "settings", "inputs", "measured", ...}

A step's id covers its kind, version, settings and the ids of its inputs; how it ran (device, micro-batch,
paths) is context and stands in the record alone. Work happens in `partial/<id>.<host>.<pid>`, the record is
written last with the checksum of every file, all of it is on the disk, then one rename publishes the folder.
Processes, on one machine or several that share the folder, lock the step that they are at (locks.py); two
that make the same step none the less do no harm: the loser keeps the winner's. What a step wants to find
again after a kill it writes to `unfinished/<id>`, which goes when the step is published; how far it is stands
in `running/` (common/underway).

Whoever looks for an artifact finds it only where it is whole (integrity.py), so a damaged one is made again
before anything reads it. It stays in its place until the new one takes it, at once, and lies in `damaged/`
then: whoever had opened it reads on. What was made of it keeps its id and stays.
"""

import contextlib
import errno
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from harness.common import devices
from harness.common.files import discard, exchange, fsync, full_disk_told
from harness.common.underway import news
from harness.store import integrity
from harness.store.code_version import sources
from harness.store.integrity import RECORD, files_of, read_record
from harness.store.locks import Locks
from harness.store.step import ID, Part, Step, Work
from harness.store.step_record import from_names

PARTIAL, KEPT, DAMAGED, VERIFIED = "partial", "unfinished", "damaged", "verified"
RUNNING = "running"  # folder of what running steps tell
BEGUN = re.compile(rf"[0-9a-f]{{{ID}}}\.")  # begins the name of a folder of partial work
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # no file, or a link that leads to none
WAITING = 8  # files that are waited for at once
LOOKS = (0.05, 2.0)  # seconds between two looks at a step that another process is at: at first, and at most


class Store:
    """The artifacts below one folder."""

    def __init__(self, root: Path) -> None:
        there = next(folder for folder in (root, *root.absolute().parents) if os.path.lexists(folder))
        if not there.is_dir():
            raise ValueError(f"{there}: no folder, as the artifacts' is; move it away, or name other --runs")
        self.root = root
        self.locks = Locks(root / "locks")
        # What was found of a folder, by the inode and time of its record: each is looked at once a run.
        self._found: dict[Path, tuple[tuple[int, int], str]] = {}
        # And what its kind knows, which may hang on the step's context.
        self._known: dict[tuple[Path, tuple[int, int], str], str] = {}
        self._places: dict[str, dict[str, Path]] = {}  # by kind and id, as last looked for

    def find(self, step: Step) -> Path | None:
        """The folder of a finished step that is whole."""
        folder = self._folder(step)
        return None if folder is None or self.damage(folder, step) else folder

    def is_done(self, step: Step) -> bool:
        """Whether a step is finished, and its artifact whole."""
        return self.find(step) is not None

    def _folder(self, step: Step) -> Path | None:
        """Where a step was published."""
        kind = self.root / step.kind.name
        known = self._places.setdefault(step.kind.name, {}).get(step.id)
        # Other processes publish and remove: only a folder that is still there is known without a look.
        if known is None or not known.is_dir():
            names = os.listdir(kind) if kind.is_dir() else []
            self._places[step.kind.name] = {name[-ID:]: kind / name for name in names}
        return self._places[step.kind.name].get(step.id)

    def damage(self, folder: Path, step: Step | None = None) -> str:
        """What of an artifact is not as it was published, in words; "" where it is whole. Of the artifact of
        a step that is at hand also what its kind knows.
        """
        try:
            at = (folder / RECORD).stat()
        except OSError as error:
            if error.errno not in GONE:
                raise
            return f"{RECORD} missing"
        # Another process may have put a new one in its place.
        published = at.st_ino, at.st_mtime_ns
        if (found := self._found.get(folder)) is None or found[0] != published:
            faults = integrity.faults(folder, self._verified(folder))
            told = ", ".join(str(fault) for fault in faults if fault.what != integrity.NO_CHECKSUMS)
            found = self._found[folder] = published, told
        if found[1] or step is None:
            return found[1]
        key = folder, published, str(step.context)
        if key not in self._known:
            self._known[key] = step.kind.damage(step, folder)
        return self._known[key]

    def damages(self, steps: Iterable[Step]) -> dict[Path, str]:
        """The folders of steps that are damaged, and by what."""
        found = {folder: self.damage(folder, s) for s in steps if (folder := self._folder(s))}
        return {folder: damage for folder, damage in found.items() if damage}

    def record(self, folder: Path) -> dict[str, Any]:
        """The record of a finished artifact."""
        return read_record(folder)

    def records(self, kind: str) -> Iterator[dict[str, Any]]:
        """The records of all finished artifacts of a kind, in the order of their folders' names; those that
        cannot be read are left out.
        """
        for path in sorted(self.root.glob(f"{kind}/*/{RECORD}")):
            with contextlib.suppress(OSError, ValueError):
                yield read_record(path.parent)

    def latest(self, *kinds: str) -> Iterator[dict[str, Any]]:
        """The records of all finished artifacts of some kinds that can be read, the last made first."""
        paths = [path for kind in kinds for path in self.root.glob(f"{kind}/*/{RECORD}")]
        for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True):
            with contextlib.suppress(OSError, ValueError):
                yield read_record(path.parent)

    def make(self, step: Step) -> Path:
        """Run a step whose inputs are done, and publish its folder; a finished one is returned as it is, and
        one that another process is at is waited for.
        """
        pause, most = LOOKS
        while (done := self.attempt(step)) is None:
            time.sleep(pause)
            pause = min(2 * pause, most)
        return done

    def attempt(self, step: Step) -> Path | None:
        """The same without waiting: None where another process is at the step."""
        if done := self.find(step):
            return done
        with self.locks.trying(step.id) as ours:
            if not ours:
                return None
            # Looked for again: it may have been published between the first look and the lock.
            return self.find(step) or self._made(step)

    def _made(self, step: Step) -> Path:
        inputs = {}
        for name, source in step.named_inputs.items():
            made = step.sources[name]
            whole = self.make(made)  # again, where it was damaged or removed since the run began
            inputs[name] = whole / source.folder if isinstance(source, Part) else whole
        derived_from = {n: folder for n, source in step.derived_from.items() if (folder := self.find(source))}
        work = self.root / PARTIAL / f"{step.id}.{socket.gethostname()}.{os.getpid()}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        try:
            began = time.perf_counter()
            # Imported only here, so that a plan is made without the libraries that its steps need.
            run = resolve_name(step.kind.run)
            kept = self.root / KEPT / step.id
            given = from_names(step.kind.inputs, inputs)
            with devices.freed(), news.telling(self._running(step)), full_disk_told():
                measured = run(Work(step.settings, given, work, step.context, kept, derived_from))
            self._describe(step, work, measured, time.perf_counter() - began)
            done = self._publish(step, work)
            shutil.rmtree(kept, ignore_errors=True)
            return done
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _describe(self, step: Step, work: Path, measured: Mapping[str, Any], seconds: float) -> None:
        record = {
            "id": step.id,
            "kind": step.kind.name,
            "version": step.kind.version,
            "label": step.label,
            "settings": step.settings_record,
            "inputs": step.input_ids,
            "sources": sources(step.kind.run, step.settings_record),
            "seconds": round(seconds, 3),
            "measured": measured,
            "files": integrity.checksums(work),
        }
        before, dropped = self._folder(step), self.root / KEPT / step.id / integrity.DROPPED
        damages = dropped.read_text().splitlines() if dropped.exists() else []
        damages += [self.damage(before, step)] if before else []
        if damage := ", ".join(filter(None, damages)):
            same = before is None or self._files(before) == record["files"]
            record["recomputed"] = {"damage": damage, "same_bytes": same}
        record[integrity.CHECKSUM] = integrity.checksum(record)
        (work / RECORD).write_text(json.dumps(record, indent=1))
        _to_disk(work)

    def _files(self, folder: Path) -> Any:
        """The checksums that a record holds; None where it cannot be read."""
        try:
            return self.record(folder).get("files")
        except (OSError, ValueError):
            return None

    def _publish(self, step: Step, work: Path) -> Path:
        done = self._folder(step) or self.root / step.kind.name / f"{step.slug}-{step.id}"
        done.parent.mkdir(parents=True, exist_ok=True)
        try:
            # One rename publishes: readers see a whole artifact or none, on network file systems too.
            work.rename(done)
        except OSError:
            if not os.path.lexists(done):
                raise
            if not self.damage(done, step):  # another process was quicker, and what it made is as good
                return done
            exchange(work, done)
            aside = self.root / DAMAGED / f"{step.id}.{socket.gethostname()}.{time.time_ns()}"
            aside.parent.mkdir(exist_ok=True)
            work.rename(aside)
        integrity.note(done, self._verified(done))
        return done

    def news(self, step: Step) -> news.News | None:
        """What a running step told last of how far it is, wherever it runs."""
        return news.read(self._running(step))

    def _running(self, step: Step) -> Path:
        return self.root / RUNNING / f"{step.id}.json"

    def _verified(self, folder: Path) -> Path:
        return self.root / VERIFIED / folder.name[-ID:]

    def sweep(self) -> list[Path]:
        """Remove the partial work that nobody who lives is at, what was kept of steps that are done, and the
        locks of the dead; returns the folders that were removed.
        """
        # A process that is killed, or told to end while it takes or releases a lock, leaves it.
        self.locks.sweep()
        # Of work that the harness began: what else lies there is somebody's own.
        begun = [p for p in self.root.glob(f"{PARTIAL}/*") if BEGUN.match(p.name)]
        partial = [p for p in begun if self.locks.holder(p.name[:ID]) is None]
        kept = [p for p in self.root.glob(f"{KEPT}/*") if self._is_published(p.name)]
        for folder in [*partial, *kept]:
            discard(folder)
        for told in self.root.glob(f"{RUNNING}/*"):
            if BEGUN.match(told.name) and self.locks.holder(told.name[:ID]) is None:
                told.unlink(missing_ok=True)
        return [*partial, *kept]

    def _is_published(self, number: str) -> bool:
        """Whether a step of this id is done for good: nobody makes a damaged one of it again."""
        done = [p.parent for p in self.root.glob(f"*/*-{number}/{RECORD}")]
        return self.locks.holder(number) is None and any(not self.damage(folder) for folder in done)


def _to_disk(folder: Path) -> None:
    """Wait until a folder's files are on the disk: a machine that stops must not leave a name without bytes.
    All are waited for at once, which takes a journal about as long as one.
    """
    with ThreadPoolExecutor(WAITING) as pool:
        list(pool.map(fsync, [*files_of(folder), folder / RECORD, folder]))
