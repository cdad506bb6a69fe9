"""Methods from outside the tree: the file named by `--method-file`."""

import methods
from harness.suite.extension_file import defined_in
from methods.api import Method


def methods_in(path: str | None) -> tuple[Method, ...]:
    """Every `Method` that a Python file defines at its top level; none without a file."""
    return defined_in(path, (Method, Method), "Method (METHOD = Method(...))")


def method_of(name: str, path: str | None) -> Method:
    """The method of that name, of the registry or of the file."""
    return methods.get(name, methods.registry(methods_in(path)))
