"""Every loss against its naive twin, value and gradient of every parameter.

A comparison that a wrong formula passes would prove nothing: test_twins_mutants.py compares wrong formulas.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import methods
from methods.adpa_release import ADPARelease
from methods.api import Method
from methods.dckd_release import DCKDRelease
from tests.methods.synthetic import (
    ANSWERS,
    EVERYTHING,
    TOP,
    Gradient,
    assert_same_gradient,
    case_id,
    computations,
    policy_for,
    step_of,
    supports,
    world,
    written,
)
from tests.methods.twins import Terms, twin_of

WEIGHT = 0.7  # of a teacher's term, and DPO's beta: far from where a mistake would be small
HALVES = [EVERYTHING[: len(ANSWERS) // 2], EVERYTHING[len(ANSWERS) // 2 :]]


def strong(method: Method) -> Iterator[Any]:
    """The method's settings with a weight at which every term is as large as the next."""
    for hp in supports(method):
        weights = {name: WEIGHT for name in ("beta", "gamma_beta", "kl") if name in vars(hp)}
        if "alpha" in vars(hp) and "responses" not in vars(hp):
            weights["alpha"] = WEIGHT
        if "reward_clip" in vars(hp):
            weights["reward_clip"] = 2.0  # between the rewards
        if isinstance(hp, ADPARelease | DCKDRelease):
            weights["k"] = TOP
        if vars(hp).get("support") == 50:
            continue  # 50 of 61 ids leave little out; TOP is tested
        yield replace(hp, **weights)


CASES = computations(strong)
every_case = pytest.mark.parametrize("method, hp", CASES, ids=[case_id(*case) for case in CASES])


def agree(terms: Terms, gradient: Gradient, formula: str, hp: Any, tolerance: float = 5e-6) -> None:
    """AssertionError unless terms and gradient are the twin's. What runs over V and the sums are float32:
    some eps = 1.2e-7 of the largest addend, which a ranking multiplies by beta and a mean log-prob.
    """
    expected, expected_gradient = twin_of(formula, hp)
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name].double(), value, rtol=tolerance, atol=tolerance / 10, msg=name)
    assert_same_gradient(gradient, expected_gradient, tolerance)


def compare(formula: str, method: Method, hp: Any, folder: Path) -> None:
    """The method in two micro-batches against the twin of a formula."""
    examples = written(world(), folder, method.needs(hp))
    agree(*step_of(method, hp, policy_for(method, hp), examples, HALVES), formula, hp)


@every_case
def test_a_loss_and_its_twin_agree(method: Method, hp: Any, tmp_path: Path) -> None:
    compare(method.formula, method, hp, tmp_path)


def distance(gradient: Gradient, expected: Gradient) -> float:
    """Length of the difference over the length of what is expected."""
    off = sum(float((gradient[n].double() - g).norm() ** 2) for n, g in expected.items())
    return math.sqrt(off / sum(float(g.norm() ** 2) for g in expected.values()))


@every_case
def test_a_policy_in_float32_says_the_same(method: Method, hp: Any, tmp_path: Path) -> None:
    """Two layers of float32 lose some 1e-6 of their states; logits are ten times as large."""
    examples = written(world(), tmp_path, method.needs(hp))
    terms, gradient = step_of(method, hp, policy_for(method, hp, torch.float32), examples, HALVES)
    expected, expected_gradient = twin_of(method.formula, hp)
    for name, value in expected.items():
        torch.testing.assert_close(terms[name].double(), value, rtol=1e-4, atol=1e-5, msg=name)
    assert distance(gradient, expected_gradient) < 1e-4


@every_case
def test_a_policy_under_bfloat16_autocast_says_about_the_same(
    method: Method, hp: Any, tmp_path: Path
) -> None:
    """A state has 8 bits: 2^-9 = 0.2 % of error a rounding, some ten of them, on logits of a few units: 2-5 %
    of a probability. A clip or an argmax may fall to the other side at a token or two of 24.
    """
    examples = written(world(), tmp_path, method.needs(hp))
    policy = policy_for(method, hp, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        terms, gradient = step_of(method, hp, policy, examples, HALVES)
    expected, expected_gradient = twin_of(method.formula, hp)
    size = sum(abs(float(x)) for x in expected.values())
    for name, value in expected.items():
        assert abs(float(terms[name]) - float(value)) < 0.05 * size, name
    assert distance(gradient, expected_gradient) < 0.25


def test_every_formula_has_a_twin() -> None:
    from tests.methods import twins_distillation, twins_pairs, twins_sampled

    known = {*twins_pairs.TWINS, *twins_distillation.TWINS, *twins_sampled.TWINS}
    assert known == {m.formula for m in methods.BUILT_IN}
