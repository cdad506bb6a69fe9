"""Comparisons against scipy, by hand, and simulated: how often intervals cover and tests err."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pytest
from scipy import stats as theirs

from benchmarks.api import Score
from benchmarks.mt_bench import benchmark as mt_bench
from reports.statistics.bootstrap import DRAW, Draw, Item, bootstrap, interval
from reports.statistics.paired_test import Comparison, holm, p_value, ranks, versus
from reports.statistics.variance import Sample, VariancePart, half_width, make_sample, parts_of_mean

QUICK = Draw(resamples=1_000)


def column(values, stratum: str = "") -> dict[Item, float]:
    """Questions 0, 1, ... of one stratum; nan is a value that is not there."""
    return {Item(stratum, f"{i:05}"): float(v) for i, v in enumerate(values) if not np.isnan(v)}


def paired(of: Sample, method: str, baseline: str, draw: Draw = DRAW) -> Comparison:
    return versus(of, baseline, [method], draw)[method]


def seeded(runs: Mapping[str, Mapping[int, np.ndarray]]) -> Sample:
    """A sample of arrays [N] by method and seed."""
    return make_sample(
        {m: column(np.mean(list(of.values()), 0)) for m, of in runs.items()},
        {m: {s: column(x) for s, x in of.items()} for m, of in runs.items()},
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
    assert (p_value(of, "A", "copy"), p_value(of, "more", "A")) == (1.0, 0.125)


def test_a_gap_that_is_only_rounding_is_none():
    of = make_sample({"A": column([0.1 + 0.2, 0.3, 0.7]), "B": column([0.3, 0.3, 0.7])})
    assert paired(of, "A", "B", QUICK).value == 0 and p_value(of, "A", "B") == 1


def test_the_interval_is_that_of_the_paired_bootstrap_and_its_resamples_are_shared():
    rng = np.random.default_rng(1)
    values = {m: column(rng.normal(0, 1, 60)) for m in "ABC"}
    boot = bootstrap(values, 0, 1_000)
    for m, found in versus(make_sample(values), "A", "BC", QUICK).items():
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
    of_three = versus(make_sample(values), "A", "BC", QUICK)
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
    assert versus(make_sample({"A": column([1, np.nan]), "B": column([np.nan, 1])}), "B", ["A"], QUICK) == {}


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

    t = theirs.t(11)
    rng, shift = np.random.default_rng(4), (t.ppf(0.975) + t.ppf(0.8)) / np.sqrt(12)
    power = (theirs.ttest_1samp(rng.normal(shift, 1, (4_000, 12)), 0, axis=1).pvalue < 0.05).mean()
    small = paired(
        make_sample({"A": column(rng.normal(0, 1, 12)), "B": column(np.zeros(12))}), "A", "B", QUICK
    )
    assert small.mde / small.se == pytest.approx(shift * np.sqrt(12))
    assert 0.78 < power < 0.84


def test_seeds_alone_are_the_paired_t_test_over_seed_means():
    """All questions of a seed move together: no question part, no residual."""
    rng = np.random.default_rng(5)
    base, up, down = rng.normal(0, 1, 40), rng.normal(0.3, 0.2, 4), rng.normal(0, 0.2, 4)
    of = seeded({"A": {s: base + up[s] for s in range(4)}, "B": {s: base + down[s] for s in range(4)}})
    found, expected = paired(of, "A", "B", QUICK), theirs.ttest_rel(up, down)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert found.test == "two-level t, paired by seed"


def test_other_seeds_are_welchs_test():
    rng = np.random.default_rng(6)
    base, up, down = rng.normal(0, 1, 40), rng.normal(0.3, 0.2, 3), rng.normal(0, 0.5, 4)
    of = seeded({"A": {s: base + up[s] for s in range(3)}, "B": {s: base + down[s] for s in range(4)}})
    found = paired(of, "A", "B", QUICK)
    assert found.p == pytest.approx(theirs.ttest_ind(up, down, equal_var=False).pvalue, rel=1e-6)
    assert found.test == "two-level t, Welch over seeds"


def test_the_p_of_two_levels_is_where_the_interval_touches_zero():
    """Banerjee's interval at level 1 - p ends at 0: sqrt(sum of t^2 * part) = |difference|."""
    rng = np.random.default_rng(7)
    runs = {
        m: {s: rng.normal(0.1 * k, 1, 90) + rng.normal(0, 0.2) for s in range(3)} for k, m in enumerate("AB")
    }
    of = seeded(runs)
    found = paired(of, "A", "B", QUICK)
    d = np.array([runs["A"][s] - runs["B"][s] for s in range(3)])
    of_seeds = d.mean(1).var(ddof=1) / 3
    rest = d - d.mean(0) - d.mean(1, keepdims=True) + d.mean()
    questions = max(0.0, d.mean(0).var(ddof=1) / 90 - (rest**2).sum() / (2 * 89) / 90 / 3)
    t = [theirs.t.ppf(1 - found.p / 2, df) for df in (2, 89)]
    assert t[0] ** 2 * of_seeds + t[1] ** 2 * questions == pytest.approx(found.value**2, rel=1e-6)
    assert found.se == pytest.approx(np.sqrt(of_seeds + questions))


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_p_of_a_gap_far_beyond_chance_is_small_and_finite(seeds: int):
    """With one degree of freedom t is as large as 1 / p."""
    rng = np.random.default_rng(13)
    runs = {m: {s: k * 1e6 + rng.normal(0, 1, 20) for s in range(seeds)} for k, m in enumerate("BA")}
    found = paired(seeded(runs), "A", "B", QUICK)
    assert 0 < found.p < 1e-5


def test_one_seed_on_either_side_is_no_second_level():
    rng = np.random.default_rng(8)
    of = seeded({"A": {s: rng.normal(0, 1, 30) for s in (0, 1)}, "B": {0: rng.normal(0, 1, 30)}})
    assert paired(of, "A", "B", QUICK).test == "paired t"


def test_holm_by_hand():
    """Sorted .01 .02 .03 .04 times 4 3 2 1 = .04 .06 .06 .04; never below what came before."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert (holm([]), holm([0.7, 0.6])) == ([], [1.0, 1.0])


def test_ranks_of_methods_far_apart_are_certain_and_equal_ones_share_theirs():
    noise = np.random.default_rng(9).normal(0, 1, 50)
    values = {"low": column(noise), "high": column(noise + 9), "a": column(noise + 5), "b": column(noise + 5)}
    found = ranks(make_sample(values), bootstrap(values, 0, 500))
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
        _, low, high = ranks(of, bootstrap(values, 0, 1_000))["C"]
        width.append(high - low)
    assert width[0] == 0 and width[1] >= 2


def test_neither_order_of_methods_nor_of_questions_matters():
    rng = np.random.default_rng(11)
    runs = {m: {s: rng.normal(0, 1, 30) for s in range(3)} for m in "ABC"}
    one, two = seeded(runs), seeded(dict(reversed(runs.items())))
    assert paired(one, "A", "B", QUICK) == paired(two, "A", "B", QUICK)
    values = {m: column(np.mean(list(x.values()), 0)) for m, x in runs.items()}
    turned = dict(reversed(values.items()))
    assert ranks(one, bootstrap(values, 0, 500)) == ranks(two, bootstrap(turned, 0, 500))


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
    """2,000 tables know it to 0.005."""
    assert 0.935 <= coverage(2_000, seeds, sd_seed) <= 0.965


def mean_coverage(tables: int, seeds: int, sd_seed: float, sd: float, sd_rest: float, n: int = 80) -> float:
    """How often the interval of a method's mean holds 0, the truth over questions and trainings."""
    rng, covered = np.random.default_rng([seeds, tables]), 0
    for _ in range(tables):
        asked, trained = rng.normal(0, sd, n), rng.normal(0, sd_seed, seeds)
        of = seeded({"A": {s: asked + trained[s] + rng.normal(0, sd_rest, n) for s in range(seeds)}})
        covered += abs(np.mean(of.values)) <= half_width(parts_of_mean(of, "A"))
    return covered / tables


# Of seeds, questions, and rest: none of the first, the last, or in the ratio of MT-Bench's and more.
RATIOS = [
    (0.0, 1.0, 0.5),
    (0.05, 1.0, 0.0),
    (0.1, 1.0, 1.0),
    (0.2, 1.0, 1.0),
    (0.5, 1.0, 1.0),
    (0.1, 0.0, 1.0),
]


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("sds", RATIOS)
def test_the_interval_of_a_mean_covers_the_truth_95_times_in_100(seeds: int, sds: tuple[float, float, float]):
    """2,000 tables know a share between 0.94 and 0.96 to 0.005."""
    assert 0.935 <= mean_coverage(2_000, seeds, *sds) <= 0.965


@pytest.mark.parametrize(("seeds", "low", "high"), [(2, 0.93, 0.971), (3, 0.945, 0.96), (5, 0.949, 0.955)])
def test_the_interval_of_two_levels_covers_94_to_96_percent_at_every_ratio(seeds, low, high):
    """By quadrature over the chi-square of the seeds' part, the questions' part known: no chance in it."""
    points, weights = np.polynomial.legendre.leggauss(300)
    spread = theirs.chi2.ppf((points + 1) / 2, seeds - 1) / (seeds - 1)
    for share in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0):
        half = [
            half_width([VariancePart(1 - share, 1e9), VariancePart(share * w, seeds - 1)]) for w in spread
        ]
        covered = float((weights / 2 * (2 * theirs.norm.cdf(half) - 1)).sum())
        assert low <= covered <= high, share


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_of_a_mean_covers_the_truth(seeds: int):
    """400 tables know it to 0.011; the bounds are 3 of these."""
    assert 0.917 <= mean_coverage(400, seeds, 0.1, 1.0, 1.0) <= 0.983


def test_the_variance_of_a_mean_counts_the_rest_once():
    """On average var_seed / S + var_question / n + var_rest / (S n) = 0.04 / 3 + 1 / 60 + 1 / 180."""
    rng, found = np.random.default_rng(14), []
    for _ in range(1_500):
        asked, trained = rng.normal(0, 1, 60), rng.normal(0, 0.2, 3)
        of = seeded({"A": {s: asked + trained[s] + rng.normal(0, 1, 60) for s in range(3)}})
        found.append(sum(part.variance for part in parts_of_mean(of, "A")))
    assert np.mean(found) == pytest.approx(0.04 / 3 + 1 / 60 + 1 / 180, rel=0.04)


def test_one_seed_says_nothing_of_training_which_three_do():
    """The truth is over trainings here: intervals of one checkpoint miss it often, two-level ones do not."""
    assert coverage(200, 1, 0.2, resamples=300) < 0.75
    assert coverage(200, 3, 0.2, resamples=300) > 0.91


def family_error(tables: int, seeds: int) -> float:
    """How often any of the 15 pairs of 6 equal methods differs, Holm-adjusted."""
    rng, errors = np.random.default_rng(seeds), 0
    for _ in range(tables):
        shared = rng.normal(0, 1, 100)
        runs = {
            m: {s: shared + rng.normal(0, 0.1) + rng.normal(0, 1, 100) for s in range(seeds)}
            for m in "ABCDEF"
        }
        of = seeded(runs) if seeds > 1 else seeded({m: {0: shared + rng.normal(0, 1, 100)} for m in runs})
        errors += min(holm(p_value(of, *pair) for pair in combinations(of.methods, 2))) < 0.05
    return errors / tables


@pytest.mark.parametrize("seeds", [1, 3])
def test_equal_methods_are_told_apart_in_5_of_100_tables_at_most(seeds: int):
    """Of 200 tables, 0.05 and 3 errors of 0.0154."""
    assert family_error(200, seeds) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
def test_the_family_wise_error_is_5_percent_at_most(seeds: int):
    assert family_error(2_000, seeds) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 2_000)


def rank_coverage(tables: int) -> float:
    """How many of 6 true ranks, a fifth to one standard error apart, are in their intervals."""
    rng, covered = np.random.default_rng(12), 0
    for k in range(tables):
        means = np.sort(rng.normal(0, 0.2, 6))[::-1]
        shared = rng.normal(0, 1, 150)
        values = {
            m: column(shared + mean + rng.normal(0, 1, 150)) for m, mean in zip("ABCDEF", means, strict=True)
        }
        found = ranks(make_sample(values), bootstrap(values, k, 500))
        covered += sum(low <= true <= high for true, (_, low, high) in enumerate(found.values(), 1))
    return covered / tables / 6


def test_rank_intervals_hold_the_true_rank():
    assert 0.93 <= rank_coverage(150) <= 1.0


@pytest.mark.slow
def test_rank_intervals_hold_the_true_rank_95_times_in_100():
    """A rank is a step: intervals of whole ranks hold more than 95 %."""
    assert 0.945 <= rank_coverage(1_000) <= 1.0
