"""What a comparison can see, against simulated tests and statsmodels."""

import numpy as np
import pytest
from scipy import special
from scipy import stats as theirs

from reports.statistics.planning import Design, detectable, power, prior_df


@pytest.mark.parametrize(("n", "difference"), [(12, 0.5), (80, 0.3), (805, 0.1)])
def test_power_is_that_of_simulated_t_tests(n: int, difference: float):
    """4,000 tests know it to 0.008."""
    rng = np.random.default_rng(n)
    found = theirs.ttest_1samp(rng.normal(difference, 1, (4_000, n)), 0, axis=1).pvalue < 0.05
    assert power(difference, Design(1 / n, n - 1)) == pytest.approx(found.mean(), abs=0.025)


def test_without_a_difference_it_is_the_level():
    assert power(0.0, Design(0.1, 7), 0.01) == pytest.approx(0.01)


def test_what_is_detectable_is_found_four_times_in_five():
    design = Design(0.004, 159, 0.01, 8.0)
    assert power(detectable(design), design) == pytest.approx(0.8)
    assert power(detectable(design, 0.05 / 91), design, 0.05 / 91) == pytest.approx(0.8)
    assert detectable(Design(0.0, 3)) == 0.0


def test_of_many_questions_and_nothing_else_it_is_2_8_standard_errors():
    assert detectable(Design(1.0, 1e6)) == pytest.approx(special.ndtri(0.975) + special.ndtri(0.8), rel=1e-4)


def test_degrees_of_freedom_are_those_of_the_part_that_counts():
    assert Design(1.0, 159).df == pytest.approx(159)
    assert Design(1e-9, 159, 1.0, 4.0).df == pytest.approx(4.0)
    assert Design(1.0, 100, 1.0, 10.0).df == pytest.approx(4 / (1 / 100 + 1 / 10))


@pytest.mark.parametrize("eta", [0.2, 0.5, 1.0])
def test_the_priors_df_give_log_variances_that_spread(eta: float):
    """var log(chi2_d / d) = trigamma(d / 2), and log tau^2 has 4 eta^2."""
    assert special.polygamma(1, prior_df(eta) / 2) == pytest.approx(4 * eta**2)


def test_alike_methods_have_a_prior_that_is_sure():
    assert prior_df(0.0) == np.inf and prior_df(0.01) > 5_000
