"""A key of a model or dataclass in words: what it may be, and what the docstring below its field says.

lr: float | None = Field(None, gt=0), "The learning rate."  ->  lr, number > 0, -, The learning rate.
"""

import ast
import inspect
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt, MinLen, MultipleOf
from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from harness.data.layouts import AUTO, known_layout

NEEDED, NOTHING = "needed", "-"
PLAIN = {int: "integer", float: "number", bool: "true, false", str: "text", Any: "anything"}
Named = Callable[[type], str]  # what a section of keys is called


SOME = "(1 or more)"


class Key(NamedTuple):
    """One key: what it may be, what it is if nothing is said, and what it means."""

    name: str
    allowed: str
    default: str
    says: str


class Field(NamedTuple):
    """A field of a model or dataclass: its type with all that bounds it, and its default."""

    name: str
    hint: Any
    default: Any


def is_section(hint: Any) -> bool:
    """Whether a type has keys of its own."""
    return isinstance(hint, type) and (issubclass(hint, BaseModel) or is_dataclass(hint))


def fields_of(model: type) -> list[Field]:
    """The fields of a model or dataclass, in their order."""
    if issubclass(model, BaseModel):
        return [
            Field(
                name,
                Annotated[field.annotation, field] if field.metadata else field.annotation,
                field.get_default(call_default_factory=True, validated_data={}),
            )
            for name, field in model.model_fields.items()
        ]
    assert is_dataclass(model)
    hints = get_type_hints(model, include_extras=True)
    return [Field(f.name, hints[f.name], f.default) for f in fields(model)]


def keys_of(model: type, named: Named) -> list[Key]:
    """The keys of a model; `named` says what other sections are called."""
    said = docstrings(model)
    return [
        Key(f.name, allowed(f.hint, named), default(f.default), said.get(f.name, ""))
        for f in fields_of(model)
    ]


def docstrings(model: type) -> Mapping[str, str]:
    """The text below each field of a class and of those that it is made from."""
    found = {}
    for base in reversed(model.__mro__):
        if base in (object, BaseModel):
            continue
        (made,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(made, ast.ClassDef)
        for above, below in pairwise(made.body):
            if isinstance(above, ast.AnnAssign) and isinstance(below, ast.Expr):
                found[ast.unparse(above.target)] = " ".join(ast.literal_eval(below.value).split())
    return found


def allowed(hint: Any, named: Named = lambda model: model.__name__) -> str:
    """What a type lets a value be: "number > 0", "integer >= 1 or full"."""
    origin, members = get_origin(hint), get_args(hint)
    if origin is Annotated:
        bounds = " and ".join(bound for part in members[1:] for bound in _bounds(part))
        if bounds.startswith(AUTO):  # a list of names says more than that it is text
            return bounds
        inner = allowed(members[0], named)
        if inner == PLAIN[str] and bounds == SOME:  # that a text says something goes without saying
            return inner
        return " ".join(filter(None, (inner, bounds)))
    if origin is Literal:
        return ", ".join(map(str, members))
    if origin in (Union, UnionType):
        return " or ".join(allowed(member, named) for member in members if member is not NoneType)
    if origin is tuple:
        count = "" if members[-1] is Ellipsis else f" {len(members)}"
        return f"list of{count} {allowed(members[0], named)}"
    if origin is dict:
        return f"by name: {allowed(members[1], named)}"
    return named(hint) if is_section(hint) else PLAIN.get(hint, "")


def _bounds(part: Any) -> Iterator[str]:
    match part:
        case FieldInfo():
            for inner in part.metadata:
                yield from _bounds(inner)
        case Gt(gt=x):
            yield f"> {x}"
        case Ge(ge=x):
            yield f">= {x}"
        case Lt(lt=x):
            yield f"< {x}"
        case Le(le=x):
            yield f"<= {x}"
        case MultipleOf(multiple_of=x):
            yield f"a multiple of {x}"
        case MinLen(min_length=x):
            yield f"({x} or more)"
        case AfterValidator(func=partial(func=check, args=(layouts, *_))) if check is known_layout:
            yield ", ".join([AUTO, *(layout.name for layout in layouts)])


def default(value: Any) -> str:
    """A default as YAML has it."""
    if value in (MISSING, PydanticUndefined):
        return NEEDED
    if value is None or value == {} or is_section(type(value)):
        return NOTHING
    return f"`{value if isinstance(value, str) and value.isprintable() else json.dumps(value)}`"
