"""The corpus of bad inputs: a sample of it in the fast tier, all of it in the slow one and in `make fuzz`."""

from pathlib import Path

import pytest

from tests.fuzz.cases import Case, cases
from tests.fuzz.judge import Ended, judged, run

ALL = list(cases())
ONE_OF = 12  # cases of the fast tier, other ones of each kind of fault as the corpus grows


def _ends_as_it_should(case: Case, folder: Path) -> None:
    found = judged(case, run(case, folder))
    assert found.ending is None, f"{found.ending}: {found.shown}"


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in ALL[::ONE_OF]])
def test_a_bad_input_ends_in_one_line_before_any_work(case: Case, tmp_path: Path) -> None:
    _ends_as_it_should(case, tmp_path / "case")


@pytest.mark.slow
@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in ALL])
def test_every_bad_input_ends_in_one_line_before_any_work(case: Case, tmp_path: Path) -> None:
    _ends_as_it_should(case, tmp_path / "case")


@pytest.mark.parametrize(
    ("code", "err", "worked", "ending"),
    [
        (2, "bench: x.yaml: seeds: given 'x'; a number\n", False, None),
        (2, "bench: given 'x'; a number\n", False, "no key"),
        (1, "bench: x.yaml: seeds: given 'x'\n", False, "code"),
        (1, "Traceback (most recent call last):\nKeyError: 'seeds'\n", False, "traceback"),
        (1, "bench: a fault of bench itself, KeyError: 'seeds' (schema.py:9)\n", False, "traceback"),
        (-9, "", False, "hang"),
        (-11, "", False, "abort"),
        (0, "", False, "nonsense"),
        (2, "bench: x.yaml: seeds: given 'x'; a number\n", True, "nonsense"),
        (2, "", False, "silent"),
        (2, f"bench: x.yaml: seeds: {'x' * 300}\n", False, "long"),
        (2, "a library's words\nbench: x.yaml: seeds: given 'x'\n", False, "long"),
    ],
)
def test_each_way_to_end_otherwise_is_told_apart(
    code: int, err: str, worked: bool, ending: str | None
) -> None:
    case = Case(border="suite", fault="wrong type", said=("x.yaml", "seeds"))
    assert judged(case, Ended(code, "", err, worked)).ending == ending
