"""The tables that ship beside this package."""

from functools import cache
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML


@cache
def table(name: str) -> dict[str, Any]:
    """A table by its name, without ".yaml"."""
    text = files("harness.forecast").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return dict(YAML(typ="safe", pure=True).load(text))
