"""Arena-Hard v0.1 and v2.0 (Li et al., 2024): how often the judge prefers our answer to the baseline's.

    {"uid": "328c...", "category": "arena-hard-v0.1", "prompt": "Use ABC notation to write a melody ..."}

Every answer is judged twice against a reference: as B, then as A. A verdict is one of five, from the view of
our answer: 1 significantly better, 0.75 slightly better, 0.5 a tie, 0.25 slightly worse, 0 significantly
worse. It enters the win rate as a win, a tie or a loss, the significant ones three times. v0.1 fits ratings
with Bradley-Terry, anchored at the baseline, and turns them into the probability to beat it: with one model
that is the mean. v2.0 takes the mean, over questions with both verdicts. It reports each category by itself,
against a baseline of its own: "win_rate/<category>".

Prompts and reading are upstream's of 2024 for v0.1 and of 2025 for v2.0. It departs in three places: v0.1's
"continue your judgment" to a judge that gave no verdict is not asked, a verdict that is spelled backwards
("B<A") counts in both versions (upstream's of 2024 drops it), and equal answers are a tie that no judge is
asked about, so that the reference, where it is a row itself, has 50 %, as upstream's boards give it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.api import (
    Answer,
    Decoding,
    JudgedBenchmark,
    JudgeRequest,
    Question,
    Reply,
    Sampling,
    Score,
    Unparsed,
    one_verdict,
)
from benchmarks.arena_hard import files, prompts
from benchmarks.arena_hard import style_control as style
from benchmarks.suggest import nearest

Version = Literal["v0.1", "v2.0"]

LABEL = re.compile(r"\[\[([AB<>=]+)\]\]")
LABEL_BACKUP = re.compile(r"\[([AB<>=]+)\]")

ROUNDS = 1000  # of the bootstrap by question
UPSTREAM_ROUNDS = 100
SEED = 42


@dataclass(frozen=True)
class Edition:
    """What differs from version to version. `percentiles`: of upstream's bootstrap, 0-100."""

    baselines: tuple[str, ...]
    max_tokens: int
    judge_tokens: int
    percentiles: tuple[float, float]


EDITIONS: dict[str, Edition] = {
    "v0.1": Edition(("gpt-4-0314",), 4096, 4096, (2.5, 97.5)),
    "v2.0": Edition(("o3-mini-2025-01-31", "gemini-2.0-flash-001"), 16000, 16000, (5, 95)),
}


def load(
    folder: Path, *, version: Version = "v0.1", max_tokens: int | None = None
) -> tuple[list[Question], JudgedBenchmark]:
    """Read the questions of a version, and the prompts where arena-hard-<version>.yaml holds any.

    `max_tokens` is of the answers: 4096 in v0.1 and 16000 in v2.0 unless told otherwise. ValueError: no such
    version, or no questions.
    """
    edition = _edition(version)
    questions = files.read_questions(folder, version)
    prompt = prompts.read(folder, version)
    sampling = Sampling(0.0, max_tokens=max_tokens or edition.max_tokens)

    def requests(question: Question, answer: Answer, reference: Answer | None) -> list[JudgeRequest | Score]:
        if reference is None:
            raise ValueError(f"Arena-Hard compares with a reference; question {question.id} has none")
        ours, theirs = answer.turns[0], reference.turns[0]
        lengths = {"length": float(len(ours)), "reference_length": float(len(theirs))}  # characters
        told = lengths | style.covariates(ours, theirs)
        if ours == theirs:
            return [
                Score(question.id, 0.5, question.category, order=order, covariates=told)
                for order in files.ORDERS
            ]
        return [
            JudgeRequest(
                question.id,
                prompt.messages(question, *((ours, theirs) if order == "ab" else (theirs, ours))),
                order=order,
                covariates=told,
            )
            for order in files.ORDERS
        ]

    return questions, JudgedBenchmark(
        name="arena-hard",
        metric="win_rate",
        pairwise=True,
        decoding=Decoding(0.0, max_tokens=edition.judge_tokens),
        sampling=lambda question: sampling,
        requests=requests,
        parse=parse if version == "v0.1" else parse_last,
        several=one_verdict if version == "v0.1" else several,
        aggregate=partial(aggregate, version=version),
    )


def stored(folder: Path, version: Version, model: str | None = None) -> dict[str, Answer]:
    """Question id -> the answer of a model in the folder's answer files; None: of the version's baseline.

    v2.0 compares each category with a baseline of its own. ValueError names the file that is not there.
    """
    edition = _edition(version)
    if model is not None:
        return files.read_answers(files.answers_path(folder, version, model))
    answers = {
        name: files.read_answers(files.answers_path(folder, version, name)) for name in edition.baselines
    }
    if len(answers) == 1:
        return answers[edition.baselines[0]]
    asked = [(q.id, answers[_baseline(q)]) for q in files.read_questions(folder, version)]
    return {id: answered[id] for id, answered in asked if id in answered}


def parse(request: JudgeRequest, reply: Reply) -> float | Unparsed:
    """v0.1: the label in [[double]] brackets; two that differ are no verdict, as upstream has it."""
    labels = set(LABEL.findall(reply.text))
    value = files.value_of(labels.pop(), request.order) if len(labels) == 1 else None
    return Unparsed(reply.text) if value is None else value


def parse_last(request: JudgeRequest, reply: Reply) -> float | Unparsed:
    """v2.0: the last label in [[double]] brackets, else the last in [single] ones, in either case."""
    labels = _labels(reply)
    value = files.value_of(labels[-1], request.order) if labels else None
    return Unparsed(reply.text) if value is None else value


def several(reply: Reply) -> bool:
    """Whether a reply that `parse_last` reads holds labels of different verdicts."""
    return len({files.value_of(label, "ab") for label in _labels(reply)}) > 1


def _labels(reply: Reply) -> list[str]:
    text = reply.text.upper()
    return LABEL.findall(text) or LABEL_BACKUP.findall(text)


def aggregate(scores: Sequence[Score], *, version: Version = "v0.1") -> dict[str, float]:
    """Shares, all 0-1, and counts; what the scores do not tell is absent.

    `win_rate` is upstream's, and [`low`, `high`] its 95 % interval, questions being drawn (both games of one
    go together); [`upstream_low`, `upstream_high`] draws verdicts and is too narrow, in v2.0 as a 90 %
    interval. `win_rate_unweighted` counts every verdict once. Over questions with both verdicts:
    `strict_agreement`, the same verdict twice; `side_agreement`, the same winner twice; `first_slot_rate`,
    the share of verdicts for the answer shown first, a tie being for neither. `n` questions and `n_games`
    verdicts enter the win rate; `n_unparsed` replies hold no verdict; `n_half` questions have one verdict of
    two (v2.0 leaves them out). `style_controlled_win_rate` is that of `arena_hard_style`, and absent over
    several categories, whose baselines differ.
    """
    edition = _edition(version)
    verdicts: dict[str, dict[str, float]] = {}
    for s in scores:
        if not isinstance(s.value, Unparsed):
            verdicts.setdefault(s.question, {})[s.order] = s.value
    both = {id for id, v in verdicts.items() if len(v) == 2}
    kept = both if version == "v2.0" else set(verdicts)
    counted = [s for s in scores if s.question in kept]

    found = {
        "n": float(len(kept)),
        "n_games": float(sum(len(verdicts[id]) for id in kept)),
        "n_unparsed": float(sum(isinstance(s.value, Unparsed) for s in scores)),
        "n_half": float(len(verdicts) - len(both)),
    }
    if not kept:
        return found
    clusters = [list(verdicts[id].values()) for id in verdicts if id in kept]
    found |= win_rates(clusters, edition.percentiles) | _positions([verdicts[id] for id in both])
    groups = {c: [s for s in counted if s.category == c] for c in sorted({s.category for s in counted})}
    if len(groups) == 1:
        return found | _style(counted, version)
    for category, group in groups.items():
        values = [v for s in group if not isinstance(v := s.value, Unparsed)]
        figures = {"win_rate": _mean(values)} | _style(group, version)
        found |= {f"{name}/{category}": value for name, value in figures.items()}
    return found


def win_rates(
    clusters: Sequence[Sequence[float]], percentiles: tuple[float, float], *, heavy: int = style.HEAVY
) -> dict[str, float]:
    """The win rates of `aggregate` and their intervals, from the verdicts of each question.

    `heavy` is how often a significant verdict counts; `percentiles`, 0-100, are those of upstream's interval.
    """
    values = np.array([v for verdicts in clusters for v in verdicts])
    outcomes, weights = _outcomes(values), _weights(values, heavy)
    question = np.repeat(np.arange(len(clusters)), [len(verdicts) for verdicts in clusters])
    won = np.bincount(question, outcomes * weights)  # [questions]
    played = np.bincount(question, weights)

    rng = np.random.default_rng(SEED)
    drawn = rng.integers(0, len(clusters), (ROUNDS, len(clusters)))
    rates = won[drawn].sum(1) / played[drawn].sum(1)
    battles = np.repeat(outcomes, weights)
    rows = rng.integers(0, len(battles), (UPSTREAM_ROUNDS, len(battles)))
    low, high = np.percentile(rates, (2.5, 97.5))
    upstream_low, upstream_high = np.percentile(battles[rows].mean(1), percentiles)
    return {
        "win_rate": float(won.sum() / played.sum()),
        "win_rate_unweighted": float(outcomes.mean()),
        "low": float(low),
        "high": float(high),
        "upstream_low": float(upstream_low),
        "upstream_high": float(upstream_high),
    }


def _positions(pairs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    if not pairs:
        return {}
    sides = [{order: np.sign(value - 0.5) for order, value in pair.items()} for pair in pairs]
    return {
        "strict_agreement": fmean(pair["ab"] == pair["ba"] for pair in pairs),
        "side_agreement": fmean(bool(side["ab"] == side["ba"]) for side in sides),
        "first_slot_rate": fmean(first for side in sides for first in (side["ab"] > 0, side["ba"] < 0)),
    }


def _style(scores: Sequence[Score], version: Version) -> dict[str, float]:
    controlled = style.style_controlled_win_rate(scores, version=version)
    return {} if controlled is None else {"style_controlled_win_rate": controlled}


def _mean(values: Sequence[float]) -> float:
    verdicts = np.array(values)
    return float(np.average(_outcomes(verdicts), weights=_weights(verdicts)))


def _outcomes(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 won, 0 lost, 0.5 neither."""
    return (1 + np.sign(values - 0.5)) / 2


def _weights(values: NDArray[np.float64], heavy: int = style.HEAVY) -> NDArray[np.int64]:
    return np.where((values == 0) | (values == 1), heavy, 1)


def _baseline(question: Question) -> str:
    if question.category not in files.BASELINES:
        known = ", ".join(files.BASELINES)
        raise ValueError(f"question {question.id}: no baseline for {question.category!r}; known: {known}")
    return files.BASELINES[question.category]


def _edition(version: str) -> Edition:
    if version not in EDITIONS:
        raise ValueError(f"no version {version!r} of Arena-Hard{nearest(version, EDITIONS)}")
    return EDITIONS[version]
