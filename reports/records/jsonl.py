"""Rows in files, one JSON object a line: written whole or not at all, read strictly."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from reports.records.rows import KEY_OF, KEYS

STAMP = "written.json"  # in a run's folder, how it was written
SHOWN = 200  # characters of a row's key
Row = TypeVar("Row")  # a frozen dataclass
ENCODER = json.JSONEncoder(allow_nan=False)
ANEW = "the same `bench run` writes it anew"


def write(rows: Iterable[Row], path: Path) -> bool:
    """Write one JSON object a line, in the given order; where rows have a key, it must not stand twice.
    Returns whether the file is another now; it is replaced atomically.
    """
    lines, keys = [], set[object]()
    for row in rows:
        _check_key(row, keys)
        lines.append(ENCODER.encode(line(row)) + "\n")
    return replace(path, "".join(lines))


def line(row: Any) -> dict[str, Any]:
    """The fields of a row; what is `optional` and has its default is left out."""
    kind: Any = type(row)
    defaults = _optional(kind)
    return {n: value for n, value in vars(row).items() if n not in defaults or value != defaults[n]}


@cache
def _optional(kind: Any) -> dict[str, Any]:
    """The optional fields of a kind of row, with their defaults."""
    return {f.name: f.default for f in fields(kind) if f.metadata.get("optional")}


def replace(path: Path, text: str) -> bool:
    """Put a text into a file, atomically; False where it stands there already."""
    data = text.encode("utf-8")
    if path.is_file() and path.read_bytes() == data:
        return False
    aside = path.with_name(path.name + ".partial")
    aside.write_bytes(data)
    aside.replace(path)
    return True


def read(path: Path, kind: type[Row]) -> list[Row]:
    """The rows of a file. ValueError, with its number, for a line that is not a row of this kind; and for a
    file that is not as its run wrote it.
    """
    rows: list[Row] = []
    keys, validate, digest = set[object](), TypeAdapter(kind).validate_json, hashlib.sha256()
    with _opened(path) as lines:
        for number, line in enumerate(lines, 1):
            digest.update(line)
            try:
                rows.append(validate(line))
                _check_key(rows[-1], keys)
            except ValidationError as e:
                raise ValueError(f"{path}:{number}: not a {kind.__name__.lower()}: {first_fault(e)}") from e
            except ValueError as e:
                raise ValueError(f"{path}:{number}: {e}") from e
    check_written(path, digest.hexdigest())
    return rows


def check_written(path: Path, digest: str) -> None:
    """ValueError for a file of a run's folder whose bytes are not those that its run wrote."""
    if (known := checksums(path.parent).get(path.name)) is not None and known != digest:
        raise ValueError(f"{path}: not as its run wrote it: other bytes; {ANEW}")


def first_fault(e: ValidationError) -> str:
    """Where a value is wrong first, and how: pydantic's own message has a line for each field."""
    first = e.errors(include_url=False)[0]
    return ": ".join([".".join(map(str, first["loc"])), first["msg"]]).removeprefix(": ")


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if path.exists() and not path.is_file():  # who opens a pipe waits for somebody to write
        raise ValueError(f"{path}: no file; {ANEW}")
    try:
        with path.open("rb") as file:
            yield file
    except (FileNotFoundError, PermissionError) as e:
        raise ValueError(f"{path}: {e.strerror}; {ANEW}") from e


def checksum(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamped(folder: Path) -> dict[str, Any]:
    """What a run's folder says of how it was written; nothing where it does not, or nobody can read it."""
    path = folder / STAMP
    try:
        known = json.loads(path.read_bytes()) if path.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def checksums(folder: Path) -> dict[str, str]:
    """The checksums of the rows of a run's folder, by file, as the run wrote them."""
    known = stamped(folder).get("rows")
    return known if isinstance(known, dict) else {}


def _check_key(row: object, keys: set[object]) -> None:
    """ValueError where a row's key stands in `keys` already, to which it is added."""
    if key_of := KEY_OF.get(type(row)):
        key = key_of(row)
        if key in keys:
            parts = zip(KEYS[type(row)], key, strict=True)
            named = ", ".join(f"{name} {part}" for name, part in parts if part != "")
            raise ValueError(f"duplicate {type(row).__name__.lower()}: {named[:SHOWN]}")
        keys.add(key)
