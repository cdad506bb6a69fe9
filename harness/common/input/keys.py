"""The keys of the part of a model in which a fault stands: what an unknown one may have meant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel


def keys_at(model: Any, place: Sequence[int | str]) -> list[str]:
    """The keys that a part of `model` knows; `place` is where it stands, as pydantic says it."""
    parts = list(_members(model))
    for name in place:
        inside = [one for part in parts for one in _inside(part, name)]
        # pydantic names the member of a union at which it looked, which is no place of its own.
        named = [part for part in parts if isinstance(part, type) and part.__name__ == name]
        parts = inside or named or parts
    return list(dict.fromkeys(key for part in parts for key in _fields(part)))


def _members(hint: Any) -> Iterator[Any]:
    """A type without what is said about it, each member of a union by itself."""
    if get_origin(hint) is Annotated:
        yield from _members(get_args(hint)[0])
    elif get_origin(hint) in (Union, UnionType):
        for member in get_args(hint):
            yield from _members(member)
    else:
        yield hint


def _fields(part: Any) -> Mapping[str, Any]:
    """The keys of a model or dataclass with their types; none of anything else."""
    if not isinstance(part, type):
        return {}
    if issubclass(part, BaseModel):
        return {name: field.annotation for name, field in part.model_fields.items()}
    if is_dataclass(part):
        hints = get_type_hints(part, include_extras=True)
        return {field.name: hints[field.name] for field in fields(part)}
    return {}


def _inside(part: Any, name: int | str) -> Iterator[Any]:
    """What stands in a part under a key or at a place in a list."""
    if name in (own := _fields(part)):
        yield from _members(own[str(name)])
    elif get_origin(part) is dict:
        yield from _members(get_args(part)[1])
    elif isinstance(name, int):
        yield from (one for hint in get_args(part) for one in _members(hint))
