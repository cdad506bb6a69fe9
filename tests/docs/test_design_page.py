"""docs/design.md: its floors are those that are held, and what it names as reasons are tests."""

import re

import pytest

from tests.paths import ROOT
from tests.test_floors import FLOORS

PAGE = (ROOT / "docs" / "design.md").read_text()
REASONS = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", PAGE)


@pytest.mark.parametrize(("path", "name"), REASONS)
def test_a_reason_that_is_named_is_a_test(path: str, name: str) -> None:
    assert f"\ndef {name}(" in (ROOT / path).read_text()


def test_the_floors_are_those_that_are_held() -> None:
    rows = re.findall(r"^\| (ground|\d+) \| (.*) \|$", PAGE, re.MULTILINE)
    assert [n for n, _ in rows] == [*map(str, range(len(FLOORS) - 1, 0, -1)), "ground"]
    told = [set(re.findall(r"`(\w+)`", packages)) for _, packages in reversed(rows)]
    assert told == [set(floor) for floor in FLOORS]
