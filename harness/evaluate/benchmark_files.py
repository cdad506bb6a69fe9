"""Data of the benchmarks: fetched from their public homes, or read from a folder of one's own.

    bench data fetch mt-bench          question.jsonl  lm-sys/FastChat @ 587d5cf  sha256 119565ad...
    bench data add alpaca-eval FOLDER  a link to FOLDER; nothing is copied

Every file is pinned twice, by its repository's full commit and by the sha256 of its bytes: what is fetched is
what these benchmarks were written against, or nothing (declaration.py of each benchmark). The checksums were
taken from the files themselves, but for df_gamed.csv, instruction_difficulty.csv and gemini-2.0-flash-001's
answers, where they are those that others published for the same revision, and for a file that is pinned by
`fields`, where they are of the same texts in another file. Nothing is fetched unasked, and no data is part of
this package.

What lies in `home()` is laid out as the loaders of `benchmarks` read it. In a folder of one's own any file
may be gzipped, <name>.gz: it is the content that counts.
"""

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmarks.declaration import DataFile, DataSet
from benchmarks.json_files import json_of, rows_hash
from benchmarks.registry import DATA_SETS
from harness.common.data_folder import content_sha256, existing
from harness.common.files import expanded
from harness.common.suggest import nearest

CHUNK = 1 << 20  # bytes
SECONDS = 60.0  # without a byte, a download is given up
PARTIAL = ".partial"

State = Literal["as pinned", "other content", "missing"]


class Added(NamedTuple):
    """A folder of one's own, and what of it is not as pinned."""

    folder: Path
    other: tuple[str, ...]  # there, with other content than upstream's
    missing: tuple[str, ...]  # files that add to the benchmark and are not there


@dataclass(frozen=True)
class Row:
    """What is here of one benchmark: where, and the state of each of its files by name."""

    name: str
    kind: Literal["fetched", "added", "not here"]
    folder: Path | None
    states: Mapping[str, State]
    licence: str

    def in_state(self, state: State) -> tuple[str, ...]:
        """The files in that state, in the order of the source."""
        return tuple(name for name, found in self.states.items() if found == state)

    def as_json(self) -> dict[str, Any]:
        """As programs read it."""
        folder = self.folder and str(self.folder)
        about = {"name": self.name, "kind": self.kind, "folder": folder, "licence": self.licence}
        return {**about, "files": dict(self.states)}


def home() -> Path:
    """Where benchmark data is kept: $BENCH_DATA, else bench/data in the user's cache folder."""
    if chosen := os.environ.get("BENCH_DATA"):
        return expanded(chosen)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "bench" / "data"


def find(source: DataSet) -> Path:
    """The folder of a data set, fetched or added. ValueError, one line, where it is not whole."""
    name, place = source.name, home() / source.name
    cure = f"`bench data fetch {name}` or `bench data add {name} PATH`"
    if place.is_symlink() and not place.is_dir():
        raise ValueError(f"the folder added for {name} is gone: {place.readlink()}; {cure}")
    if not place.is_dir():
        raise ValueError(f"no data of {name} in {home()}: {cure}")
    if missing := _missing(source, place, needed=True):
        raise ValueError(f"{place} lacks {', '.join(missing)}: {cure}")
    return place.resolve()


def add(name: str, path: Path) -> Added:
    """Link a folder of one's own as the data of a benchmark, in place of one that was linked before.

    Content that differs from upstream's is told, not refused: one's own questions are one's own right.
    ValueError where the folder lacks a file that the benchmark needs, or the benchmark was fetched already.
    """
    source, place, given = _source(name), home() / name, expanded(path)
    if not given.is_dir():  # a link to itself leads nowhere, over which `resolve` stumbles
        raise ValueError(f"no folder {path}")
    folder = given.resolve()
    if missing := _missing(source, folder, needed=True):
        raise ValueError(
            f"{folder} is no data of {name}: it lacks {', '.join(missing)} (or the same with .gz)"
        )
    if place.is_dir() and not place.is_symlink():
        raise ValueError(f"{name} was fetched to {place}: remove that folder to add another")
    states = _states(source, folder)
    place.parent.mkdir(parents=True, exist_ok=True)
    # A link made aside and renamed: two commands at once leave one or the other, never none.
    link = place.with_name(f".{name}.{os.getpid()}")
    link.unlink(missing_ok=True)
    link.symlink_to(folder, target_is_directory=True)
    link.replace(place)
    other, lacking = (tuple(n for n, s in states.items() if s == t) for t in ("other content", "missing"))
    return Added(folder, other, lacking)


def fetch(name: str, *, mirror: str | None = None) -> Path:
    """Download what is not here yet of a benchmark, file by file, and give its folder.

    `mirror` is the URL of a copy of `home()`: files are then read from <mirror>/<name>/<file>, and held to
    the same checksums. A file is there whole and as pinned, or not at all. OSError, one line, where one
    cannot be had; ValueError where its content is not what was pinned.
    """
    source, place = _source(name), home() / name
    if place.is_symlink():
        raise ValueError(f"{name} is the folder {place.readlink()} that was added: remove {place} to fetch")
    for file in source.files:
        target = place / file.name
        # A file that is there but not as pinned is fetched again: a torn download looks like one.
        if not target.is_file() or _content(target, file) != file.sha256:
            url = f"{mirror.rstrip('/')}/{name}/{file.name}" if mirror else file.url
            _download(url, file, target)
    return place


def listing() -> list[Row]:
    """One row a benchmark, its files compared with what is pinned."""
    rows = []
    for name, source in DATA_SETS.items():
        place = home() / name
        if not place.is_dir():
            states: dict[str, State] = {file.name: "missing" for file in source.files}
            rows.append(Row(name, "not here", None, states, source.licence))
            continue
        kind: Literal["added", "fetched"] = "added" if place.is_symlink() else "fetched"
        rows.append(Row(name, kind, place.resolve(), _states(source, place), source.licence))
    return rows


def _source(name: str) -> DataSet:
    if name not in DATA_SETS:
        raise ValueError(f"no benchmark data {name!r}; {nearest(name, list(DATA_SETS))}")
    return DATA_SETS[name]


def _missing(source: DataSet, folder: Path, *, needed: bool) -> list[str]:
    return [f.name for f in source.files if f.needed >= needed and existing(folder, f.name) is None]


def _states(source: DataSet, folder: Path) -> dict[str, State]:
    states: dict[str, State] = {}
    for file in source.files:
        path = existing(folder, file.name)
        if path is None:
            states[file.name] = "missing"
        else:
            states[file.name] = "as pinned" if _content(path, file) == file.sha256 else "other content"
    return states


def _content(path: Path, file: DataFile) -> str:
    """The hash that a file of this kind is pinned by; of its bytes where it has no such rows."""
    try:
        rows = json_of(path) if file.fields else None
    except ValueError:
        rows = None
    if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
        return rows_hash(rows, file.fields)
    return content_sha256(path)


def _download(url: str, file: DataFile, target: Path) -> None:
    """The file of a URL, in place once it is whole and its checksum is right; else nothing is left of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}{PARTIAL}")
    try:
        _stream(url, partial)
        if (found := _content(partial, file)) != file.sha256:
            raise ValueError(f"{url}: sha256 is {found}, pinned is {file.sha256}; nothing was kept")
        partial.replace(target)
    except urllib.error.HTTPError as e:
        raise OSError(f"{url}: HTTP {e.code} {e.reason}{_note(file)}") from None
    except urllib.error.URLError as e:
        raise OSError(
            f"{url} cannot be reached ({e.reason}); without a network use `bench data add`{_note(file)}"
        ) from None
    except (http.client.HTTPException, ConnectionError, TimeoutError) as e:
        raise OSError(f"{url}: the download broke off ({e!r}); run it again, what is whole is kept") from None
    finally:
        partial.unlink(missing_ok=True)


def _note(file: DataFile) -> str:
    return f"; {file.name}: {file.note}" if file.note else ""


def _stream(url: str, partial: Path) -> None:
    """Write what a URL answers; OSError where it is not whole."""
    length = 0
    with urllib.request.urlopen(url, timeout=SECONDS) as reply, partial.open("wb") as f:
        while chunk := reply.read(CHUNK):
            f.write(chunk)
            length += len(chunk)
        promised = reply.headers.get("Content-Length")
    if promised is not None and length != int(promised):  # read() with a size says nothing of a torn end
        raise ConnectionError(f"{length} of {promised} bytes")
