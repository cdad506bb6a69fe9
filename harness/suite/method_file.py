"""Methods from outside the tree: the file named by `--method-file`."""

import methods
from harness.suite.extension_file import defined_in
from harness.suite.validation import Name, validated
from methods.api import Method


def methods_in(path: str | None) -> tuple[Method, ...]:
    """Every `Method` that a Python file defines at its top level; none without a file."""
    own = defined_in(path, (Method, Method), "Method (METHOD = Method(...))")
    for method in own:
        validated(Name, method.name, str(path), "name of a method")
    return own


def method_of(name: str, path: str | None) -> Method:
    """The method of that name, of the registry or of the file."""
    return methods.get(name, methods.registry(methods_in(path)))
