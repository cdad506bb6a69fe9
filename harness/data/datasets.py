"""Data from the hub or from files, read into canonical rows; what is dropped is counted by reason.

    load_pairs(Source("argilla/dpo-mix-7k", split="train"))
    load_pairs(Source("my_pairs.jsonl.gz"))
    -> Loaded(rows=[Pair(prompt, chosen, rejected), ...], read=2312, dropped={"empty answer": 4, ...})

harness/common/input/tables.py reads; `layouts.py` knows the layouts.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from benchmarks.file_bytes import kind_of, told
from harness.common import hub
from harness.common.files import expanded, files_below, sha256
from harness.common.input import tables
from harness.common.input.tables import BUILDERS, WORDS, Table, builder_of, library, table_of
from harness.common.suggest import did_you_mean
from harness.common.text import cut
from harness.data.layouts import (
    AUTO,
    DIALOGUES,
    PAIRS,
    Dialogue,
    Dropped,
    Layout,
    Pair,
    known_layout,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """Where rows come from: a hub id or a local file or folder."""

    path: str
    split: str = "train"
    revision: str | None = None
    layout: str = "auto"


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """Canonical rows, how many rows were read for them, and how many of these were dropped, by reason."""

    rows: list[T]
    read: int
    dropped: dict[str, int]


def load_pairs(source: Source) -> Loaded[Pair]:
    """The preferences of a source."""
    return load(source, PAIRS)


def load_dialogues(source: Source) -> Loaded[Dialogue]:
    """The chats of a source, for SFT."""
    return load(source, DIALOGUES)


def load(source: Source, layouts: Sequence[Layout[T]]) -> Loaded[T]:
    """The rows of a source in one of `layouts`, in the source's order."""
    table = read(source)
    layout = layout_of(source, table.columns, layouts)
    rows: list[T] = []
    dropped: Counter[str] = Counter()
    for item in layout.read(table.rows):
        if isinstance(item, Dropped):
            dropped[item.reason] += item.rows
        else:
            rows.append(item)
    loaded = Loaded(rows, len(table.rows), dict(sorted(dropped.items())))
    if not rows:
        first = cut(repr(table.rows[0]), 60)
        told = f"no row can be used as {layout.name!r}: {describe(loaded)}"
        raise ValueError(f"{source.path}: {cut(told, WORDS)}; row 1: {first}")
    return loaded


def describe(loaded: Loaded[T]) -> str:
    """One line for people: rows read, canonical rows made of them, rows dropped by reason."""
    reasons = "".join(f"; {count} dropped: {reason}" for reason, count in loaded.dropped.items())
    return f"{loaded.read} rows read, {len(loaded.rows)} kept{reasons}"


def layout_of(source: Source, columns: Sequence[str], layouts: Sequence[Layout[T]]) -> Layout[T]:
    """The layout that is named, or else the first whose columns are all there."""
    by_name = {layout.name: layout for layout in layouts}
    known_layout(layouts, source.layout)
    allowed = layouts if source.layout == AUTO else [by_name[source.layout]]
    for layout in allowed:
        if set(layout.columns) <= set(columns):
            return layout
    expected = " or ".join("+".join(layout.columns) for layout in allowed)
    missing = dict.fromkeys(name for layout in allowed for name in layout.columns if name not in columns)
    hints = "".join(did_you_mean(name, columns, f" as {name!r}") for name in missing)
    here = cut(", ".join(columns)) or "none"
    raise ValueError(f"{source.path} has columns {here}; expected {expected}{hints}")


def read(source: Source) -> Table:
    """The rows of a source."""
    path = local_path(source)
    table = tables.of_path(path, source.split, source.path) if path else read_hub(source)
    if not table.rows:
        raise ValueError(f"{source.path}: holds no rows (split {source.split!r})")
    return table


def local_path(source: Source) -> Path | None:
    """The file or folder that the path names; None where it is a hub id."""
    path = expanded(source.path)
    # A hub id has one slash at most, and none of these suffixes.
    looks_local = source.path.startswith(("/", ".", "~")) or source.path.count("/") > 1 or builder_of(path)
    with told(path):
        if not path.exists():
            if path.is_symlink():
                raise ValueError(f"{source.path}: a link to nothing, {path.readlink()}")
            siblings = sorted(file.name for file in path.parent.iterdir()) if path.parent.is_dir() else []
            # Of a name in a folder that is here, a hub id is what has a revision, or was read before.
            of_hub = source.revision is not None or hub.is_cached("dataset", source.path)
            if not looks_local and (of_hub or not siblings or "/" not in source.path):
                return None
            raise ValueError(f"no file {cut(source.path, 200)}{did_you_mean(path.name, siblings)}")
    if source.revision is not None:
        raise ValueError(f"{source.path} is local, so it has no revision {source.revision!r}")
    if (kind := kind_of(path)) not in ("file", "folder"):
        raise ValueError(f"{source.path}: a {kind}, where a file or folder is expected")
    if kind == "file" and not builder_of(path):
        raise ValueError(f"{source.path}: expected {', '.join(BUILDERS)}, or .json.gz, .jsonl.gz")
    return path


def read_hub(source: Source) -> Table:
    """A dataset of the hub at its revision, through the cache of `datasets`."""
    import datasets

    with library(source.path):
        return table_of(datasets.load_dataset(source.path, split=source.split, revision=source.revision))


def columns_beside(source: Source, layouts: Sequence[Layout[Any]]) -> tuple[str, ...]:
    """The columns beside those of its layout that say something of a local source's rows; of a hub id none,
    since its columns are not known before it is read.
    """
    path = local_path(source)
    if path is None:
        return ()
    wanted = {name for layout in layouts for name in layout.beside}
    columns, filled = set[str](), set[str]()
    for file in [path] if path.is_file() else [p for p in files_below(path) if builder_of(p)]:
        found = tables.columns_of(file, wanted)
        columns |= found[0]
        filled |= found[1]
    if not filled:
        return ()
    return tuple(name for name in layout_of(source, sorted(columns), layouts).beside if name in filled)


def fingerprint(source: Source) -> str:
    """What the rows are decided by: the bytes of local files, or a hub id at its commit."""
    path = local_path(source)
    if path is None:
        remedy = "give a local file, or a commit hash (40 digits) as `revision`"
        return hub.resolve("dataset", source.path, source.revision or "main", remedy)
    with told(path):
        if path.is_file():
            return f"sha256:{sha256(path)}"  # not its name: a copy elsewhere is the same data
        digest = hashlib.sha256()
        for file in files_below(path):
            digest.update(f"{file.relative_to(path)}\0{sha256(file)}\n".encode())
    return f"sha256:{digest.hexdigest()}"
