"""Data files as values and as rows, gzipped or not: what is damaged is one line with its file, its place and
what stands there.

    p.jsonl, line 2: not JSON: Expecting ',' delimiter (column 17)
    q.json, row 3: turns: given 'a'; a valid list

Python's own reader is asked, as the libraries that read tables end the process over some of these files.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Annotated, Any

from pydantic import AfterValidator, BaseModel, PlainValidator, ValidationError

from benchmarks import file_bytes
from benchmarks.file_bytes import decoded, opened, text_of
from benchmarks.text import cut, says_nothing

Row = dict[str, Any]

DEEPEST = 100  # of lists and objects in each other
TOO_DEEP = f"nested more than {DEEPEST} deep"
HALF = re.compile(r"\\u[dD][89a-fA-F]")  # an escape that may be half of a pair
BLANKS = re.compile(r"[ \t\r\n]*")
OPEN = ("{", "[", ",", ":")  # one ends a line of an object that stands on several


def _id(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("a text or a whole number")
    if isinstance(value, str):
        _whole(value)  # a row of results without a question is one that could not be had
    return value


def _whole(text: str) -> str:
    if says_nothing(text):
        raise ValueError("a text that says something")
    return text


Id = Annotated[Any, PlainValidator(_id)]  # of a question
Words = Annotated[str, AfterValidator(_whole)]


def rows(path: Path, layout: str = "JSON lines") -> Iterator[tuple[str, Row]]:
    """Every object of a file with where it stands: one a line ("p.jsonl, line 3"), those of one list
    ("p.json, row 3"), or objects on several lines each. ValueError where one is none.
    """
    with opened(path) as file:
        yield from rows_in(file, path, layout)


def rows_in(file: IO[bytes], path: Path, layout: str = "JSON lines") -> Iterator[tuple[str, Row]]:
    """The same of an open file; `path` is for its faults."""
    begun = False
    for number, raw in file_bytes.lines(file):
        where = f"{path}, line {number}"
        if not begun and raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            text = decoded(file_bytes.rest(path, file, raw), str(path), first=number == 1)
            yield from _objects(_parsed(text, path, number), path, layout, text)
            return
        file_bytes.check_length(raw, where)
        if not (text := decoded(raw, where, first=number == 1).strip()):
            continue
        if not begun and text.endswith(OPEN):
            text = decoded(file_bytes.rest(path, file, raw), str(path), first=number == 1)
            yield from _objects(_several(text, path, number), path, layout, text)
            return
        begun = True
        value = _parsed(text, path, number)
        yield where, _object(value, where, layout, _halves(text))


def json_of(path: Path) -> Any:
    """What a file of one value holds. ValueError where it is no JSON."""
    return _parsed(text_of(path), path)


def json_list(path: Path, kind: type[BaseModel] | None = None, layout: str = "JSON objects") -> list[Row]:
    """The objects of a file that is one list of them. ValueError for any other, or where one lacks a field of
    `kind`, a model, or has another type there.
    """
    found = _parsed(text := text_of(path), path)
    if not isinstance(found, list):
        raise ValueError(f"{path} is no list of JSON objects: given {shown(found)}")
    return [checked(row, kind, where, layout) for where, row in _objects(found, path, layout, text)]


def json_lines(path: Path, kind: type[BaseModel] | None = None, layout: str = "JSON lines") -> Iterator[Row]:
    """The objects of a JSON-lines file. ValueError: a line that is none, or that lacks a field of `kind`, a
    model, or has another type there.
    """
    for where, row in rows(path, layout):
        yield checked(row, kind, where, layout)


def unique(ids: Iterable[str], path: Path, what: str = "question ids") -> None:
    """ValueError where rows of a file have one id, or one of another kind."""
    seen: dict[str, int] = {}
    for number, one in enumerate(ids, 1):
        if (first := seen.setdefault(one, number)) != number:
            raise ValueError(f"{path}: {what} stand twice: {cut(one)}, of rows {first} and {number}")


def _objects(values: Iterable[Any], path: Path, layout: str, text: str) -> Iterator[tuple[str, Row]]:
    halves = _halves(text)  # once, since a text may be that of a million rows
    for number, value in enumerate(values, 1):
        yield (where := f"{path}, row {number}"), _object(value, where, layout, halves)


def _halves(text: str) -> bool:
    """Whether a text has escapes that may be half of a pair."""
    return HALF.search(text) is not None


def _object(value: Any, where: str, layout: str, halves: bool) -> Row:
    """The value of a text, where it is an object of whole characters: no model reads a half of one. Without
    `halves` its text has no escape of one.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{where}: not {layout}, no JSON object: given {shown(value)}")
    for name, part in value.items() if halves else ():
        try:
            json.dumps([name, part], ensure_ascii=False).encode()
        except UnicodeEncodeError as e:
            half = ascii(e.object[e.start])[1:-1]
            raise ValueError(f"{where}: {cut(name)}: {half} is half of a character; write both halves") from e
    return value


def checked(row: Row, kind: type[BaseModel] | None, where: str, layout: str) -> Row:
    """The row. ValueError where it lacks a field of `kind`, or has another type there."""
    try:
        if kind:
            kind.model_validate(row, strict=True)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        if missing := [str(f["loc"][0]) for f in faults if f["type"] == "missing" and len(f["loc"]) == 1]:
            raise ValueError(f"{where}: not {layout}, without {', '.join(missing)}") from error
        place, given = ".".join(map(str, faults[0]["loc"])), shown(faults[0]["input"])
        allowed = faults[0]["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        raise ValueError(f"{where}: {place}: given {given}; {allowed}") from error
    return row


def shown(value: Any) -> str:
    """A value as its file has it, as far as a line has room."""
    return cut(json.dumps(value, ensure_ascii=False))


def _no_key_twice(pairs: list[tuple[str, Any]]) -> Row:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {cut(repr(twice))} stands twice in one object")
    return found


DECODER = json.JSONDecoder(object_pairs_hook=_no_key_twice)


def _parsed(text: str, path: Path, first: int = 1) -> Any:
    """The value of a text, whose first line has that number."""
    value, end = _decoded(text, path, first, _after_blanks(text, 0))
    if left := text[end:].strip():
        line, after = first + text.count("\n", 0, end), len(text[:end].rpartition("\n")[2])
        raise ValueError(f"{path}, line {line}: not JSON: Extra data (column {after + 1}): {cut(left, 40)}")
    return value


def _several(text: str, path: Path, first: int) -> Iterator[Any]:
    """The values of a text, one after the other."""
    at = _after_blanks(text, 0)
    while at < len(text):
        value, end = _decoded(text, path, first, at)
        at = _after_blanks(text, end)
        yield value


def _after_blanks(text: str, at: int) -> int:
    found = BLANKS.match(text, at)
    assert found
    return found.end()


def _decoded(text: str, path: Path, first: int, at: int) -> tuple[Any, int]:
    """The value that stands at a place of a text, and where it ends."""

    def where() -> str:
        return f"{path}, line {first + text.count(chr(10), 0, at)}"

    try:
        value, end = DECODER.raw_decode(text, at)
    except json.JSONDecodeError as e:
        line = f"{path}, line {first + e.lineno - 1}"
        raise ValueError(f"{line}: not JSON: {e.msg} (column {e.colno})") from e
    except RecursionError:
        raise ValueError(f"{where()}: {TOO_DEEP}") from None
    except ValueError as e:
        told = "a whole number of over 4,300 digits" if "int_max_str_digits" in str(e) else str(e)
        raise ValueError(f"{where()}: {told}") from e
    if text.count("[", at, end) + text.count("{", at, end) > DEEPEST and _depth(value) > DEEPEST:
        raise ValueError(f"{where()}: {TOO_DEEP}")
    return value, end


def _depth(value: Any) -> int:
    """How deep lists and objects stand in each other."""
    depth, level = 0, [value]
    while level := [part for part in level if isinstance(part, list | dict)]:
        depth += 1
        level = [one for part in level for one in (part.values() if isinstance(part, dict) else part)]
    return depth


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
