"""Arena-Hard's style control: the win rate if both answers were as long and as marked up.

    logit P(ours wins) = ln 10 (w_ours - w_baseline) + sum_k v_k z_k
    z_k: of length, headers, lists, bold the difference of ours and the baseline's over their sum, z-scored

The win rate is the one that the w alone give. z-scores are 0 at the mean difference of all battles: upstream
fits a whole leaderboard at once, and there that is a common ground. Of one model alone it is the model's own
mean, and what its length won stays in its w. So `style_controlled_win_rate`, of one model, scales the
differences and does not centre them: 0 is where both answers are alike. `style_control` is upstream's.

The two versions differ in the rest. v0.1 divides by the sum + 1 and fits with scikit-learn's default L2
(C = 1) on every battle taken twice. v2.0 takes headers, lists and bold per tokens + 1, standardises with
n - 1, and fits without a penalty; its leaderboard shows the median over 100 bootstraps where this gives the
fit on all battles.

Upstream counts tokens of GPT-4o's tokenizer, which is downloaded when it runs. Here lengths are UTF-8 bytes,
of both answers alike: over 750 answers of o3-mini they go with the tokens (correlation 0.96; characters 0.87,
words 0.79), and a factor falls out of the ratio. It departs in one place: a feature that is the same in
every battle is left out (upstream divides by 0).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.api import Score, Unparsed
from benchmarks.arena_hard import bradley_terry
from benchmarks.arena_hard.bradley_terry import Numbers

FEATURES = ("tokens", "headers", "lists", "bold")
BYTES_PER_TOKEN = 4.26  # the median over those 750 answers
BASELINE = ""  # the baseline's name among the models, which no model has
HEAVY = 3  # battles that a verdict of ">>" counts for

CODE = re.compile(r"```([^`]*)```")
HEADER = re.compile(r"^#{1,6}\s", re.MULTILINE)
LISTS = (re.compile(r"^\s*\d+\.\s", re.MULTILINE), re.compile(r"^\s*[-*+]\s", re.MULTILINE))
BOLD = (re.compile(r"\*\*[^*\n]+\*\*"), re.compile(r"__[^_\n]+__"))


class Style(NamedTuple):
    """Of one answer: its length in tokens, as near as can be told, and what Markdown it holds."""

    tokens: float
    headers: float
    lists: float
    bold: float


@dataclass(frozen=True)
class Game:
    """A verdict on an answer of `model`, 0-1 from its view, and both answers' style."""

    model: str
    value: float
    ours: Style
    baseline: Style


class Controlled(NamedTuple):
    """Model -> win rate against the baseline, 0-1; feature -> its weight in logits per standard deviation."""

    win_rates: dict[str, float]
    weights: dict[str, float]


def style(answer: str) -> Style:
    """Count as upstream: outside of code blocks, whose text is taken out wherever it stands."""
    text = answer
    for block in CODE.findall(answer):
        text = text.replace(block, "")
    return Style(
        len(answer.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN,
        len(HEADER.findall(text)),
        sum(len(pattern.findall(text)) for pattern in LISTS),
        sum(len(pattern.findall(text)) for pattern in BOLD),
    )


def covariates(ours: str, theirs: str) -> dict[str, float]:
    """Length and Markdown of two answers, as a request carries them."""
    return named(style(ours), style(theirs))


def named(ours: Style, theirs: Style) -> dict[str, float]:
    """Two styles as covariates: "headers" of ours, "reference_headers" of theirs, and so on."""
    return ours._asdict() | {f"reference_{name}": value for name, value in theirs._asdict().items()}


def style_controlled_win_rate(scores: Iterable[Score], *, version: str = "v0.1") -> float | None:
    """The win rate, 0-1, of the model whose parsed scores these are, if both answers were alike in style.

    None where scores say nothing of style, or no finite fit exists (v2.0, of a model that lost every game).
    """
    games = []
    for s in scores:
        if isinstance(s.value, Unparsed):
            continue
        if any(f"{side}{name}" not in s.covariates for side in ("", "reference_") for name in FEATURES):
            return None
        ours = Style(*(s.covariates[name] for name in FEATURES))
        theirs = Style(*(s.covariates[f"reference_{name}"] for name in FEATURES))
        games.append(Game("ours", s.value, ours, theirs))
    if not games:
        return None
    try:
        return style_control(games, version=version, centred=False).win_rates["ours"]
    except ValueError:  # a model that lost, or won, every game
        return None


def style_control(
    games: Sequence[Game], *, version: str = "v0.1", weight: float = HEAVY, centred: bool = True
) -> Controlled:
    """Fit ratings of all models and weights of style at once. ValueError where there is no finite fit.

    `weight` is that of a ">>" verdict (value 0 or 1). Standardising counts a verdict as often as the fit;
    without `centred` it only scales.
    """
    old = version == "v0.1"
    models = [BASELINE, *sorted({g.model for g in games})]
    values = np.array([g.value for g in games])
    weights = np.where((values == 0) | (values == 1), weight, 1.0)
    outcomes = np.where(values == 0.5, 0.5, values > 0.5)
    difference = _old_features if old else _new_features
    raw = difference(np.array([g.ours for g in games], float), np.array([g.baseline for g in games], float))
    mean, spread = _moments(raw, weights, 0 if old else 1)
    z = (raw - mean if centred else raw) / spread

    x = bradley_terry.one_hot([g.model for g in games], [BASELINE] * len(games), models)
    if old:
        found = bradley_terry.logistic(np.hstack([x, z]), outcomes, 2 * weights, l2=1.0)
    else:  # without a penalty only differences of ratings are fixed: the baseline's is 0
        found = np.concatenate([[0.0], bradley_terry.logistic(np.hstack([x[:, 1:], z]), outcomes, weights)])
    ratings = dict(zip(models, bradley_terry.SCALE * found[: len(models)], strict=True))
    return Controlled(
        {m: float(bradley_terry.win_probability(ratings[m], ratings[BASELINE])) for m in models[1:]},
        dict(zip(FEATURES, map(float, found[len(models) :]), strict=True)),
    )


def _old_features(ours: Numbers, theirs: Numbers) -> Numbers:
    return (ours - theirs) / (ours + theirs + 1)


def _new_features(ours: Numbers, theirs: Numbers) -> Numbers:
    """Two empty answers do not differ."""
    length = (ours[:, :1] - theirs[:, :1]) / np.maximum(ours[:, :1] + theirs[:, :1], 1e-9)
    per_token, theirs_per_token = (side[:, 1:] / (side[:, :1] + 1) for side in (ours, theirs))
    return np.hstack([length, (per_token - theirs_per_token) / (per_token + theirs_per_token + 1)])


def _moments(raw: Numbers, weights: Numbers, ddof: int) -> tuple[Numbers, Numbers]:
    """Mean and standard deviation of each feature, infinite where it never differs: its z is 0."""
    mean: Numbers = np.average(raw, axis=0, weights=weights)
    spread = np.sqrt((weights @ (raw - mean) ** 2) / max(weights.sum() - ddof, 1))
    return mean, np.where(spread < 1e-12, np.inf, spread)
