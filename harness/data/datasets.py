"""Data from the hub or from files, read into canonical rows; what is dropped is counted by reason.

    load_pairs(Source("argilla/dpo-mix-7k", split="train"))
    load_pairs(Source("my_pairs.jsonl.gz"))
    -> Loaded(rows=[Pair(prompt, chosen, rejected), ...], read=2312, dropped={"empty answer": 4, ...})

`datasets` reads; `layouts.py` knows the layouts. Both heavy libraries are imported where they are used.
"""

import glob
import gzip
import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from harness.common import hub
from harness.common.files import files_below, sha256
from harness.common.suggest import did_you_mean
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

BUILDERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}
# The json builder takes the types of the first chunk for all of them, and turns what differs later into text.
ONE_CHUNK = 1 << 30  # bytes


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


class Table(NamedTuple):
    """Rows as they stand in the source."""

    columns: list[str]
    rows: list[dict[str, Any]]


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
        raise ValueError(f"{source.path}: no row can be used as {layout.name!r}: {describe(loaded)}")
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
    raise ValueError(f"{source.path} has columns {', '.join(columns)}; expected {expected}{hints}")


def read(source: Source) -> Table:
    """The rows of a source, through `datasets`."""
    from datasets.exceptions import DatasetsError

    path = local_path(source)
    try:
        table = read_local(path, source.split) if path else read_hub(source)
    except (DatasetsError, OSError, ValueError, StopIteration) as error:
        raise ValueError(f"{source.path}: {fault(path, error)}") from error
    if not table.rows:
        raise ValueError(f"{source.path} (split {source.split!r}) holds no rows")
    return table


def local_path(source: Source) -> Path | None:
    """The file or folder that the path names; None where it is a hub id."""
    path = Path(source.path).expanduser()
    # A hub id has one slash at most, and none of these suffixes.
    looks_local = source.path.startswith(("/", ".", "~")) or source.path.count("/") > 1 or builder_of(path)
    if not path.exists():
        siblings = sorted(file.name for file in path.parent.iterdir()) if path.parent.is_dir() else []
        # Of a name in a folder that is here, a hub id is what has a revision, or was read before.
        of_hub = source.revision is not None or hub.is_cached("dataset", source.path)
        if not looks_local and (of_hub or not siblings or "/" not in source.path):
            return None
        raise ValueError(f"no file {source.path}{did_you_mean(path.name, siblings)}")
    if source.revision is not None:
        raise ValueError(f"{source.path} is local, so it has no revision {source.revision!r}")
    if path.is_file() and not builder_of(path):
        raise ValueError(f"{source.path}: expected {', '.join(BUILDERS)}, or .json.gz, .jsonl.gz")
    return path


def builder_of(path: Path) -> str | None:
    """The builder of `datasets` that reads a file of this name."""
    name = path.name.lower().removesuffix(".gz")
    return BUILDERS.get(Path(name).suffix)


def read_local(path: Path, split: str) -> Table:
    """A file or folder, through a cache that is gone afterwards: the bytes decide, not an earlier read."""
    with tempfile.TemporaryDirectory(prefix="bench-") as cache:
        return table_of(open_local(path, split, cache))


def open_local(path: Path, split: str, cache: str) -> Any:
    """A dataset of local files; a single file is the split that is asked for, of which `[:90%]` takes a part.

    Files are read by their builders, because `load_dataset("json")` reports each use to the hub.
    """
    import datasets

    if path.is_dir():
        return datasets.load_dataset(str(path), split=split, cache_dir=cache)
    files = {split.partition("[")[0]: glob.escape(str(path))}
    if builder_of(path) == "json":
        return datasets.Dataset.from_json(files, split=split, cache_dir=cache, chunksize=ONE_CHUNK)
    return datasets.Dataset.from_parquet(files, split=split, cache_dir=cache)


def read_hub(source: Source) -> Table:
    """A dataset of the hub at its revision, through the cache of `datasets`."""
    import datasets

    return table_of(datasets.load_dataset(source.path, split=source.split, revision=source.revision))


def table_of(dataset: Any) -> Table:
    """A dataset's rows as plain values."""
    return Table(list(dataset.column_names), dataset.to_list())


def fault(path: Path | None, error: BaseException) -> str:
    """Why reading failed, in one line; for JSON with the line where it stands."""
    found = json_fault(path) if path and path.is_file() and builder_of(path) == "json" else None
    return found or " ".join(str(error.__cause__ or error).split()) or type(error).__name__


def text_of(path: Path) -> str:
    """What a file says, unpacked where it is packed."""
    return (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()


def json_fault(path: Path) -> str | None:
    """The first line that is not JSON; None where all is well-formed."""
    try:
        text = text_of(path)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        return str(error)
    # pyarrow names a row within the block that it was reading, so the line is found by reading again.
    if text.strip() in ("", "[]"):
        return "holds no rows"
    whole = text.lstrip().startswith("[")
    for number, line in enumerate([text] if whole else text.split("\n"), start=1):
        try:
            json.loads(line or "null")
        except json.JSONDecodeError as error:
            return f"line {error.lineno if whole else number}: not JSON: {error.msg} (column {error.colno})"
    return None


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
        found = parquet_columns(file, wanted) if builder_of(file) == "parquet" else json_columns(file, wanted)
        columns |= found[0]
        filled |= found[1]
    if not filled:
        return ()
    return tuple(name for name in layout_of(source, sorted(columns), layouts).beside if name in filled)


def parquet_columns(path: Path, wanted: set[str]) -> tuple[set[str], set[str]]:
    """A file's columns, and those of the wanted ones that hold something."""
    from pyarrow import parquet

    names = set(parquet.read_schema(path).names)
    values = parquet.read_table(path, columns=sorted(wanted & names)).to_pydict()
    return names, {name for name, column in values.items() if any(map(says_something, column))}


def says_something(value: object) -> bool:
    """Whether a cell holds more than blanks."""
    return bool(value) and bool(str(value).strip())


def json_columns(path: Path, wanted: set[str]) -> tuple[set[str], set[str]]:
    """A file's columns, and those of the wanted ones that hold something; none where it is not JSON, which
    reading it will say.
    """
    try:
        text = text_of(path)
        # Rows are parsed only where a name stands in the file at all: a plan reads no more than it must.
        if not any(f'"{name}"' in text for name in wanted):
            return set(), set()
        rows = (
            json.loads(text)
            if text.lstrip().startswith("[")
            else map(json.loads, filter(None, text.split("\n")))
        )
        names, filled = set[str](), set[str]()
        for row in rows:
            names |= row.keys()
            filled |= {name for name in wanted if says_something(row.get(name))}
    except (OSError, EOFError, ValueError, AttributeError):
        return set(), set()
    return names, filled


def fingerprint(source: Source) -> str:
    """What the rows are decided by: the bytes of local files, or a hub id at its commit."""
    path = local_path(source)
    if path is None:
        remedy = "give a local file, or a commit hash (40 digits) as `revision`"
        return hub.resolve("dataset", source.path, source.revision or "main", remedy)
    digest = hashlib.sha256()
    if path.is_file():
        digest.update(path.read_bytes())  # not its name: a copy elsewhere is the same data
    for file in files_below(path) if path.is_dir() else ():
        digest.update(f"{file.relative_to(path)}\0{sha256(file)}\n".encode())
    return f"sha256:{digest.hexdigest()}"
