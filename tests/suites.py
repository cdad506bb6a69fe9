"""Suites as the command line loads them, with every benchmark and judge of this tree."""

from collections.abc import Sequence

from harness.evaluate import registry
from harness.suite import loading
from harness.suite.schema import Suite


def load(name: str, overrides: Sequence[str] = ()) -> Suite:
    return loading.load(name, overrides, registry.known())
