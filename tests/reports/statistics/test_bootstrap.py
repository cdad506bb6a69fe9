"""The bootstrap against hand, theory and scipy."""

import numpy as np
import pytest

from reports.statistics import bootstrap as stats
from reports.statistics.bootstrap import Estimate, Item, bootstrap, interval


def column(values, stratum: str = "") -> dict[Item, float]:
    """Questions 0, 1, ... of one stratum; None is a value that is not there."""
    return {Item(stratum, f"{i:05}"): float(v) for i, v in enumerate(values) if v is not None}


def test_a_mean_is_over_questions():
    """(1 + 2 + 6) / 3 = 3."""
    assert interval(bootstrap({"DPO": column([1, 2, 6])}), "DPO")[::3] == (3.0, 3)


def test_a_mean_over_tasks_does_not_weigh_them_by_size():
    """((1 + 0) / 2 + (1 + 1 + 1 + 0) / 4) / 2 = 5/8, not 4/6."""
    values = column([1, 0], "arc") | column([1, 1, 1, 0], "gsm8k")
    assert interval(bootstrap({"DPO": values}), "DPO")[::3] == (0.625, 6)


def test_resampling_stays_within_each_task():
    """var = (p_a (1 - p_a) / n_a + p_g (1 - p_g) / n_g) / 2^2 with two tasks."""
    values = column([1] * 30 + [0] * 10, "arc") | column([1] * 5 + [0] * 15, "gsm8k")
    draws = bootstrap({"DPO": values}, resamples=20_000).draws[:, 0]
    assert draws.var() == pytest.approx((0.75 * 0.25 / 40 + 0.25 * 0.75 / 20) / 4, rel=0.04)


def test_the_interval_is_that_of_scipy_within_monte_carlo_error():
    from scipy.stats import bootstrap as scipy_bootstrap

    values = np.random.default_rng(1).gamma(2.0, 1.5, 80)
    ours = interval(bootstrap({"DPO": column(values)}, resamples=20_000), "DPO")
    theirs = scipy_bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    )
    step = values.std(ddof=1) / np.sqrt(80) / 20  # a percentile of 20,000 draws is known to about 0.02 errors
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=step)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=step)


def test_the_interval_is_the_normal_one_for_many_questions():
    values = np.random.default_rng(3).normal(5, 2, 1_000)
    ours = interval(bootstrap({"DPO": column(values)}), "DPO")
    half = 1.96 * values.std() / np.sqrt(1_000)
    assert ours.low == pytest.approx(values.mean() - half, abs=0.06 * half)
    assert ours.high == pytest.approx(values.mean() + half, abs=0.06 * half)


def test_the_interval_covers_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(4)
    covered = 0
    for seed in range(300):
        found = interval(bootstrap({"DPO": column(rng.binomial(1, 0.3, 60))}, seed, resamples=1_000), "DPO")
        covered += found.low <= 0.3 <= found.high
    assert 0.90 <= covered / 300 <= 0.99


def test_a_missing_value_is_neither_zero_nor_a_reason_to_drop_others():
    boot = bootstrap({"ADPA": column([8, None, 8, 8]), "DPO": column([1, 2, 3, 6])})
    assert interval(boot, "ADPA") == Estimate(8.0, 8.0, 8.0, 3)
    assert interval(boot, "DPO")[::3] == (3.0, 4)


def test_every_turn_weighs_alike_and_a_question_is_drawn_with_all_of_its_turns():
    """(1 + 3 + 8) / 3 = 4; a draw of one question twice has (1 + 3) / 2 or 8."""
    values = {Item("", "0", 1): 1.0, Item("", "0", 2): 3.0, Item("", "1", 2): 8.0}
    boot = bootstrap({"DPO": values})
    assert set(boot.draws[:, 0]) == {2.0, 4.0, 8.0}
    assert interval(boot, "DPO") == Estimate(4.0, 2.0, 8.0, 2)


def test_a_mean_over_seeds_is_that_of_their_means_also_where_they_lack_different_items():
    """((2 + 4) / 2 + 4) / 2 = 3.5, not (2 + (4 + 4) / 2) / 2 = 3."""
    runs = {0: column([2, 4]), 1: column([None, 4])}
    boot = bootstrap({"DPO": column([2, 4])}, runs={"DPO": runs})
    assert interval(boot, "DPO")[::3] == (3.5, 2)
    whole = {s: column(np.random.default_rng(s).normal(0, 1, 30)) for s in (0, 1)}
    both = {i: (whole[0][i] + whole[1][i]) / 2 for i in whole[0]}
    assert interval(bootstrap({"DPO": both}, runs={"DPO": whole}), "DPO") == interval(
        bootstrap({"DPO": both}), "DPO"
    )


def test_missing_values_widen_the_interval_as_fewer_questions_do():
    rng = np.random.default_rng(7)
    values = list(rng.normal(5, 2, 400))
    kept = [v if i % 4 == 0 else None for i, v in enumerate(values)]
    found = interval(bootstrap({"ADPA": column(kept), "DPO": column(values)}), "ADPA")
    own = np.array([v for v in kept if v is not None])
    assert found.high - found.low == pytest.approx(2 * 1.96 * own.std() / np.sqrt(100), rel=0.08)


def test_one_question_has_no_interval():
    assert interval(bootstrap({"DPO": column([3])}), "DPO") == Estimate(3.0, None, None, 1)


@pytest.mark.parametrize(
    "values",
    [{}, {"DPO": {}}, {"DPO": column([1], "arc"), "ADPA": column([1], "gsm8k")}],
    ids=["no method", "no value", "no common task"],
)
def test_means_that_do_not_exist_or_compare_are_refused(values):
    with pytest.raises(ValueError):
        bootstrap(values)


def test_the_order_of_methods_and_questions_does_not_matter():
    rng = np.random.default_rng(8)
    a, b = column(rng.normal(0, 1, 50)), column(rng.normal(0, 1, 50))
    one = bootstrap({"ADPA": a, "DPO": b})
    two = bootstrap({"DPO": dict(reversed(b.items())), "ADPA": dict(reversed(a.items()))})
    assert interval(one, "ADPA") == interval(two, "ADPA")
    assert interval(one, "DPO") == interval(two, "DPO")


def test_another_seed_draws_other_questions():
    values = {"DPO": column(np.random.default_rng(9).normal(0, 1, 50))}
    assert interval(bootstrap(values, 0), "DPO") != interval(bootstrap(values, 1), "DPO")


def test_the_size_of_a_chunk_does_not_change_the_draws(monkeypatch: pytest.MonkeyPatch):
    values = {"DPO": column(np.random.default_rng(10).normal(0, 1, 33))}
    whole = bootstrap(values).draws
    monkeypatch.setattr(stats, "CHUNK", 100)
    assert np.array_equal(bootstrap(values).draws, whole)
