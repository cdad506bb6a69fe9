"""Rows in files, one JSON object a line: written whole or not at all, read strictly."""

import json
from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from reports.records.rows import KEYS

KEY_OF = {kind: attrgetter(*names) for kind, names in KEYS.items()}
Shape = tuple[str | type, ...]  # the names of a row and the types of its values
Row = TypeVar("Row")  # a frozen dataclass


def write(rows: Iterable[Row], path: Path) -> bool:
    """Write one JSON object a line, in the given order; where rows have a key, it must not stand twice.
    Returns whether the file is another now; it is replaced atomically.
    """
    lines, seen = [], set()
    for row in rows:
        if key := _key(row):
            if key in seen:
                told = dict(zip(KEYS[type(row)], key, strict=True))
                raise ValueError(f"duplicate {_noun(type(row))}: {told}")
            seen.add(key)
        lines.append(ENCODER.encode(vars(row)) + "\n")
    return replace(path, "".join(lines))


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
    """The rows of a file; a line that is not a row of this kind raises ValueError with its number."""
    types = {name: _json_types(hint) for name, hint in get_type_hints(kind).items()}
    found: list[Row] = []
    seen, fine = set(), dict[Shape, tuple[str, ...]]()
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = _row(line, kind, types, fine)
                if key := _key(row):
                    if key in seen:
                        raise ValueError(f"duplicate {_noun(kind)}")
                    seen.add(key)
            except ValueError as e:
                raise ValueError(f"{path}:{number}: {e}") from e
            found.append(row)
    return found


def _key(row: object) -> tuple[object, ...] | None:
    """What a row is found by; None of a kind that has no key."""
    key_of = KEY_OF.get(type(row))
    return key_of(row) if key_of else None


def _row(
    line: bytes, kind: type[Row], types: dict[str, frozenset[type]], fine: dict[Shape, tuple[str, ...]]
) -> Row:
    """The row of a line; `fine` collects names and types that were checked, most lines having the same, and
    which of them are lists.
    """
    try:
        row: Any = DECODER.decode(line.decode("utf-8"))
    except ValueError as e:  # JSONDecodeError, UnicodeDecodeError
        raise ValueError(f"not JSON ({e})") from e
    if not isinstance(row, dict):
        raise ValueError(f"not a {_noun(kind)}; keys must be {', '.join(types)}")
    shape = (*row, *map(type, row.values()))
    if shape not in fine:
        _check(row, kind, types)
        fine[shape] = tuple(name for name, value in row.items() if type(value) is list)
    for name in fine[shape]:
        row[name] = _frozen(row[name])
    made = object.__new__(kind)  # a frozen row's constructor sets its fields one by one, at twice the time
    vars(made).update(row)
    getattr(made, "__post_init__", _nothing)()
    return made


def _nothing() -> None:
    """What a row without checks of its own checks."""


def _check(row: dict[str, Any], kind: type[Row], types: dict[str, frozenset[type]]) -> None:
    if row.keys() != types.keys():
        raise ValueError(f"not a {_noun(kind)}; keys must be {', '.join(types)}")
    for name, value in row.items():
        if type(value) not in types[name]:
            raise ValueError(f"{name} is {value!r}; must be {get_type_hints(kind)[name]}")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


ENCODER = json.JSONEncoder(allow_nan=False)
DECODER = json.JSONDecoder(parse_constant=_refuse)


def _json_types(hint: object) -> frozenset[type]:
    """The Python types of the JSON values that a field takes; an int is a float, a bool is not an int."""
    if isinstance(hint, UnionType):
        return frozenset().union(*(_json_types(member) for member in get_args(hint)))
    if hint is float:
        return frozenset((float, int))
    if get_origin(hint) is tuple:
        return frozenset((list,))
    assert isinstance(hint, type)
    return frozenset((hint,))


def _frozen(value: object) -> object:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value


def _noun(kind: type) -> str:
    return kind.__name__.lower()
