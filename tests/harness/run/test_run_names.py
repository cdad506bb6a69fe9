"""What a run's folder is called."""

import pytest

from harness.run.run_names import changed, run_name
from harness.suite.schema import Suite
from tests import suites
from tests.paths import TINY


def named(*overrides: str) -> str:
    def tiny(given: list[str]) -> Suite:
        return suites.load(TINY, given)

    loaded = tiny(list(overrides))
    return run_name(loaded.name, changed(loaded, overrides, lambda others: tiny(list(others))))


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ((), "tiny"),
        (("methods.DCKD.alpha=0.5",), "tiny+DCKD.alpha=0.5"),
        (("seeds=[0]",), "tiny"),  # as the file has it
        (("seeds=[0, 1]",), "tiny+seeds=0,1"),
        (("methods.DPO.training.lr=1e-2", "methods.DCKD.alpha=2"), "tiny+DCKD.alpha=2+DPO.lr=1e-2"),
        (("engine.checkpointing=true",), "tiny"),  # changes no number
        (("name=mine",), "mine"),
    ],
)
def test_a_name_says_which_settings_are_others(overrides: tuple[str, ...], name: str) -> None:
    assert named(*overrides) == name


def test_an_order_of_words_is_no_other_run() -> None:
    assert named("seeds=[1]", "max_length=99") == named("max_length=99", "seeds=[1]")


def test_what_is_cut_or_replaced_has_a_hash_behind_it() -> None:
    long = named(*(f"methods.{m}.training.lr=0.0{n}1" for n, m in enumerate(("SFT", "DPO", "DCKD", "ADPA"))))
    other = named(*(f"methods.{m}.training.lr=0.0{n}2" for n, m in enumerate(("SFT", "DPO", "DCKD", "ADPA"))))
    assert long != other and len(long) < 80
    paths = {named(f"pairs.tiny.student.base={path}") for path in ("models/a", "models-a")}
    assert len(paths) == 2 and all("/" not in path for path in paths)
