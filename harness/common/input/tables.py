"""Tables in local files, read whole: JSON by benchmarks/json_files.py, all else by `datasets`.

What a library raises over them is one line that names the file or folder. Heavy libraries are imported where
they are used.
"""

import glob
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import json_files
from benchmarks.file_bytes import LONGEST, lines, opened
from harness.common import shutdown
from harness.common.suggest import nearest
from harness.common.text import cut

BUILDERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}
WORDS = 200  # characters of a library's words
ROWS_AT_ONCE = 1000  # of a parquet file; by default as many as its first part has, which may be none
ROW_NAME = "__index_level_0__"  # how the library calls a field before those that a CSV's first line names


class Table(NamedTuple):
    """Rows as they stand in the source."""

    columns: list[str]
    rows: list[dict[str, Any]]


def of_path(path: Path, split: str, shown: str) -> Table:
    """The rows of a file or folder, which messages call as it was typed; a single file is the split that is
    asked for, of which `[:90%]` takes a part.
    """
    if path.is_dir():
        return of_folder(path, split, shown)
    if builder_of(path) == "json":
        return json_table(part_of({names_in(split)[0]: [path]}, split, shown))
    return of_parquet(path, split, shown)


def builder_of(path: Path) -> str | None:
    """The builder of `datasets` that reads a file of this name."""
    name = path.name.lower().removesuffix(".gz")
    return BUILDERS.get(Path(name).suffix)


@contextmanager
def library(path: str) -> Iterator[None]:
    """Whatever a library raises over data is a ValueError of one line that names it."""
    try:
        yield
    except (shutdown.Terminated, MemoryError):
        raise
    except Exception as error:
        words = " ".join(str(error.__cause__ or error).split()) or type(error).__name__
        raise ValueError(f"{path}: {cut(words, WORDS)}") from error


def of_folder(path: Path, split: str, shown: str) -> Table:
    """A folder's rows, through a cache that is gone afterwards: the bytes decide, not an earlier read."""
    import datasets

    with tempfile.TemporaryDirectory(prefix="bench-") as cache:
        with library(shown):
            # It finds files and splits by their names, and looks into a README of them alone.
            builder = datasets.load_dataset_builder(str(path), cache_dir=cache)
        _check_inside(path, [file for of in (builder.config.data_files or {}).values() for file in of], shown)
        if builder.name == "json" and (files := builder.config.data_files):
            named = {str(split): [Path(file) for file in of] for split, of in files.items()}
            return json_table(part_of(named, split, shown))
        more = {"batch_size": ROWS_AT_ONCE} if builder.name == "parquet" else {}
        with library(shown):
            table = table_of(datasets.load_dataset(str(path), split=split, cache_dir=cache, **more))
    if builder.name == "csv":
        _check_aligned(table, shown)
    return table


def _check_inside(path: Path, files: Sequence[str], shown: str) -> None:
    """ValueError where a folder's README names files that lie elsewhere: no hash of the folder holds them."""
    root = path.resolve()
    if outside := [file for file in files if not Path(os.path.normpath(file)).is_relative_to(root)]:
        raise ValueError(f"{shown}: its README.md names {cut(str(outside[0]))}, which does not lie in it")


def _check_aligned(table: Table, shown: str) -> None:
    """ValueError where a CSV's first row has a field more than its first line names, as with a comma in a
    text without quotes, and others have not: the library moves all of them by one. Where all rows have one
    more, it is their name, as R writes it.
    """
    columns = [name for name in table.columns if name != ROW_NAME]
    if len(columns) == len(table.columns):
        return
    for number, row in enumerate(table.rows, 1):
        if row[columns[-1]] is None:
            told = f"row {number} has fewer fields than row 1, which has more than the first line names"
            raise ValueError(f"{shown}: {told}; put texts with commas in quotes")


def of_parquet(path: Path, split: str, shown: str) -> Table:
    """The rows of a file, which is the split that is asked for."""
    import datasets
    from pyarrow import parquet

    with library(shown), tempfile.TemporaryDirectory(prefix="bench-") as cache:
        if not parquet.read_metadata(path).num_rows:  # over which the library stumbles
            return Table(parquet.read_schema(path).names, [])
        files = {names_in(split)[0]: glob.escape(str(path))}
        rows = datasets.Dataset.from_parquet(files, split=split, cache_dir=cache, batch_size=ROWS_AT_ONCE)
        return table_of(rows)


def names_in(split: str) -> list[str]:
    """The names of the splits in one as it is typed, each once: train and test of train[:5%]+test."""
    return list(dict.fromkeys(part.partition("[")[0] for part in split.split("+")))


def part_of(files: Mapping[str, Sequence[Path]], split: str, shown: str) -> list[dict[str, Any]]:
    """The rows of a split's JSON files, or the part of them that `train[:90%]` takes."""
    names = names_in(split)
    if unknown := [name for name in names if name not in files]:
        raise ValueError(f"{shown}: no split {cut(repr(unknown[0]))}; {nearest(unknown[0], [*files])}")
    rows = {name: [row for file in files[name] for _, row in json_files.rows(file)] for name in names}
    if split in rows:
        return rows[split]
    import datasets

    try:
        counts = {name: len(of) for name, of in rows.items()}
        parts = datasets.ReadInstruction.from_spec(split).to_absolute(counts)
    except (ValueError, AssertionError) as error:
        told = f"split: given {cut(split)}; such as train[:90%]: {' '.join(str(error).split())}"
        raise ValueError(f"{shown}: {cut(told, WORDS)}") from error
    return [row for part in parts for row in rows[part.splitname][part.from_ : part.to]]


def json_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Rows with None where they lack a column of others."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    empty = dict.fromkeys(columns)
    return Table(columns, [row if len(row) == len(columns) else empty | row for row in rows])


def table_of(dataset: Any) -> Table:
    """A dataset's rows as plain values."""
    return Table(list(dataset.column_names), dataset.to_list())


def columns_of(path: Path, wanted: set[str]) -> tuple[set[str], set[str]]:
    """A file's columns, and those of the wanted ones that hold something."""
    return parquet_columns(path, wanted) if builder_of(path) == "parquet" else json_columns(path, wanted)


def parquet_columns(path: Path, wanted: set[str]) -> tuple[set[str], set[str]]:
    """A file's columns, and those of the wanted ones that hold something."""
    from pyarrow import parquet

    with library(str(path)):
        names = set(parquet.read_schema(path).names)
        values = parquet.read_table(path, columns=sorted(wanted & names)).to_pydict()
    return names, {name for name, column in values.items() if any(map(says_something, column))}


def says_something(value: object) -> bool:
    """Whether a cell holds more than blanks."""
    return bool(value) and bool(str(value).strip())


def json_columns(path: Path, wanted: set[str]) -> tuple[set[str], set[str]]:
    """A file's columns, and those of the wanted ones that hold something; none where no name of these stands
    in the file: a plan parses no more than it must, and reading the rows says what is wrong with them.
    """
    with opened(path) as file:
        marks = [f'"{name}"'.encode() for name in wanted]
        if not any(len(line) > LONGEST or mark in line for _, line in lines(file) for mark in marks):
            return set(), set()
    names, filled = set[str](), set[str]()
    for _, row in json_files.rows(path):
        names |= row.keys()
        filled |= {name for name in wanted if says_something(row.get(name))}
    return names, filled
