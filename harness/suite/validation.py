"""Settings from outside, checked: a fault is one line with its key, what was given and what is allowed."""

from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.common.suggest import nearest
from harness.pocket.build import World
from harness.suite.benchmarks import Strict


def validated(model: Any, raw: Any, where: str) -> Any:
    """`raw` as a model of pydantic; any fault is one ValueError line that begins with `where`."""
    try:
        return TypeAdapter(model).validate_python(raw)
    except ValidationError as e:
        raise ValueError(f"{where}: " + "; ".join(_explain(error) for error in e.errors()[:3])) from None


def _explain(error: Any) -> str:
    """One fault as "key: what is wrong, what was given"."""
    path = [str(p) for p in error["loc"] if not (isinstance(p, str) and p[:1].isupper())]
    key = ".".join(path)
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{key}: unknown key; {nearest(path[-1], _known_keys())}"
    if error["type"] in ("missing", "missing_argument"):
        return f"{key}: missing"
    if error["type"] == "value_error":  # one of ours, which says what was given
        told = str(error["ctx"]["error"])
        return f"{key}: {told}" if key else told
    return f"{key}: given {error['input']!r}; {error['msg'][:1].lower()}{error['msg'][1:]}"


def _known_keys() -> list[str]:
    """Every key that some part of a suite knows."""
    parts: list[type[Strict]] = [Strict]
    for part in parts:
        parts += part.__subclasses__()
    keys = {field.alias or name for part in parts for name, field in part.model_fields.items()}
    return sorted(keys | {field.name for field in fields(World)})
