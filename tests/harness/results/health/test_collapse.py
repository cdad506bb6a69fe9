"""What says that a model has collapsed, in its answers."""

from math import log

import pytest

from harness.results.health.collapse import exploded, repeats_itself, signs
from harness.suite.training import Health


def test_an_answer_repeats_itself_where_most_of_its_runs_of_four_words_stood_before() -> None:
    """Of "a b" six times nine runs are two; of "a b c d e" twice six runs are five."""
    assert repeats_itself("a b " * 6)
    assert repeats_itself("i . i . i . i . i . i . i . i .")
    assert not repeats_itself("a b c d e a b c d e")
    assert not repeats_itself("") and not repeats_itself("no no no")
    assert repeats_itself("好的好的好的好的好的好的")


def test_empty_and_equal_answers_are_counted() -> None:
    """Three alike, one other: 3/4 ln 4/3 + 1/4 ln 4 of ln 4."""
    found = signs(["yes", "Yes.", "yes", "the owl is a bird"])
    assert found[:3] == (4, 0, 0)
    assert found.entropy == pytest.approx((0.75 * log(4 / 3) + 0.25 * log(4)) / log(4))
    assert signs(["a", "b", "c"]).entropy == pytest.approx(1)
    assert signs(["", " \n", "x"])[:3] == (3, 2, 0)
    assert signs(["alone"]).entropy is None


def test_what_is_over_a_limit_is_told_in_words() -> None:
    limits = Health()
    assert signs(["", "", "x"]).collapse(limits) == "67% are empty"
    assert signs(["", "x"]).collapse(limits) == ""
    alike = signs(["a b " * 9] * 4).collapse(limits)
    assert alike == "100% repeat themselves, alike, entropy 0.00 of 1"
    assert signs(["a b " * 9] * 4).collapse(Health(repeated=1, entropy=0)) == ""


def test_a_norm_over_the_limit_is_told_with_its_step() -> None:
    told = {"grad_norm": {"largest": 12345.0, "step": 7}}
    assert exploded(told, Health()) == "gradient norm 1.23e+04 at step 7, over 10000"
    assert exploded(told, Health(grad_norm=2e4)) == ""
    assert exploded({}, Health()) == ""


@pytest.mark.parametrize(
    "answer",
    ["a" * 500, "ha" * 200, "!" * 50, "?! " * 50, "Sure! " + "\U0001f600" * 90, "\u200b" * 60, "- \n" * 40],
)
def test_an_answer_without_words_or_of_one_endless_word_repeats_itself(answer: str) -> None:
    assert repeats_itself(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "...",
        f"https://example.org/{'abcdefghijklmnopqrstuvwxyz0123456789' * 2}",
        "| planet of our system | its moons |\n|" + "-" * 45 + "|\n| the red one, Mars | Phobos and Deimos |",
        "1 2 3 4 5 6 7 8 9 10",
    ],
)
def test_long_words_and_lines_of_tables_are_no_repetition(answer: str) -> None:
    assert not repeats_itself(answer)
