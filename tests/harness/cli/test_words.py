"""The words of a command, before any of it is looked at."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from harness.cli.app import app
from harness.cli.start import surroundings


def test_an_option_that_counts_once_is_not_given_twice() -> None:
    for words in (("run", "--name", "a", "--name", "b"), ("run", "--jobs=1", "--jobs", "2")):
        with pytest.raises(ValueError, match=rf"^{words[1].partition('=')[0]}: given twice"):
            surroundings.check(words)
    surroundings.check(("run", "--set", "a=1", "--set", "b=2", "--only", "X", "--only=Y", "--", "--"))


def test_those_that_are_given_several_times_are_all_that_a_command_gathers() -> None:
    found = {
        name for p in _options(typer.main.get_command(app)) if p.multiple for name in p.opts if name[1] == "-"
    }
    assert found == set(surroundings.SEVERAL)


def _options(command: Any) -> Iterator[Any]:
    for part in command.params:
        if part.param_type_name == "option":
            yield part
    for inner in getattr(command, "commands", {}).values():
        yield from _options(inner)
