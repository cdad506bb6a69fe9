"""Which settings are tried: equally many of every method, and the same again."""

from itertools import islice

import pytest

import methods
from harness.suite.tuning import search
from harness.suite.tuning.section import Span, Tuning
from tests import suites
from tests.paths import TINY

GRID = {"lr": (1e-3, 1e-2), "beta": (0.1, 0.5, 1.0)}
SPANS = {"lr": Span(log=(1e-6, 1e-2)), "beta": Span(uniform=(0.0, 1.0)), "support": (10.0, 50.0)}
DRAWN = Tuning(search="random", seed=3)


def test_a_grid_is_all_of_its_combinations_in_their_order() -> None:
    found = search.first(Tuning(), "DPO", GRID, 6)
    assert found == [{"lr": lr, "beta": beta} for lr in GRID["lr"] for beta in GRID["beta"]]


def test_fewer_trials_than_a_grid_has_are_drawn_by_the_seed_and_keep_its_order() -> None:
    whole = search.first(Tuning(), "DPO", GRID, 6)
    for seed in range(5):
        tuning = Tuning(seed=seed)
        few = search.first(tuning, "DPO", GRID, 3)
        assert few == [one for one in whole if one in few] and len(few) == 3
        assert few == search.first(tuning, "DPO", GRID, 3)
        more = search.first(tuning, "DPO", GRID, 4)
        assert all(one in more for one in few)
    assert len({str(search.first(Tuning(seed=s), "DPO", GRID, 3)) for s in range(5)}) > 1


def test_a_longer_random_search_begins_with_the_shorter_one() -> None:
    nine, four = search.first(DRAWN, "DPO", SPANS, 9), search.first(DRAWN, "DPO", SPANS, 4)
    assert nine[:4] == four
    assert four != search.first(Tuning(search="random", seed=4), "DPO", SPANS, 4)
    assert len({str(one) for one in nine}) == 9


def test_ranges_are_filled_evenly_in_logarithm_or_value() -> None:
    """Of 64 Halton points each quarter of a range has some quarter of them."""
    found = list(islice(search.drawn(DRAWN, "DPO", SPANS), 64))
    for low, high in ((1e-6, 1e-5), (1e-5, 1e-4), (1e-4, 1e-3), (1e-3, 1e-2)):
        assert 12 <= sum(low <= one["lr"] < high for one in found) <= 20
    for quarter in range(4):
        assert 12 <= sum(quarter <= 4 * one["beta"] < quarter + 1 for one in found) <= 20
    assert {one["support"] for one in found} == {10.0, 50.0}


def test_values_have_three_digits_and_stay_in_their_range() -> None:
    narrow = {"beta": Span(uniform=(0.49987, 0.49994))}
    assert [one["beta"] for one in search.drawn(DRAWN, "DPO", narrow)] == [0.49994]
    assert all(float(f"{one['lr']:.3g}") == one["lr"] for one in search.first(DRAWN, "DPO", SPANS, 9))


def test_a_method_without_values_has_its_learning_rate_tried() -> None:
    suite, dpo = suites.load(TINY, ["tuning.trials=3"]), methods.registry()["DPO"]
    assert search.values_of(suite, dpo, 3) == {"lr": (1e-4, 1e-3, 1e-2)}
    assert search.values_of(suite, dpo, 1) == {"lr": (1e-3,)}
    drawn = suites.load(TINY, ["tuning={trials: 3, search: random}"])
    assert search.values_of(drawn, dpo, 3) == {"lr": Span(log=(1e-4, 1e-2))}


def test_settings_go_where_they_belong() -> None:
    suite = search.with_settings(suites.load(TINY), "DPO", {"lr": 0.5, "beta": 2.0, "training.epochs": 3.0})
    assert suite.methods["DPO"] == {"beta": 2.0, "training": {"lr": 0.5, "epochs": 3.0}}


@pytest.mark.parametrize(
    ("settings", "at_an_end"),
    [
        ({"lr": 1e-3, "beta": 0.5}, {"lr": "least"}),
        ({"lr": 1e-2, "beta": 1.0}, {"lr": "greatest", "beta": "greatest"}),
    ],
)
def test_the_ends_of_a_grid_are_told(settings: dict[str, float], at_an_end: dict[str, str]) -> None:
    whole = search.first(Tuning(), "DPO", GRID, 6)
    assert search.ends(GRID, whole, settings) == at_an_end
    # Of some of its trials the ends are theirs.
    some = [one for one in whole if one["beta"] != 0.1]
    assert search.ends(GRID, some, settings) == {**at_an_end, "beta": at_an_end.get("beta", "least")}


def test_of_a_range_a_tenth_at_each_side_is_its_end() -> None:
    """Of four decades 0.4 of one; of a setting with a single value there is no end."""
    tried = search.first(DRAWN, "DPO", SPANS, 9)
    near = {"lr": 2e-6, "beta": 0.5, "support": 10.0}
    assert search.ends(SPANS, tried, near) == {"lr": "least", "support": "least"}
    far = {"lr": 3e-6, "beta": 0.95, "support": 50.0}
    assert search.ends(SPANS, tried, far) == {"beta": "greatest", "support": "greatest"}
    assert search.ends({"lr": (1e-3,)}, [{"lr": 1e-3}], {"lr": 1e-3}) == {}
