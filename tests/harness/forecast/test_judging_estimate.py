"""What judging a row takes, by the typical usage that each benchmark declares."""

import pytest

from harness.endpoints.prices import Usage
from harness.evaluate import registry
from harness.evaluate.questions import judge_usage
from harness.suite.benchmarks import benchmarks_of
from harness.suite.judging import Repeats


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("mt-bench", {}, Usage(160, 130_000, 30_000)),
        ("mt-bench", {"limit": 8}, Usage(16, 13_000, 3_000)),
        ("alpaca-eval-2", {"limit": 1_610}, Usage(1_610, 2_000_000, 1_610)),
        ("alpaca-eval", {"order": "random"}, Usage(805, 376_000, 23_700)),
        ("alpaca-eval", {"order": "both"}, Usage(1_610, 752_000, 47_400)),
        ("rule", {"limit": 80}, Usage(160, 130_000, 30_000)),
    ],
)
def test_typical_usage_is_in_proportion_to_questions_and_orders(
    name: str, settings: dict[str, object], expected: Usage
) -> None:
    raw = {name: {"data": "nowhere", **settings}}
    assert judge_usage(benchmarks_of(raw, registry.known().benchmarks, "").chosen[name]) == expected


@pytest.mark.parametrize(
    ("name", "settings", "repeats", "expected"),
    [
        ("mt-bench", {}, Repeats(0.1), Usage(16, 13_000, 3_000)),
        ("mt-bench", {"limit": 8}, Repeats(1.0, 3), Usage(32, 26_000, 6_000)),
        ("alpaca-eval", {"order": "both", "limit": 161}, Repeats(0.5), Usage(162, 75_668, 4_770)),
    ],
)
def test_repeats_take_the_usage_of_the_questions_that_are_judged_again(
    name: str, settings: dict[str, object], repeats: Repeats, expected: Usage
) -> None:
    """Of 161 questions 81 are half, and 81 / 805 of the tokens of all, in each order."""
    raw = {name: {"data": "nowhere", **settings}}
    assert judge_usage(benchmarks_of(raw, registry.known().benchmarks, "").chosen[name], repeats) == expected
