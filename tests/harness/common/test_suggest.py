"""What an unknown name may have meant."""

from pathlib import Path

import pytest

from harness.common.input import yaml_text
from harness.common.suggest import did_you_mean, nearest


def test_of_names_that_are_as_near_the_one_that_begins_alike_is_meant() -> None:
    for known in (["OPD", "DPO"], ["DPO", "OPD"]):
        assert nearest("DOP", known) == "did you mean 'DPO'?"
    assert did_you_mean("apda", ["DPO", "ADPA", "PAD"]) == "; did you mean 'ADPA'?"
    assert did_you_mean("x", ["DPO"]) == ""


def test_a_file_that_is_not_there_may_be_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").touch()
    with pytest.raises(ValueError, match=r"^no suite file .*/tiny\.yml; did you mean 'tiny\.yaml'\?$"):
        yaml_text.read(tmp_path / "tiny.yml", "suite file")
