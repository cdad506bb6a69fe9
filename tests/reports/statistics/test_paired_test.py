"""Comparisons against scipy, by hand, and simulated: how often intervals cover and tests err."""

from collections.abc import Collection, Mapping
from itertools import combinations

import numpy as np
import pytest
from scipy import stats as theirs

from benchmarks.api import Score
from benchmarks.mt_bench import benchmark as mt_bench
from reports.statistics.bootstrap import DRAW, Draw, Item, Replicate, bootstrap, interval
from reports.statistics.chance import Chance
from reports.statistics.paired_test import REPLICATED, Comparison, adjusted, p_value, ranks, versus
from reports.statistics.sample import Sample, make_sample

QUICK = Draw(resamples=1_000)


def column(values, stratum: str = "") -> dict[Item, float]:
    """Questions 0, 1, ... of one stratum; nan is a value that is not there."""
    return {Item(stratum, f"{i:05}"): float(v) for i, v in enumerate(values) if not np.isnan(v)}


def paired(of: Sample, method: str, baseline: str, draw: Draw = DRAW) -> Comparison:
    return versus(Chance(of), baseline, [method], draw)[method]


def seeded(runs: Mapping[str, Mapping[int, np.ndarray]], fixed: Collection[str] = ()) -> Sample:
    """A sample of arrays [N] by method and seed."""
    return make_sample(
        {m: column(np.mean(list(of.values()), 0)) for m, of in runs.items()},
        {m: {Replicate(0, s): column(x) for s, x in of.items()} for m, of in runs.items()},
        fixed=fixed,
    )


@pytest.mark.parametrize("n", [2, 3, 80, 805])
def test_with_one_seed_the_test_is_the_paired_t_test_of_scipy(n: int):
    rng = np.random.default_rng(n)
    a, b = rng.normal(0.3, 1, n), rng.normal(0, 1, n)
    found, expected = paired(make_sample({"A": column(a), "B": column(b)}), "A", "B"), theirs.ttest_rel(a, b)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.value, found.se) == pytest.approx((np.mean(a - b), theirs.sem(a - b)))
    assert (found.test, found.n) == ("paired t", n)


def test_zeros_and_ones_have_the_exact_test_of_mcnemar():
    """10 questions only A has right, 2 only B: 2 (1 + 12 + 66) / 2^12 = 158 / 4096."""
    a, b = [1] * 10 + [0] * 2 + [1] * 5 + [0] * 3, [0] * 10 + [1] * 2 + [1] * 5 + [0] * 3
    found = paired(make_sample({"A": column(a), "B": column(b)}), "A", "B")
    assert found.p == pytest.approx(158 / 4096)
    assert (found.value, found.test) == (0.4, "McNemar exact")


def test_methods_that_are_never_apart_have_p_one_and_a_constant_gap_that_of_signs():
    """4 questions with the same sign by chance: 2 / 2^4."""
    of = make_sample({"A": column([1, 5, 9, 2]), "copy": column([1, 5, 9, 2]), "more": column([2, 6, 10, 3])})
    assert (p_value(Chance(of), "A", "copy"), p_value(Chance(of), "more", "A")) == (1.0, 0.125)


def test_a_gap_that_is_only_rounding_is_none():
    of = make_sample({"A": column([0.1 + 0.2, 0.3, 0.7]), "B": column([0.3, 0.3, 0.7])})
    assert paired(of, "A", "B", QUICK).value == 0 and p_value(Chance(of), "A", "B") == 1


def test_the_interval_is_that_of_the_paired_bootstrap_and_its_resamples_are_shared():
    rng = np.random.default_rng(1)
    values = {m: column(rng.normal(0, 1, 60)) for m in "ABC"}
    boot = bootstrap(values, 0, 1_000)
    for m, found in versus(Chance(make_sample(values)), "A", "BC", QUICK).items():
        low, high = np.quantile(boot.draws[:, "ABC".index(m)] - boot.draws[:, 0], [0.025, 0.975])
        assert (found.value, found.low, found.high, found.n) == pytest.approx(
            (interval(boot, m).value - interval(boot, "A").value, low, high, 60)
        )


def test_pairing_narrows_the_interval_of_correlated_methods():
    """Unpaired, the squares of standard errors add up: sqrt(var a + var b) in place of sd (a - b)."""
    rng = np.random.default_rng(6)
    shared = rng.normal(0, 2, 200)
    values = {m: column(shared + rng.normal(0, 0.5, 200)) for m in ("ADPA", "DPO")}
    found = paired(make_sample(values), "ADPA", "DPO")
    unpaired = 2 * 1.96 * np.hypot(*bootstrap(values).draws.std(0))
    a, b = (np.array(list(own.values())) for own in values.values())
    expected = (a - b).std() / np.sqrt(a.var() + b.var())
    assert (found.high - found.low) / unpaired == pytest.approx(expected, rel=0.1)
    assert expected < 0.3


def test_the_interval_of_a_pair_is_the_same_whichever_others_are_compared():
    rng = np.random.default_rng(15)
    holes = {m: np.where(rng.random(80) < 0.1, np.nan, rng.normal(0, 1, 80)) for m in "ABC"}
    values = {m: column(x) for m, x in holes.items()}
    of_three = versus(Chance(make_sample(values)), "A", "BC", QUICK)
    for m in "BC":
        assert of_three[m] == paired(make_sample({"A": values["A"], m: values[m]}), m, "A", QUICK)


def test_turns_of_a_question_are_one_draw_and_weigh_alike():
    """The standard error is that of a ratio, as MT-Bench's own: sqrt(G / (G - 1) sum_g r_g^2) / n."""
    rng = np.random.default_rng(16)
    turns = {(q, t): 7 + rng.normal(0, 1) for q in range(40) for t in (1, 2) if (q + t) % 3}
    scores = [Score(str(q), x, turn=t) for (q, t), x in turns.items()]
    values = {Item("", f"{q:02}", t): x for (q, t), x in turns.items()}
    found = paired(make_sample({"A": values, "B": dict.fromkeys(values, 0.0)}), "A", "B")
    expected = mt_bench.aggregate(scores)
    assert (found.value, found.se) == pytest.approx((expected["score"], expected["standard_error"]))
    assert found.n == 40 and (found.low + 1.96 * found.se) == pytest.approx(found.value, abs=0.1 * found.se)


def test_turns_of_one_question_are_no_spread():
    values = {Item("", "0", 1): 3.0, Item("", "0", 2): 5.0}
    found = paired(make_sample({"A": values, "B": dict.fromkeys(values, 0.0)}), "A", "B", QUICK)
    assert (found.value, found.p, found.n) == (4.0, None, 1)


def test_questions_that_one_of_them_lacks_are_in_neither_mean():
    """A - B over questions 1 and 2: (1 + 3) / 2; question 0 would make it 34."""
    of = make_sample({"A": column([100, 3, 6]), "B": column([np.nan, 2, 3])})
    found = paired(of, "A", "B", QUICK)
    assert (found.value, found.n) == (2.0, 2)


def test_one_question_has_no_test():
    found = paired(make_sample({"A": column([1]), "B": column([0])}), "A", "B", QUICK)
    assert (found.value, found.p, found.se, found.mde, found.low) == (1.0, None, None, None, None)
    assert found.test == "no test: a single question"


def test_methods_without_a_common_question_are_left_out():
    apart = make_sample({"A": column([1, np.nan]), "B": column([np.nan, 1])})
    assert versus(Chance(apart), "B", ["A"], QUICK) == {}


def test_strata_weigh_as_told_and_their_errors_add_up():
    """Weights 3 : 1. Differences 1, 3 | 0, 2, 4: 3/4 2 + 1/4 2 = 2; SE^2 = 9/16 (2/2) + 1/16 (4/3) = 31/48.

    df = (31/48)^2 / ((9/16)^2 / 1 + (1/12)^2 / 2).
    """
    values = {
        "A": column([1, 3], "x") | column([0, 2, 4], "y"),
        "B": column([0, 0], "x") | column([0] * 3, "y"),
    }
    found = paired(make_sample(values, weights={"x": 3.0, "y": 1.0}), "A", "B", QUICK)
    df = (31 / 48) ** 2 / ((9 / 16) ** 2 + (1 / 12) ** 2 / 2)
    assert (found.value, found.se) == pytest.approx((2.0, np.sqrt(31 / 48)))
    assert found.p == pytest.approx(2 * theirs.t.sf(2 / np.sqrt(31 / 48), df))


def test_the_detectable_difference_is_found_four_times_in_five():
    """At 805 questions it is 2.8 errors; at 12, where t is wider, a simulation counts."""
    of = make_sample({"A": column(np.random.default_rng(3).normal(0, 1, 805)), "B": column(np.zeros(805))})
    found = paired(of, "A", "B", QUICK)
    assert found.mde == pytest.approx(2.8 * found.se, rel=0.003)

    rng = np.random.default_rng(4)
    small = paired(
        make_sample({"A": column(rng.normal(0, 1, 12)), "B": column(np.zeros(12))}), "A", "B", QUICK
    )
    shift = small.mde / small.se / np.sqrt(12)
    power = (theirs.ttest_1samp(rng.normal(shift, 1, (4_000, 12)), 0, axis=1).pvalue < 0.05).mean()
    assert 0.78 < power < 0.82


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_p_of_a_gap_far_beyond_chance_is_small_and_finite(seeds: int):
    rng = np.random.default_rng(13)
    runs = {m: {s: k * 1e6 + rng.normal(0, 1, 20) for s in range(seeds)} for k, m in enumerate("BA")}
    found = paired(seeded(runs), "A", "B", QUICK)
    assert 0 <= found.p < 1e-5 and found.low > 0


def test_p_is_5_percent_where_the_interval_ends():
    rng = np.random.default_rng(7)
    runs = {
        m: {s: rng.normal(0.1 * k, 1, 90) + rng.normal(0, 0.2) for s in range(3)} for k, m in enumerate("AB")
    }
    found = paired(seeded(runs), "A", "B", QUICK)
    moved = {m: {s: x - found.low * (m == "A") for s, x in of.items()} for m, of in runs.items()}
    assert paired(seeded(moved), "A", "B", QUICK).p == pytest.approx(0.05, abs=1e-6)


def test_a_method_with_one_seed_has_the_chance_of_training_that_the_others_show():
    """Four methods of 3 seeds, 0.5 apart: the one of a single seed gets an interval as if it were as they."""
    rng = np.random.default_rng(8)
    base = rng.normal(0, 1, 200)
    runs = {m: {s: base + rng.normal(0, 0.5) + rng.normal(0, 0.1, 200) for s in range(3)} for m in "ABCD"}
    alone = runs | {"E": {0: base + rng.normal(0, 0.1, 200)}}
    found = paired(seeded(alone), "E", "A", QUICK)
    assert found.test == REPLICATED
    assert (found.high - found.low) / 2 > 2 * np.sqrt(0.25 + 0.25 / 3) * 0.6
    assert paired(seeded({m: {0: of[0]} for m, of in alone.items()}), "E", "A", QUICK).test == "paired t"


def test_base_models_that_are_the_same_in_all_seeds_add_no_chance_of_training():
    rng = np.random.default_rng(18)
    base = rng.normal(0, 1, 100)
    student, teacher = base + rng.normal(0, 0.3, 100), base + 0.2 + rng.normal(0, 0.3, 100)
    runs = {"Student": dict.fromkeys(range(3), student), "Teacher": dict.fromkeys(range(3), teacher)}
    runs["DPO"] = {s: base + rng.normal(0, 0.4) + rng.normal(0, 0.3, 100) for s in range(3)}
    of = seeded(runs, fixed={"Student", "Teacher"})
    found, expected = paired(of, "Teacher", "Student"), theirs.ttest_rel(teacher, student)
    assert (found.test, found.p) == ("paired t", pytest.approx(expected.pvalue))
    with_training = paired(of, "DPO", "Student")
    assert with_training.test == REPLICATED and with_training.high - with_training.low > 0.6


def test_ranks_of_methods_far_apart_are_certain_and_equal_ones_share_theirs():
    noise = np.random.default_rng(9).normal(0, 1, 50)
    values = {"low": column(noise), "high": column(noise + 9), "a": column(noise + 5), "b": column(noise + 5)}
    found = ranks(Chance(make_sample(values)), bootstrap(values, 0, 500))
    assert found["high"] == (1.0, 1.0, 1.0) and found["low"] == (4.0, 4.0, 4.0)
    assert found["a"] == found["b"] == (2.5, 2.5, 2.5)


def test_seeds_that_disagree_widen_the_interval_of_a_rank():
    rng = np.random.default_rng(10)
    base = rng.normal(0, 1, 400)
    calm = {m: {s: base + k + rng.normal(0, 0.1, 400) for s in range(3)} for k, m in enumerate("ABCD")}
    wild = calm | {"C": {s: x + 2 * (s - 1) for s, x in calm["C"].items()}}
    width = []
    for runs in (calm, wild):
        of = seeded(runs)
        values = {m: column(np.mean(list(x.values()), 0)) for m, x in runs.items()}
        _, low, high = ranks(Chance(of), bootstrap(values, 0, 1_000))["C"]
        width.append(high - low)
    assert width[0] == 0 and width[1] >= 2


def test_neither_order_of_methods_nor_of_questions_matters():
    rng = np.random.default_rng(11)
    runs = {m: {s: rng.normal(0, 1, 30) for s in range(3)} for m in "ABC"}
    one, two = seeded(runs), seeded(dict(reversed(runs.items())))
    assert paired(one, "A", "B", QUICK) == paired(two, "A", "B", QUICK)
    values = {m: column(np.mean(list(x.values()), 0)) for m, x in runs.items()}
    turned = dict(reversed(values.items()))
    assert ranks(Chance(one), bootstrap(values, 0, 500)) == ranks(Chance(two), bootstrap(turned, 0, 500))


def table(rng: np.random.Generator, seeds: int, n: int, sd_seed: float, gap: float, sd: float = 0.5):
    """A minus B is `gap` on average over questions and trainings; questions, their gaps and runs vary."""
    shared, runs = rng.normal(0, 1, n), {}
    for m, mean in (("A", gap), ("B", 0.0)):
        own = shared + mean + rng.normal(0, sd, n)
        runs[m] = {s: own + rng.normal(0, sd_seed) + rng.normal(0, sd, n) for s in range(seeds)}
    return seeded(runs)


def coverage(tables: int, seeds: int, sd_seed: float, n: int = 120, resamples: int = 1_000) -> float:
    rng, covered = np.random.default_rng([seeds, tables]), 0
    for k in range(tables):
        found = paired(table(rng, seeds, n, sd_seed, 0.2), "A", "B", Draw(resamples if seeds == 1 else 2, k))
        covered += found.low <= 0.2 <= found.high
    return covered / tables


# With one seed the truth is that of the checkpoint, so its table has no chance of training.
SEEDS = [(1, 0.0), (3, 0.1), (5, 0.1)]


@pytest.mark.parametrize(("seeds", "sd_seed"), SEEDS)
def test_the_interval_of_a_difference_covers_the_truth(seeds: int, sd_seed: float):
    """300 tables know a share of 0.95 to 0.013; the bounds are 3 of these."""
    assert 0.912 <= coverage(300, seeds, sd_seed, resamples=500) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "sd_seed"), [*SEEDS, (3, 0.03), (3, 0.3), (5, 0.03), (5, 0.3)])
def test_the_interval_of_a_difference_covers_the_truth_95_times_in_100(seeds: int, sd_seed: float):
    """2,000 tables know it to 0.005. Two methods alone know little of what trainings vary by, and their
    intervals hold the truth somewhat oftener.
    """
    assert 0.935 <= coverage(2_000, seeds, sd_seed) <= (0.965 if seeds == 1 else 0.985)


def test_one_seed_says_nothing_of_training_which_three_do():
    """The truth is over trainings here: intervals of one checkpoint miss it often, two-level ones do not."""
    assert coverage(200, 1, 0.2, resamples=300) < 0.75
    assert coverage(200, 3, 0.2, resamples=300) > 0.91


def family_error(tables: int) -> float:
    """How often any of the 15 pairs of 6 equal checkpoints differs, Holm-adjusted."""
    rng, errors = np.random.default_rng(1), 0
    for _ in range(tables):
        shared = rng.normal(0, 1, 100)
        of = Chance(seeded({m: {0: shared + rng.normal(0, 1, 100)} for m in "ABCDEF"}))
        ps = {pair: p_value(of, *pair) for pair in combinations(of.sample.methods, 2)}
        errors += min(adjusted(of, ps).values()) < 0.05
    return errors / tables


def test_equal_checkpoints_are_told_apart_in_5_of_100_tables_at_most():
    """Of 200 tables, 0.05 and 3 errors of 0.0154."""
    assert family_error(200) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def rank_coverage(tables: int) -> float:
    """How many of 6 true ranks, a fifth to one standard error apart, are in their intervals."""
    rng, covered = np.random.default_rng(12), 0
    for k in range(tables):
        means = np.sort(rng.normal(0, 0.2, 6))[::-1]
        shared = rng.normal(0, 1, 150)
        values = {
            m: column(shared + mean + rng.normal(0, 1, 150)) for m, mean in zip("ABCDEF", means, strict=True)
        }
        found = ranks(Chance(make_sample(values)), bootstrap(values, k, 500))
        covered += sum(low <= true <= high for true, (_, low, high) in enumerate(found.values(), 1))
    return covered / tables / 6


def test_rank_intervals_hold_the_true_rank():
    assert 0.93 <= rank_coverage(150) <= 1.0


@pytest.mark.slow
def test_rank_intervals_hold_the_true_rank_95_times_in_100():
    """A rank is a step: intervals of whole ranks hold more than 95 %."""
    assert 0.945 <= rank_coverage(1_000) <= 1.0
