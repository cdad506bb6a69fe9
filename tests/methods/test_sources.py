"""Whose the parts and numbers of the entries are: each is said, and one source has one number."""

from dataclasses import replace
from typing import Any

import pytest

import methods
from methods import sources


@pytest.mark.parametrize("method", methods.BUILT_IN, ids=lambda m: m.name)
def test_every_part_and_number_of_an_entry_has_a_source_or_is_ours(method: methods.Method) -> None:
    assert [row.setting for row in sources.card(method) if row.whose == sources.NOT_SAID] == []


def test_what_an_entry_is_made_of_by_replace_names_the_source_of_its_own_number() -> None:
    """One source has one number: an entry that changes the number has to change its source."""
    found: dict[tuple[str, str], dict[Any, str]] = {}
    for method in methods.BUILT_IN:
        for row in sources.numbers(method):
            if row.whose != "ours" and not isinstance(row.value, str):
                found.setdefault((row.setting, row.source), {}).setdefault(row.value, method.name)
    assert {key: values for key, values in found.items() if len(values) > 1} == {}


@pytest.mark.parametrize("method", methods.BUILT_IN, ids=lambda m: m.name)
def test_no_source_is_left_of_a_setting_that_an_entry_has_not(method: methods.Method) -> None:
    views = {"teacher_rollout", "student_rollout", "policy_rollout"}
    assert set(method.sources) - {row.setting for row in sources.card(method)} - views == set()


def test_an_entry_inherits_the_sources_of_the_one_that_it_is_made_of() -> None:
    adpa, plus = methods.registry()["ADPA"], methods.registry()["ADPA+"]
    assert sources.card(plus)[1] == sources.card(adpa)[1] == ("loss", "gamma_beta", 0.1, "ours", "")
    of_top_5 = {row.setting: row for row in sources.card(methods.registry()["ADPA[top-5]"])}
    assert of_top_5["support"][2:] == (5, "ours", "")
    assert of_top_5["lr"][2:] == (5e-7, "release", "ADPA, student_adpa.yaml")


def test_a_method_of_others_that_says_nothing_has_a_card_all_the_same() -> None:
    own = replace(methods.registry()["SimPO"], sources={})
    assert {row.setting for row in sources.card(own) if row.whose == "not said"} == {"loss", "beta", "margin"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"betta": "ours"}, "SimPO: sources: no setting 'betta'; did you mean 'beta'?"),
        ({"beta": "Table 3"}, "SimPO: sources: beta: given 'Table 3'; allowed: \"paper: WHERE\""),
        ({"beta": "paper"}, "SimPO: sources: beta: given 'paper'; allowed: \"paper: WHERE\""),
    ],
)
def test_a_source_of_nothing_or_of_nobody_is_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        sources.card(replace(methods.registry()["SimPO"], sources=given))
    assert message in str(refused.value)
