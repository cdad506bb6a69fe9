"""The recorded ids and losses are today's."""

import json
from pathlib import Path

import pytest

from tests import goldens


def recorded(name: str) -> dict[str, object]:
    return dict(json.loads((goldens.GOLDEN / name).read_text()))


def test_every_step_has_the_id_it_had(tmp_path: Path) -> None:
    found, before = goldens.ids(tmp_path), recorded("ids.json")
    assert found.keys() == before.keys()
    for suite, steps in found.items():
        assert steps == before[suite], suite


def test_every_entry_has_the_loss_it_had(tmp_path: Path) -> None:
    """Another order of float32 sums moves a loss by some 1e-6 of itself, a gradient by 1e-5."""
    found, before = goldens.losses(tmp_path), recorded("losses.json")
    assert found.keys() == before.keys()
    for name, loss in found.items():
        assert loss == {
            "terms": pytest.approx(before[name]["terms"], rel=1e-5, abs=1e-6),
            "gradient_norm": pytest.approx(before[name]["gradient_norm"], rel=1e-4),
        }, name
