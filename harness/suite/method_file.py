"""Methods from outside the tree: the file named by `--method-file`."""

import importlib.util
import sys
from pathlib import Path

import methods
from harness.common.files import sha256
from methods.api import Method


def methods_in(path: str | None) -> tuple[Method, ...]:
    """Every `Method` that a Python file defines at its top level; none without a file."""
    if path is None:
        return ()
    if not Path(path).is_file():
        raise ValueError(f"no method file {path}")
    name = f"bench_method_{digest(path)}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ValueError(f"{path}: not a Python file")
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as e:  # whatever a user's file raises is theirs to read, in one line
            raise ValueError(f"{path}: {type(e).__name__}: {e}") from e
        sys.modules[name] = module
    found = tuple(m for m in vars(sys.modules[name]).values() if isinstance(m, Method))
    if not found:
        raise ValueError(f"{path}: defines no Method (METHOD = Method(...))")
    return found


def digest(path: str) -> str:
    """A hash of the file: part of the identity of what it trains."""
    return sha256(Path(path))[:12]


def method_of(name: str, path: str | None) -> Method:
    """The method of that name, of the registry or of the file."""
    return methods.get(name, methods.registry(methods_in(path)))
