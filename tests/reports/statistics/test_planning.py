"""What a comparison can see, against simulated tests and statsmodels."""

import numpy as np
import pytest
from scipy import special
from scipy import stats as theirs

from reports.statistics.planning import (
    Design,
    Noise,
    detectable,
    half_width,
    of_two,
    power,
    prior_df,
    replicates_needed,
)


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


# MT-Bench in the pocket world: detectable for one pair and in a family of 91, by the number of seeds.
DETECTABLE = {2: (0.44, 0.71), 3: (0.39, 0.61), 5: (0.34, 0.52), 10: (0.29, 0.46)}
MT_BENCH = Noise(0.787**2, 0.993**2, 0.074**2 * np.exp(2 * 0.5**2), 0.5)


@pytest.mark.parametrize("seeds", DETECTABLE)
def test_what_seeds_can_find_on_mt_bench(seeds: int):
    """.074 is the middle of the methods' standard deviations, which spread by eta = 0.5."""
    design = of_two(MT_BENCH, 160, 159, seeds)
    assert [detectable(design), detectable(design, 0.05 / 91)] == pytest.approx(DETECTABLE[seeds], abs=0.02)


def test_a_difference_needs_the_first_number_of_replicates_that_finds_it():
    needed = replicates_needed(0.35, MT_BENCH, 160, 159)
    assert needed == 5
    found = [power(0.35, of_two(MT_BENCH, 160, 159, seeds)) for seeds in (needed - 1, needed)]
    assert found[0] < 0.8 <= found[1]
    assert replicates_needed(0.5, MT_BENCH, 160, 159) == 2
    assert replicates_needed(0.5, MT_BENCH, 160, 159, 0.05 / 91) == 6
    assert replicates_needed(9.0, MT_BENCH, 160, 159) == 2


def test_no_number_of_trainings_finds_what_the_questions_hide():
    """2.8 sqrt(2 x 0.62 / 160) is 0.25."""
    assert replicates_needed(0.24, MT_BENCH, 160, 159) is None
    assert replicates_needed(0.0, MT_BENCH, 160, 159) is None


def test_a_half_width_is_that_of_the_t_interval():
    assert half_width(Design(4.0, 9)) == pytest.approx(2 * theirs.t.ppf(0.975, 9))
