"""Settings from outside, checked: a fault is one line with its key, what was given and what is allowed."""

from dataclasses import fields
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from harness.common.suggest import nearest
from harness.pocket.build import World


class Strict(BaseModel):
    """A part of a suite: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
    inside = [str(p) for p in error["loc"] if not (isinstance(p, str) and p[:1].isupper())]
    path = ".".join(filter(None, (key, *inside)))
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
