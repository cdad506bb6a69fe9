"""Adjusted p-values by hand, and what dependence gains."""

import numpy as np
import pytest

from reports.statistics.family import holm, min_p


def test_holm_by_hand():
    """Sorted .01 .02 .03 .04 times 4 3 2 1 = .04 .06 .06 .04; never below what came before."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert (holm([]), holm([0.7, 0.6])) == ([], [1.0, 1.0])


def test_min_p_by_hand():
    """Least of all three: .02 .3 .1, one at most .04: 2/4. Of the two larger: .5 .3 .1, at most .2: 2/4; of
    the largest alone: .9 .3 .1, at most .6: 3/4.
    """
    drawn = np.array([[0.5, 0.02, 0.9], [0.6, 0.7, 0.3], [0.4, 0.8, 0.1]])
    assert min_p([0.2, 0.04, 0.6], drawn) == pytest.approx([2 / 4, 2 / 4, 3 / 4])


def test_of_independent_tests_it_is_sidaks_and_of_equal_ones_the_p_itself():
    rng = np.random.default_rng(0)
    drawn = rng.random((40_000, 10))
    found = min_p([0.004, *[0.9] * 9], drawn)
    assert found[0] == pytest.approx(1 - (1 - 0.004) ** 10, rel=0.06)
    assert min_p([0.01] * 10, np.repeat(drawn[:, :1], 10, 1)) == pytest.approx([0.01] * 10, rel=0.1)


def test_no_p_is_below_its_own_or_what_the_draws_can_show():
    found = min_p([1e-9, 0.5, 0.02], np.full((99, 3), 0.9))
    assert found == pytest.approx([0.01, 0.5, 0.02])
