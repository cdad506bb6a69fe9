"""Data files as text and as rows, gzipped or not: what is damaged is one line with its file and its place."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def text_of(path: Path) -> str:
    """A file's text, UTF-8. ValueError where there is none, or it cannot be unpacked or is no text."""
    if not path.is_file():
        raise ValueError(f"no file {path}")
    raw = path.read_bytes()
    try:
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as e:
        raise ValueError(f"{path}: cannot be read ({e})") from e


def json_of(path: Path) -> Any:
    """What a JSON file holds. ValueError where it is none."""
    return json_in(text_of(path), path)


def json_in(text: str, path: Path) -> Any:
    """What the text of a JSON file holds; `path` is for its faults."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as e:
        raise ValueError(f"{path} is no JSON: {e}") from e


def json_lines(path: Path, fields: Sequence[str] = (), layout: str = "JSON lines") -> Iterator[Row]:
    """The objects of a JSON-lines file. ValueError: a line that is none, or that lacks one of the fields."""
    return lines_in(text_of(path), path, fields, layout)


def lines_in(text: str, path: Path, fields: Sequence[str] = (), layout: str = "JSON lines") -> Iterator[Row]:
    """The objects in the text of a JSON-lines file; `path` is for its faults."""
    # Not splitlines: it also splits at U+2028, which may stand in a JSON string.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as e:
            raise ValueError(f"{path}, line {number}: not JSON: {e.msg} (column {e.colno})") from e
        if not isinstance(row, dict):
            raise ValueError(f"{path}, line {number}: not {layout}, no JSON object")
        if missing := [field for field in fields if field not in row]:
            raise ValueError(f"{path}, line {number}: not {layout}, without {', '.join(missing)}")
        yield row


def rows_hash(rows: Iterable[Row], fields: Sequence[str]) -> str:
    """sha256 of some fields of rows in whatever order: the same however a file is laid out."""
    # An absent field is a null, so that a file of another kind has another hash rather than none.
    content = sorted(json.dumps([row.get(field) for field in fields]) for row in rows)
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


def write_lines(path: Path, rows: Iterable[Row]) -> Path:
    """Write one JSON object a line, and the folder where there is none; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def answer_id(model: str, question: str, turns: Sequence[str]) -> str:
    """An id that is the same for the same content, as long as FastChat's random ones."""
    return hashlib.sha256(json.dumps([model, question, turns]).encode()).hexdigest()[:22]


def file_name(name: str, tool: str) -> str:
    """A model's or judge's name as that of a file. ValueError where `tool` could not read it from there."""
    if not name or "/" in name or "\\" in name:
        raise ValueError(f"{name!r} cannot name a file, and {tool} takes names from files; use one without /")
    return name
