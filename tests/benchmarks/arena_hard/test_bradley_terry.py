"""Bradley-Terry against scikit-learn's fit, as Arena-Hard uses it, and against its published leaderboard."""

import csv
import gzip
import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from benchmarks.api import Unparsed
from benchmarks.arena_hard import benchmark as arena_hard
from benchmarks.arena_hard import files as arena_hard_files
from benchmarks.arena_hard.bradley_terry import Battle, Numbers, logistic, one_hot, ratings, win_probability

OUTCOMES = (1.0, 0.0, 0.5)
# Upstream's leaderboard shows other models under these names, or none at all.
NOT_ON_THE_BOARD = {
    "gemini-1.5-pro",
    "dbrx-instruct",
    "gemini-1.0-pro",
    "llama-2-70b-chat-hf",
    "llama-2-7b-chat-hf",
}


def sklearn_fit(x: Numbers, y: Numbers, weight: Numbers, *, penalised: bool) -> Numbers:
    """Upstream's way: every battle twice, a tie once won and once lost."""
    from sklearn.linear_model import LogisticRegression

    twice = np.concatenate([x, x])
    won = np.concatenate([y > 0, y == 1]).astype(float)
    strength = {"C": 1.0} if penalised else {"C": np.inf}
    fit = LogisticRegression(fit_intercept=False, tol=1e-10, max_iter=10_000, **strength)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit.fit(twice, won, np.concatenate([weight, weight])).coef_[0]


def random_battles(rng: np.random.Generator, models: list[str], count: int) -> list[Battle]:
    """Each against another, with outcomes that lean to the later name, and weights 1 or 3."""
    found = []
    for _ in range(count):
        i, j = rng.choice(len(models), 2, replace=False)
        lean = np.array([1 + i, 1 + j, 1.0])
        outcome = OUTCOMES[rng.choice(3, p=lean / lean.sum())]
        found.append(Battle(models[i], models[j], outcome, float(rng.choice([1, 3]))))
    return found


def test_several_models_are_rated_as_scikit_learn_rates_them() -> None:
    models = [f"model {n}" for n in range(6)]
    battles = random_battles(np.random.default_rng(3), models, 400)
    x = one_hot([b.first for b in battles], [b.second for b in battles], models)
    y, weight = np.array([b.outcome for b in battles]), np.array([b.weight for b in battles])
    theirs = 400 * sklearn_fit(x, y, weight, penalised=False)
    ours = ratings(battles, "model 2", rating=1114.0)
    assert ours["model 2"] == 1114.0
    for name, rating in zip(models, theirs - theirs[2] + 1114, strict=True):
        assert ours[name] == pytest.approx(rating, abs=0.02)
    assert list(ours.values()) == sorted(ours.values(), reverse=True)


def test_a_penalised_fit_is_scikit_learns() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(200, 5)), rng.choice([0.0, 0.5, 1.0], size=200)
    weight = rng.choice([1.0, 3.0], size=200)
    theirs = sklearn_fit(x, y, weight, penalised=True)
    np.testing.assert_allclose(logistic(x, y, 2 * weight, l2=1.0), theirs, atol=1e-5)


def test_two_models_by_hand() -> None:
    """3 wins and a tie of 4: P = 3.5 / 4 = 7/8, and the ratings lie 400 log10 7 apart."""
    battles = [Battle("a", "b", 1.0)] * 2 + [Battle("b", "a", 0.0), Battle("b", "a", 0.5)]
    found = ratings(battles, "b")
    assert found["a"] == pytest.approx(1000 + 400 * math.log10(7))
    assert win_probability(found["a"], found["b"]) == pytest.approx(7 / 8)


def test_against_one_baseline_the_fit_is_each_models_weighted_mean() -> None:
    rng = np.random.default_rng(5)
    battles = [
        Battle("baseline", name, float(rng.choice(OUTCOMES)), float(rng.choice([1, 3])))
        for name in ("a", "b", "c")
        for _ in range(60)
    ]
    found = ratings(battles, "baseline")
    for name in ("a", "b", "c"):
        own = [b for b in battles if b.second == name]
        mean = np.average([1 - b.outcome for b in own], weights=[b.weight for b in own])
        assert win_probability(found[name], found["baseline"]) == pytest.approx(mean, abs=1e-9)


def test_weight_3_is_three_battles() -> None:
    rng = np.random.default_rng(6)
    battles = random_battles(rng, ["a", "b", "c"], 60)
    repeated = [Battle(b.first, b.second, b.outcome) for b in battles for _ in range(int(b.weight))]
    assert ratings(battles, "a") == pytest.approx(ratings(repeated, "a"))


def test_a_model_that_lost_everything_has_no_rating() -> None:
    battles = [Battle("a", "b", 1.0), Battle("b", "a", 1.0), Battle("c", "a", 0.0), Battle("d", "b", 1.0)]
    with pytest.raises(ValueError, match=r"no finite rating against 'a'.* c, d$"):
        ratings(battles, "a")
    assert set(ratings(battles[:2], "a")) == {"a", "b"}


def test_a_chain_of_wins_is_enough_for_a_rating() -> None:
    """a beats b, b beats c, c beats a: all alike, and no two ever had the other outcome."""
    battles = [Battle("a", "b", 1.0), Battle("b", "c", 1.0), Battle("c", "a", 1.0)]
    assert ratings(battles, "a") == pytest.approx({"a": 1000, "b": 1000, "c": 1000})


def test_an_unknown_anchor_is_named_with_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"no battle of 'gpt-4-0134'; did you mean 'gpt-4-0314'\? known: gpt-4-0314, m"
    ):
        ratings([Battle("gpt-4-0314", "m", 0.5)], "gpt-4-0134")
    with pytest.raises(ValueError, match="no battle of 'm'; known: none"):
        ratings([], "m")


def test_data_that_a_feature_parts_has_no_finite_fit() -> None:
    x, y = np.array([[-1.0], [-2.0], [1.0]]), np.array([0.0, 0.0, 1.0])
    with pytest.raises(ValueError, match="no finite fit"):
        logistic(x, y, np.ones(3))
    assert np.isfinite(logistic(x, y, np.ones(3), l2=1.0)).all()


def published(shared_data: Path, name: str) -> list[dict[str, object]]:
    with gzip.open(shared_data / "arena_hard" / name, "rt") as lines:
        return [json.loads(line) for line in lines]


def test_published_ratings_give_the_published_win_rates(shared_data: Path) -> None:
    """Upstream's ratings, anchored at another model, against its leaderboard's percentages."""
    rated = {
        str(r["model"]): float(str(r["score"]))
        for r in published(shared_data, "bootstrap_stats_arena_hard_bt.jsonl.gz")
    }
    with (shared_data / "arena_hard/arena_hard_leaderboard_20240731.csv").open() as file:
        board = {row["model"]: float(row["score"]) for row in csv.DictReader(file)}
    found = {name: 100 * win_probability(rating, rated["gpt-4-0314"]) for name, rating in rated.items()}
    both = found.keys() & board.keys()
    assert found.keys() - both == NOT_ON_THE_BOARD
    for name in both:
        assert found[name] == pytest.approx(board[name], abs=0.0101), name
    assert round(found["gpt-3.5-turbo-0125"], 2) == 23.34


def test_published_draws_give_the_published_interval(shared_data: Path) -> None:
    """Draw by draw against the baseline's; the leaderboard's 100 draws are others, so within their noise."""
    rows = {r["model"]: r for r in published(shared_data, "bootstrap_stats_arena_hard_bt.jsonl.gz")}
    draws = {name: np.array(row["results"]) for name, row in rows.items()}
    pairs = zip(draws["gpt-3.5-turbo-0125"], draws["gpt-4-0314"], strict=True)
    rates = [100 * win_probability(ours, theirs) for ours, theirs in pairs]
    assert np.percentile(rates, (2.5, 97.5)) == pytest.approx([21.67, 25.27], abs=0.5)


@pytest.mark.parametrize("weight", [1, 3])
def test_real_judgments_have_the_golden_rating_and_their_weighted_mean(
    shared_data: Path, weight: int
) -> None:
    """Arena-Hard's win rate is the fit's: scikit-learn's, on the same 181 questions, gave the golden Elo."""
    folder = shared_data / "arena_hard"
    golden = json.loads((folder / "golden_bagel_expected.json").read_text())[f"bagel_weight{weight}"]
    (scores,) = arena_hard_files.read_judgments(next(folder.glob("judgments_v0.1_bagel*"))).values()
    battles = [
        Battle("bagel", "gpt-4-0314", 0.5 if v == 0.5 else float(v > 0.5), weight if v in (0, 1) else 1)
        for s in scores
        if not isinstance(v := s.value, Unparsed)
    ]
    assert sum(b.weight for b in battles) == golden["n_battles"]
    found = ratings(battles, "gpt-4-0314")
    assert found["bagel"] == pytest.approx(golden["elo"], abs=1e-3)
    rate = win_probability(found["bagel"], found["gpt-4-0314"])
    ours = arena_hard.aggregate(scores)["win_rate" if weight == 3 else "win_rate_unweighted"]
    assert rate == pytest.approx(ours, abs=1e-9) and round(100 * rate, 2) == golden["winrate"]
