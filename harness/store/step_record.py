"""Settings and inputs as a step's record has them: flat JSON and names with dots; and back from there.

    SignalSettings("logps", "float32")             {"form": "logps", "dtype": "float32"}     k is `optional`
    TrainInputs(start=x, views={"chosen": y})      {"start": x, "view.chosen": y}

The record is what ids are made of, so its names and values outlive those of the code.
"""

from collections.abc import Mapping
from dataclasses import MISSING, field, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

T = TypeVar("T")
# Of a field that holds a dataclass whose fields stand in the record beside those of the settings around it.
FLATTENED = {"flattened": True}


def optional(default: Any = None) -> Any:
    """A field that stands in a record only where it is not its default: ids from before it was there hold."""
    return field(default=default, metadata={"optional": True})


def several(prefix: str, parts: int = 1) -> Any:
    """A mapping of inputs, each recorded as "prefix.key"; of several `parts` a key is a tuple."""
    return field(default_factory=dict, metadata={"prefix": prefix, "parts": parts})


def to_record(value: Any) -> Any:
    """Settings as JSON has them; a field that is `optional` and has its default is left out."""
    if isinstance(value, Mapping):
        return {key: to_record(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [to_record(one) for one in value]
    if not is_dataclass(value):
        return value
    record: dict[str, Any] = {}
    for f in fields(value):
        one = getattr(value, f.name)
        if f.metadata.get("flattened"):
            record |= to_record(one) if one is not None else {}
        elif f.metadata.get("recorded", True) and not (f.metadata.get("optional") and one == f.default):
            record[f.name] = to_record(one)
    return record


def from_record(settings: type[T], record: Mapping[str, Any]) -> T:
    """A settings object from what `to_record` made of it; pydantic's ValidationError where it is not."""
    from pydantic import TypeAdapter

    given = dict(record)
    tree = _nested(settings, given)
    if given:
        raise ValueError(f"{settings.__name__}: no settings {', '.join(given)}")
    # JSON has lists where a class has tuples, and text where it has paths: pydantic turns them.
    return TypeAdapter(settings).validate_python(tree)


def _nested(settings: Any, left: dict[str, Any]) -> dict[str, Any]:
    """The fields of a settings class, taken out of a flat record; `flattened` ones as trees of their own."""
    hints, tree = get_type_hints(settings), {}
    for f in fields(settings):
        if not f.metadata.get("flattened"):
            if f.name in left:
                tree[f.name] = left.pop(f.name)
            continue
        kinds = [kind for kind in (hints[f.name], *get_args(hints[f.name])) if is_dataclass(kind)]
        if not kinds:  # a mapping holds what no other field does, so it stands last
            tree[f.name] = dict(left)
            left.clear()
            continue
        # Of a group of which nothing stands in the record the class says what it is, or it is None.
        if (group := _nested(kinds[0], left)) or f.default is MISSING:
            tree[f.name] = group or None
    return tree


def by_name(inputs: Any) -> dict[str, Any]:
    """Inputs by their recorded names, in order; those that are None are left out."""
    found: dict[str, Any] = {}
    for f in fields(inputs):
        value = getattr(inputs, f.name)
        if prefix := f.metadata.get("prefix"):
            for key, source in value.items():
                found[".".join([prefix, *([key] if isinstance(key, str) else key)])] = source
        elif value is not None:
            found[f.name] = value
    return found


def from_names(inputs: type[T], sources: Mapping[str, Any]) -> T:
    """An inputs object from recorded names, the opposite of `by_name`; ValueError for a name it has no place
    for.
    """
    assert is_dataclass(inputs)
    found: dict[str, Any] = {}
    for f in fields(inputs):
        if prefix := f.metadata.get("prefix"):
            keys = {n: n.removeprefix(f"{prefix}.") for n in sources if n.startswith(f"{prefix}.")}
            tuples = f.metadata["parts"] > 1
            found[f.name] = {tuple(k.split(".")) if tuples else k: sources[n] for n, k in keys.items()}
        elif f.name in sources:
            found[f.name] = sources[f.name]
    made = inputs(**found)
    if unknown := [name for name in sources if name not in by_name(made)]:
        raise ValueError(f"{inputs.__name__}: no inputs {', '.join(unknown)}")
    return made
