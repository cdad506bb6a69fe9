"""Data files as text and as rows, gzipped or not: what is damaged is one line with its file and its place."""

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def text_of(path: Path) -> str:
    """A file's text, UTF-8. ValueError where it cannot be unpacked or is no text."""
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
