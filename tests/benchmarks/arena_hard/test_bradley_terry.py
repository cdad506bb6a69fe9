"""Bradley-Terry against scikit-learn's fit, as Arena-Hard uses it, and against its published leaderboard."""

import csv
import gzip
import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from benchmarks.arena_hard import benchmark as arena_hard
from benchmarks.arena_hard.bradley_terry import SCALE, Numbers, logistic, one_hot, win_probability
from tests.benchmarks.arena_hard import published as readers

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


def test_several_models_are_rated_as_scikit_learn_rates_them() -> None:
    """Battles of weight 1 or 3 between six models, with outcomes that lean to the later name."""
    rng, models = np.random.default_rng(3), [f"model {n}" for n in range(6)]
    pairs = [rng.choice(6, 2, replace=False) for _ in range(400)]
    x = one_hot(*([models[pair[side]] for pair in pairs] for side in (0, 1)), models)
    lean = [np.array([1 + i, 1 + j, 1.0]) for i, j in pairs]
    y = np.array([OUTCOMES[rng.choice(3, p=weights / weights.sum())] for weights in lean])
    weight = rng.choice([1.0, 3.0], size=400)
    theirs = sklearn_fit(x[:, 1:], y, weight, penalised=False)
    np.testing.assert_allclose(SCALE * logistic(x[:, 1:], y, weight), SCALE * theirs, atol=0.02)


def test_a_penalised_fit_is_scikit_learns() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(200, 5)), rng.choice([0.0, 0.5, 1.0], size=200)
    weight = rng.choice([1.0, 3.0], size=200)
    theirs = sklearn_fit(x, y, weight, penalised=True)
    np.testing.assert_allclose(logistic(x, y, 2 * weight, l2=1.0), theirs, atol=1e-5)


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
def test_real_judgments_have_the_win_rate_of_the_golden_rating(shared_data: Path, weight: int) -> None:
    """Arena-Hard's win rate and Elo are those of the golden fit, scikit-learn's on the same 181 questions."""
    folder = shared_data / "arena_hard"
    golden = json.loads((folder / "golden_bagel_expected.json").read_text())[f"bagel_weight{weight}"]
    (scores,) = readers.read_judgments(next(folder.glob("judgments_v0.1_bagel*"))).values()
    rates = arena_hard.aggregate(scores)
    ours = rates["win_rate" if weight == 3 else "win_rate_unweighted"]
    assert round(100 * ours, 2) == golden["winrate"]
    assert 1000 + SCALE * math.log10(ours / (1 - ours)) == pytest.approx(golden["elo"], abs=1e-3)
