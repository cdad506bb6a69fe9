"""The noise of a judge's verdicts: by hand, and found again where it is known."""

import numpy as np
import pytest

from reports.statistics.judge_noise import JudgeNoise, judge_noise, part_of_mean


def test_it_is_the_mean_square_within_items() -> None:
    """(4, 6): squares 1 + 1 on 1 df; (1, 1, 4): 1 + 1 + 4 on 2 df; together 8 / 3. One tells nothing."""
    assert judge_noise([(4.0, 6.0), (1.0, 1.0, 4.0), (9.0,), ()]) == JudgeNoise(8 / 3, 3)


def test_verdicts_that_never_differ_have_none_and_without_repeats_nothing_is_known() -> None:
    assert judge_noise([(7.0, 7.0), (1.0, 1.0)]) == JudgeNoise(0.0, 2)
    assert judge_noise([(7.0,), (1.0,)]) is None
    assert judge_noise([]) is None


def test_its_part_of_a_mean_falls_with_items_and_with_verdicts_an_item() -> None:
    """0.5 / 4 of one verdict an item; (0.5 + 0.25) / 4 where one of two items has two."""
    assert part_of_mean(0.5, [1, 1, 1, 1]) == 0.125
    assert part_of_mean(0.5, [1, 2]) == 0.1875


def test_the_order_of_items_and_verdicts_changes_no_bit() -> None:
    rng = np.random.default_rng(0)
    items = [tuple(map(float, own)) for own in rng.normal(5, 1, (50, 3))]
    assert judge_noise(items) == judge_noise([own[::-1] for own in items[::-1]])


def test_a_known_noise_is_found_whatever_lies_between_items() -> None:
    """sigma^2 of 2,000 items by 2 has a standard error of sigma^2 sqrt(2 / df), some 3 %."""
    rng = np.random.default_rng(1)
    for sigma, between in ((0.5, 0.0), (0.5, 3.0), (2.0, 1.0)):
        items = rng.normal(0, between, (2000, 1)) + rng.normal(0, sigma, (2000, 2))
        found = judge_noise(items.tolist())
        assert found and found.df == 2000
        assert found.variance == pytest.approx(sigma**2, rel=4 * np.sqrt(2 / found.df))


def test_its_part_is_that_of_means_that_are_drawn() -> None:
    """The variance of 20,000 means over 8 items, 3 of which have two verdicts."""
    rng = np.random.default_rng(2)
    verdicts, sigma = [1, 1, 1, 1, 1, 2, 2, 2], 0.7
    of_items = [rng.normal(0, sigma, (20_000, m)).mean(1) for m in verdicts]
    drawn = float(np.mean(of_items, axis=0).var())
    assert drawn == pytest.approx(part_of_mean(sigma**2, verdicts), rel=0.04)
