"""The names of formulas, which ids are made of."""

from dataclasses import replace
from typing import Any

import methods
from methods import dpo
from methods.api import formula
from methods.batch import Batch, Terms


def other_loss(batch: Batch, hp: Any) -> Terms:
    return {}


def test_every_formula_has_a_name_of_its_own_that_does_not_come_from_where_its_code_is() -> None:
    named = {m.loss: m.formula for m in methods.BUILT_IN}
    assert len(set(named.values())) == len(named)
    for loss, name in named.items():
        moved = formula(name)(lambda batch, hp, loss=loss: loss(batch, hp))
        assert replace(dpo.METHOD, loss=moved).formula == name


def test_another_loss_is_another_formula() -> None:
    mine = replace(dpo.METHOD, loss=other_loss)
    assert mine.formula == f"{__name__}.other_loss" != dpo.METHOD.formula
