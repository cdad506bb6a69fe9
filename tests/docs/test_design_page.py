"""docs/design.md names tests as reasons for what is written by hand."""

import re

import pytest

from tests.paths import ROOT

REASONS = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", (ROOT / "docs" / "design.md").read_text())


@pytest.mark.parametrize(("path", "name"), REASONS)
def test_a_reason_that_is_named_is_a_test(path: str, name: str) -> None:
    assert f"\ndef {name}(" in (ROOT / path).read_text()
