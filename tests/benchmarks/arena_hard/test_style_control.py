"""Style control against upstream's two ways: scikit-learn with a penalty (v0.1), LBFGS without one (v2.0)."""

import gzip
import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.api import Score, Unparsed
from benchmarks.arena_hard import files as arena_hard_files
from benchmarks.arena_hard.bradley_terry import Numbers
from benchmarks.arena_hard.style_control import (
    Game,
    Style,
    _new_features,
    covariates,
    named,
    style,
    style_control,
    style_controlled_win_rate,
)
from tests.benchmarks.arena_hard import published

GOLDEN = "arena_hard/golden_style_control_synthetic_input.jsonl.gz"


def golden_rows(shared_data: Path) -> list[dict[str, Any]]:
    with gzip.open(shared_data / GOLDEN, "rt") as lines:
        return [json.loads(line) for line in lines]


def golden_games(shared_data: Path) -> list[Game]:
    """Synthetic verdicts on real answers of two models, in game 1 and game 2."""
    found = []
    for row in golden_rows(shared_data):
        ours, theirs = (
            published.from_metadata(row["meta_model"]),
            published.from_metadata(row["meta_baseline"]),
        )
        for order, game in zip(arena_hard_files.ORDERS, row["games"], strict=True):
            value = arena_hard_files.value_of(game["score"], order)
            assert value is not None
            found.append(Game(row["model"], value, ours, theirs))
    return found


def repeated(games: list[Game]) -> tuple[list[str], Numbers, Numbers, Numbers]:
    """Models, outcomes, and the two styles: a row for each battle, three for a significant verdict."""
    rows = [g for g in games for _ in range(3 if g.value in (0, 1) else 1)]
    outcomes = np.array([0.5 if g.value == 0.5 else float(g.value > 0.5) for g in rows])
    styles = (np.array([g.ours for g in rows], float), np.array([g.baseline for g in rows], float))
    return [g.model for g in rows], outcomes, *styles


def upstream_v1(games: list[Game]) -> tuple[dict[str, float], Numbers]:
    """Baseline as model_a; rows twice, ties once each way; z-scores; LogisticRegression's defaults."""
    from sklearn.linear_model import LogisticRegression

    names, outcomes, ours, theirs = repeated(games)
    models = ["baseline", *dict.fromkeys(names)]
    z = (theirs - ours) / (theirs + ours + 1)
    x = np.zeros((len(names), len(models)))
    x[:, 0] = math.log(10)
    x[np.arange(len(names)), [models.index(name) for name in names]] = -math.log(10)
    x = np.tile(np.hstack([x, (z - z.mean(0)) / z.std(0)]), (2, 1))
    won = np.concatenate([outcomes < 1, outcomes == 0]).astype(
        float
    )  # by the baseline; ties in the first half
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        w = LogisticRegression(fit_intercept=False, tol=1e-10, max_iter=10_000).fit(x, won).coef_[0]
    elo = 400 * w[: len(models)]
    return {m: 1 / (1 + 10 ** ((elo[0] - e) / 400)) for m, e in zip(models[1:], elo[1:], strict=True)}, w[-4:]


def upstream_v2(games: list[Game]) -> tuple[dict[str, float], Numbers]:
    """One-hot of model and baseline, densities, z-scores with n - 1; LBFGS from 0.5 without a penalty."""
    import torch

    names, outcomes, ours, theirs = repeated(games)
    models = ["baseline", *sorted(set(names))]
    length = (ours[:, :1] - theirs[:, :1]) / (ours[:, :1] + theirs[:, :1])
    dense, other = ours[:, 1:] / (ours[:, :1] + 1), theirs[:, 1:] / (theirs[:, :1] + 1)
    raw = torch.tensor(np.hstack([length, (dense - other) / (dense + other + 1)]))
    x = torch.zeros(len(names), len(models), dtype=torch.float64)
    x[:, 0] = -1
    x[torch.arange(len(names)), [models.index(name) for name in names]] = 1
    x, y = torch.hstack([x, (raw - raw.mean(0)) / raw.std(0)]), torch.tensor(outcomes)
    w = torch.full((x.shape[1],), 0.5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [w], max_iter=500, tolerance_grad=1e-9, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(x @ w, y, reduction="sum")
        loss.backward()
        return loss

    optimizer.step(closure)
    found = w.detach().numpy()
    against = found[1 : len(models)] - found[0]
    return dict(zip(models[1:], 1 / (1 + np.exp(-against)), strict=True)), found[len(models) :]


def test_the_first_version_is_upstreams_fit(shared_data: Path) -> None:
    games = golden_games(shared_data)
    rates, weights = upstream_v1(games)
    found = style_control(games)
    assert found.win_rates == pytest.approx(rates, abs=1e-5)
    # Upstream's differences are baseline less model, won by the baseline: the weights are the same.
    assert list(found.weights.values()) == pytest.approx(list(weights), abs=1e-4)
    assert set(rates) == {"gpt-4-0613", "gpt-3.5-turbo-0125"}


def test_the_second_version_is_upstreams_fit(shared_data: Path) -> None:
    games = golden_games(shared_data)
    rates, weights = upstream_v2(games)
    found = style_control(games, version="v2.0")
    assert found.win_rates == pytest.approx(rates, abs=1e-5)
    assert list(found.weights.values()) == pytest.approx(list(weights), abs=1e-4)
    assert found.win_rates != pytest.approx(style_control(games).win_rates, abs=1e-3)


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        ("# one\n### three\n#hash\n\n- a\n* b\n+ c\n  1. d\n10. e\n-no", (2, 5, 0)),
        ("**b** and __u__ and ** open\n** and **two** in **a row**", (0, 0, 4)),
        ("```\n# code\n- code\n```\n# text", (1, 0, 0)),
        ("`# inline`", (0, 0, 0)),
        ("", (0, 0, 0)),
    ],
)
def test_markdown_is_counted_outside_of_code(answer: str, counts: tuple[int, int, int]) -> None:
    assert style(answer)[1:] == counts


def test_markdown_of_real_answers_is_counted_as_upstream_counted_it(shared_data: Path) -> None:
    """2,000 real answers with the counts that upstream's script gave, and 750 of v2.0's own files."""
    folder = shared_data / "arena_hard"
    models = ("gpt-4-0314", "gpt-4-0613", "gpt-3.5-turbo-0125")
    answers = {
        m: arena_hard_files.read_answers(arena_hard_files.answers_path(folder, "v0.1", m)) for m in models
    }
    for row in golden_rows(shared_data):
        for model, told in ((row["model"], row["meta_model"]), ("gpt-4-0314", row["meta_baseline"])):
            assert style(answers[model][row["question_id"]].turns[0])[1:] == published.from_metadata(told)[1:]

    path = arena_hard_files.answers_path(folder, "v2.0", "o3-mini-2025-01-31")
    told = published.read_styles(path)
    counted = {id: style(a.turns[0]) for id, a in arena_hard_files.read_answers(path).items()}
    assert {id: s[1:] for id, s in counted.items()} == {id: s[1:] for id, s in told.items()}
    ours, theirs = (np.array([s[id].tokens for id in sorted(s)]) for s in (counted, told))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.95
    assert np.median(ours / theirs) == pytest.approx(1, abs=0.01)


def test_bytes_for_tokens_change_a_real_win_rate_by_under_a_point(shared_data: Path) -> None:
    """The same verdicts with the lengths of the golden file, and with those counted here."""
    games, told = [], golden_games(shared_data)
    folder = shared_data / "arena_hard"
    answers = {
        m: arena_hard_files.read_answers(arena_hard_files.answers_path(folder, "v0.1", m))
        for m in ("gpt-4-0314", "gpt-4-0613", "gpt-3.5-turbo-0125")
    }
    for row, game in zip([r for r in golden_rows(shared_data) for _ in r["games"]], told, strict=True):
        pair = (answers[m][row["question_id"]].turns[0] for m in (row["model"], "gpt-4-0314"))
        games.append(Game(game.model, game.value, *map(style, pair)))
    ours, theirs = style_control(games).win_rates, style_control(told).win_rates
    assert ours == pytest.approx(theirs, abs=0.01) and ours != theirs


def scores_of(games: list[Game]) -> list[Score]:
    return [Score(str(n), g.value, covariates=named(g.ours, g.baseline)) for n, g in enumerate(games)]


def lengthy(count: int, rng: np.random.Generator) -> list[Game]:
    """Of answers that win by their length alone: P(win) = sigmoid(4 x normalised difference)."""
    games = []
    for _ in range(count):
        ours, theirs = (Style(float(t), 0, 0, 0) for t in (rng.integers(300, 900), rng.integers(200, 600)))
        logit = 4 * (ours.tokens - theirs.tokens) / (ours.tokens + theirs.tokens + 1)
        games.append(Game("m", 0.25 + 0.5 * (rng.random() < 1 / (1 + math.exp(-logit))), ours, theirs))
    return games


def test_answers_that_win_by_length_alone_win_half_of_the_time_at_equal_length() -> None:
    """Of one model. z-scores, upstream's, leave it sigmoid(4 x its mean difference): all of its lead."""
    games = lengthy(6000, np.random.default_rng(1))
    lengths = [(g.ours.tokens, g.baseline.tokens) for g in games]
    mean = np.mean([(ours - theirs) / (ours + theirs + 1) for ours, theirs in lengths])
    plain = np.mean([g.value > 0.5 for g in games])
    assert plain > 0.6
    for version in ("v0.1", "v2.0"):
        rate = style_controlled_win_rate(scores_of(games), version=version)
        assert rate == pytest.approx(0.5, abs=0.02)
        upstream = style_control(games, version=version)
        assert upstream.win_rates["m"] == pytest.approx(1 / (1 + math.exp(-4 * mean)), abs=0.02)
        assert upstream.weights["tokens"] > 0.5


def test_a_style_that_never_differs_leaves_the_plain_win_rate() -> None:
    alike = Style(100, 1, 2, 3)
    games = [Game("m", value, alike, alike) for value in (0.75, 0.25, 0.25, 0.5)]
    found = style_control(games, version="v2.0")
    assert found.win_rates["m"] == pytest.approx(1.5 / 4)
    assert set(found.weights.values()) == {0.0}


def test_scores_carry_what_style_control_needs(shared_data: Path) -> None:
    games = [g for g in golden_games(shared_data) if g.model == "gpt-4-0613"]
    expected = style_control(games, centred=False).win_rates["gpt-4-0613"]
    scores = scores_of(games)
    assert style_controlled_win_rate(scores) == pytest.approx(expected)
    assert style_controlled_win_rate([*scores, Score("x", Unparsed("?"))]) == pytest.approx(expected)
    assert style_controlled_win_rate([*scores, Score("x", 0.5)]) is None
    assert style_controlled_win_rate([]) is None
    assert set(covariates("# a", "b")) == set(scores[0].covariates)


def test_a_model_that_lost_every_game_has_a_rate_only_with_the_penalty() -> None:
    rng = np.random.default_rng(2)
    games = [Game("m", 0.25, g.ours, g.baseline) for g in lengthy(50, rng)]
    assert style_controlled_win_rate(scores_of(games), version="v2.0") is None
    rate = style_controlled_win_rate(scores_of(games))
    assert rate is not None and 0 < rate < 0.05


def test_empty_answers_are_styles_too() -> None:
    empty, full = style(""), style("# some\n- text")
    games = [Game("m", v, a, b) for v in (0.25, 0.75, 0.5) for a in (empty, full) for b in (empty, full)]
    for version in ("v0.1", "v2.0"):
        assert style_control(games, version=version).win_rates["m"] == pytest.approx(0.5, abs=1e-6)


def test_markdown_counts_per_token_and_one_as_upstream() -> None:
    """Of a one-token answer with one bold word and a plain one of three: 1 / (1 + 1), not 1 / 1.

    v2.0's feature is (1/2 - 0) / (1/2 + 0 + 1) = 1/3; headers and lists do not differ, and have none.
    """
    ours, theirs = np.array([[1.0, 0, 0, 1]]), np.array([[3.0, 0, 0, 0]])
    assert _new_features(ours, theirs).tolist() == [[-0.5, 0, 0, pytest.approx(1 / 3)]]
