"""Settings from outside, checked: a fault is one line with its key, what was given and what is allowed."""

from dataclasses import fields
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter, ValidationError

from harness.common.suggest import nearest
from harness.pocket.build import World


class Strict(BaseModel):
    """A part of a suite: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


LONGEST = 100  # characters of a name: a file's may have 255, of which exports and logs take some
WORLD = "world"  # begins a path inside the generated world


def _name(given: str) -> str:
    if not given.strip("./ ") or len(given) > LONGEST or not given.isprintable():
        raise ValueError(
            f"given {given!r}; a name has 1 to {LONGEST} printable characters, and not only dots and slashes"
        )
    return given


# What files are called after: of a row, a pair, a data set, a judge.
Name = Annotated[str, AfterValidator(_name)]


def inside_world(path: str) -> str | None:
    """What a path "world/..." names inside the generated world, "" the world itself; None for a path from
    outside. ValueError for one that leaves the world: its content would be in no step's id.
    """
    first, _, inside = path.partition("/")
    if first != WORLD:
        return None
    if PurePosixPath(inside).is_absolute() or ".." in PurePosixPath(inside).parts:
        raise ValueError(
            f"given {path!r}; {WORLD}/... lies in the generated world: name a file outside without {WORLD}/"
        )
    return inside


def validated(model: Any, raw: Any, where: str, key: str = "") -> Any:
    """`raw` as a model of pydantic; any fault is one ValueError line that begins with `where`.

    `key` says where `raw` stands in what is checked.
    """
    try:
        return TypeAdapter(model).validate_python(raw)
    except ValidationError as e:
        known = _known_keys(model)
        faults = (_explain(error, key, known) for error in e.errors()[:3])
        raise ValueError(f"{where}: " + "; ".join(faults)) from None


def _explain(error: Any, key: str, known: list[str]) -> str:
    """One fault as "key: what is wrong, what was given"."""
    # Pydantic names the member of a union that it tried: a class, no key.
    # A key of a mapping that is itself wrong is followed by "[key]".
    inside = [str(p) for p in error["loc"] if p != "[key]" and not (isinstance(p, str) and p[:1].isupper())]
    named = ".".join(filter(None, (key, *inside)))
    path = named if named.isprintable() else repr(named)  # a fault is one line, whatever a key holds
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{path}: unknown key; {nearest(inside[-1], known)}"
    if error["type"] in ("missing", "missing_argument"):
        return f"{path}: missing"
    if error["type"] == "value_error":  # one of ours, which says what was given
        message = str(error["ctx"]["error"])
        return f"{path}: {message}" if path else message
    return f"{path}: given {error['input']!r}; {error['msg'][:1].lower()}{error['msg'][1:]}"


def _known_keys(model: Any) -> list[str]:
    """The keys of a registered model; for a suite, every key that some part of one knows."""
    if isinstance(model, type) and issubclass(model, BaseModel) and not issubclass(model, Strict):
        return sorted(model.model_fields)
    parts: list[type[Strict]] = [Strict]
    for part in parts:
        parts += part.__subclasses__()
    keys = {name for part in parts for name in part.model_fields}
    return sorted(keys | {field.name for field in fields(World)})
