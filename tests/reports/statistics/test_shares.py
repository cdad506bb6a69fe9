"""Intervals of shares: exact near 0 and 100 %, and how often what a table prints holds the truth."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats as theirs

from reports.records.groups import Measured
from reports.records.rows import Record, Summary
from reports.statistics.bootstrap import Draw, Estimate, Item, Replicate
from reports.statistics.shares import FRACTIONS, exact, share_interval
from reports.tables import columns
from reports.tables.main import main_tables
from reports.tables.scores import Scores, mean
from reports.tables.table import Cell

Runs = dict[int, dict[Item, float]]
FEW = Draw(2)  # where no interval is drawn


def items(values: np.ndarray, stratum: str = "", turns: int = 1) -> dict[Item, float]:
    """Question 0, 1, ... with the same value in each of its turns."""
    return {
        Item(stratum, f"{q:05}", turn): float(v) for q, v in enumerate(values) for turn in range(1, turns + 1)
    }


def estimate(runs: Runs, draw: Draw = FEW) -> Estimate:
    """What a table prints of one row."""
    measured = Measured.of({Replicate(0, seed): run for seed, run in runs.items()})
    weights = {item.stratum: 1.0 for item in measured.values}
    scores = Scores({"DPO": measured.values}, {"DPO": measured.runs}, weights, {}, shares=True)
    return mean(scores, draw)["DPO"]


def shown(values: list[float], method: str = "DPO") -> Cell:
    records = [
        Record("run", "run", "d", method, 0, "alpaca-eval", "win_rate", "", str(q), 1, "", "j", "ADPA", v)
        for q, v in enumerate(values)
    ]
    (table,) = main_tables(records, [method])
    return table.rows[0].cells[0]


@pytest.mark.parametrize(("won", "n"), [(0, 80), (1, 80), (40, 80), (79, 80), (80, 80), (3, 805)])
def test_of_whole_numbers_it_is_the_interval_of_clopper_and_pearson(won: int, n: int):
    found = theirs.binomtest(won, n).proportion_ci(0.95, "exact")
    assert exact(won / n, n) == pytest.approx((found.low, found.high), abs=1e-12)


def test_nothing_won_of_80_is_between_0_and_4_and_a_half_percent():
    """1 - 0.025^(1/80), where resamples of zeros are [0.0, 0.0]; of 805 it is 0.46 %."""
    for n, high in ((80, 0.0451), (805, 0.0046)):
        cell = shown([0.0] * n)
        assert (cell.value, cell.low, cell.high) == (0.0, 0.0, pytest.approx(high, abs=5e-5))
        assert cell.exact
        turned = shown([1.0] * n)
        assert (turned.low, turned.high) == (pytest.approx(1 - high, abs=5e-5), 1.0)


def test_what_is_won_or_lost_has_the_interval_of_that_many_questions():
    cell = shown([1.0] * 3 + [0.0] * 77)
    assert (cell.low, cell.high) == pytest.approx(exact(3 / 80, 80))


def test_a_row_against_its_own_answers_is_50_by_definition():
    cell = shown([0.5] * 80, "ADPA")
    assert (cell.value, cell.low, cell.high, cell.exact) == (0.5, 0.5, 0.5, False)


def test_away_from_the_ends_resamples_stay():
    rng = np.random.default_rng(0)
    values = rng.choice([0.0, 0.5, 1.0], 400, p=[0.6, 0.1, 0.3])
    cell = shown(list(values))
    mean, half = values.mean(), 1.96 * values.std() / 20
    assert (cell.low, cell.high) == pytest.approx((mean - half, mean + half), abs=0.1 * half)
    assert not cell.exact


def test_a_benchmarks_own_share_has_it_too_and_no_number_of_another_unit_does():
    def row(metric: str, value: float) -> Summary:
        return Summary("run", "run", "d", "DPO", 0, "arena-hard", "gpt-4", "baseline", metric, value)

    numbers = [row("win_rate", 0.0), row("low", 0.0), row("high", 0.0), row("n", 500.0)]
    record = Record("run", "run", "d", "DPO", 0, "mt-bench", "score", "", "1", 1, "", "gpt-4", "", 1.0)
    (table,) = main_tables([record, Record(**{**vars(record), "question": "2"})], ["DPO"], FEW, numbers)
    score, share = table.rows[0].cells
    assert (score.low, score.high, score.exact) == (1.0, 1.0, False)
    assert (share.low, share.high) == (0.0, pytest.approx(1 - 0.025 ** (1 / 500)))
    assert (
        f"Arena-Hard (%): {columns.EXACT}" in table.notes and f"MT-Bench: {columns.EXACT}" not in table.notes
    )


def test_turns_tasks_and_seeds_make_it_wider_where_they_say_less_than_as_many_questions():
    """Two turns that always agree are one question; four times a binomial's variance is a quarter of n."""
    values = np.arange(80) < 4
    assert estimate({0: items(values, turns=2)}) == estimate({0: items(values)})
    quarter = share_interval(Estimate(0.05, 0.0, 0.1, 80), 4 * 0.05 * 0.95 / 79, 80, FRACTIONS)
    assert (quarter.low, quarter.high) == pytest.approx(exact(0.05, 1 + 79 / 4))
    # However little fractions vary, they count as ones: a rare win may not have been seen.
    assert estimate({0: items(np.full(80, 0.01) + 1e-4 * (np.arange(80) % 2))}).high > exact(0.01, 80)[1]


def coverage(n: int, ps: np.ndarray) -> np.ndarray:
    """By enumeration: the probability of each number of right answers, where its interval holds p."""
    found = [estimate({0: items(np.arange(n) < won)}) for won in range(n + 1)]
    low, high = (np.array([getattr(e, end) for e in found]) for end in ("low", "high"))
    inside = (low[:, None] <= ps) & (ps <= high[:, None])
    return (theirs.binom.pmf(np.arange(n + 1)[:, None], n, ps) * inside).sum(0)


ENDS = np.concatenate([np.geomspace(1e-4, 0.05, 60), np.linspace(0.05, 0.5, 91)])


@pytest.mark.parametrize("n", [80, 200, 805])
def test_it_holds_the_truth_in_95_of_100_at_every_share(n: int):
    """At n = 80 the percentile interval held p = 0.01 in 55 of 100."""
    assert coverage(n, np.concatenate([ENDS, 1 - ENDS])).min() >= 0.95


def held(make: Callable[[np.random.Generator], Runs], truth: float, tables: int, draw: Draw = FEW) -> float:
    """In how many simulated tables the interval holds the truth."""
    rng, inside = np.random.default_rng(0), 0
    for _ in range(tables):
        found = estimate(make(rng), draw)
        assert found.low is not None and found.high is not None
        inside += found.low <= truth <= found.high
    return inside / tables


@pytest.mark.slow
@pytest.mark.parametrize("p", [0.1, 0.2, 0.35, 0.5])
@pytest.mark.parametrize("n", [160, 320])
def test_fractions_are_held_where_resamples_take_over(n: int, p: float):
    """2,000 tables know a share of 0.95 to 0.005."""
    tie = p / 2

    def ties(rng: np.random.Generator) -> Runs:
        return {0: items(rng.choice([0, 0.5, 1], n, p=[1 - p - tie / 2, tie, p - tie / 2]))}

    assert held(ties, p, 2_000, Draw(1_000)) >= 0.935


@pytest.mark.parametrize("p", [0.005, 0.01, 0.05, 0.2])
def test_ties_and_probabilities_of_a_judge_are_held_at_n_80(p: float):
    """Half of what is won are ties; a judge that is sure of losses hides its rare wins."""
    ties = held(lambda rng: {0: items(rng.choice([0, 0.5, 1], 80, p=[1 - 1.5 * p, p, p / 2]))}, p, 400)
    assert ties >= 0.94

    def weighted(rng: np.random.Generator) -> Runs:
        won = rng.random(80) < p
        return {0: items(np.where(won, 1 - rng.beta(0.3, 20, 80), rng.beta(0.3, 30, 80)))}

    assert held(weighted, p * (1 - 0.3 / 20.3) + (1 - p) * 0.3 / 30.3, 400) >= 0.94


@pytest.mark.parametrize("p", [0.01, 0.05, 0.2])
def test_questions_of_two_turns_tasks_of_unlike_size_and_seeds_are_held(p: float):
    assert held(lambda rng: {0: items(rng.random(80) < p, turns=2)}, p, 400) >= 0.94

    def tasks(rng: np.random.Generator) -> Runs:
        return {0: items(rng.random(40) < p / 2, "a") | items(rng.random(120) < 1.5 * p, "b")}

    assert held(tasks, p, 400, Draw(300)) >= 0.94

    def seeds(rng: np.random.Generator) -> Runs:
        of_question = rng.beta(5 * p, 5 * (1 - p), 80)
        return {s: items(rng.random(80) < of_question) for s in range(3)}

    assert held(seeds, p, 400) >= 0.94
