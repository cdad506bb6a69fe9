"""Components of variance: against sums by hand, and against what answers were drawn from."""

import numpy as np
import pytest

from reports.statistics.bootstrap import Item, Replicate
from reports.statistics.chance import Chance
from reports.statistics.noise.components import (
    JUDGE,
    METHOD_QUESTION,
    METHOD_WORLD,
    METHOD_WORLD_QUESTION,
    QUESTION,
    REFERENCE,
    REFERENCE_QUESTION,
    RESIDUAL,
    SEED,
    WORLD,
    WORLD_QUESTION,
    Effect,
    estimated,
    of_mean,
    with_judge,
)
from reports.statistics.noise.runs import Runs, runs_of
from reports.statistics.sample import make_sample

CROSSED = {
    QUESTION: ("q", 2.25), METHOD_QUESTION: ("mq", 0.64), WORLD: ("w", 0.09), METHOD_WORLD: ("mw", 0.04),
    WORLD_QUESTION: ("wq", 0.16), METHOD_WORLD_QUESTION: ("mwq", 0.25), REFERENCE: ("ws", 0.02),
    SEED: ("mws", 0.06), REFERENCE_QUESTION: ("wsq", 0.09), RESIDUAL: ("mwsq", 1.0),
}  # fmt: skip


def runs(x: np.ndarray, together: bool = False, tasks: int = 1) -> Runs:
    """Of values [M, W, S, Q]; questions are dealt out to tasks, which weigh alike."""
    rows = {
        f"{m:02}": {
            Replicate(w, s): {
                Item(str(q % tasks), f"{q:04}"): float(v) for q, v in enumerate(x[m, w, s]) if not np.isnan(v)
            }
            for w in range(x.shape[1])
            for s in range(x.shape[2])
            if not np.isnan(x[m, w, s]).all()
        }
        for m in range(x.shape[0])
    }
    found = runs_of(rows, {str(t): 1 / tasks for t in range(tasks)}, together)
    assert found is not None
    return found


def drawn(rng: np.random.Generator, shape: tuple[int, ...], effects: list[Effect]) -> np.ndarray:
    """Values [M, W, S, Q] of these effects with the variances of CROSSED."""
    x = np.zeros(shape)
    for letters, variance in (CROSSED[e] for e in effects):
        own = tuple(n if letter in letters else 1 for letter, n in zip("mwsq", shape, strict=True))
        x = x + np.sqrt(variance) * rng.standard_normal(own)
    return x


def test_components_by_hand():
    """Two methods, seeds and questions. A: [0 4 | 2 10], B: [1 1 | 3 7]. The second question is above the
    mean by 2 and 4, 0 and 2, the first below. Seeds differ by 1 from 3 and 1: 2 (1 + 1) = 4, the residual.
    Methods differ by 1 from 2: 2 (1 + 1) = 4, less half of 4: method x question 2. All: 2 x 2 x 4 = 16, less
    4, by 2 methods: question 6. Means 2 6 and 1 5: 8 each, less 4 / 2 questions: seed 6.
    """
    found = estimated(runs(np.array([[[[0.0, 4], [2, 10]]], [[[1.0, 1], [3, 7]]]])), False)
    assert found == pytest.approx({QUESTION: 6.0, METHOD_QUESTION: 2.0, SEED: 8 - 4 / 2, RESIDUAL: 4.0})


@pytest.mark.parametrize("together", [True, False])
def test_components_are_those_that_answers_were_drawn_from(together: bool):
    """The mean of 30 estimates, whose spread says how well it is known."""
    rng, shape = np.random.default_rng(0), (6, 4, 3, 40)
    effects = [e for e in CROSSED if together or e not in (REFERENCE, REFERENCE_QUESTION)]
    several = [estimated(runs(drawn(rng, shape, effects), together), together) for _ in range(30)]
    for e in effects:
        values = np.array([found[e] for found in several])
        assert abs(values.mean() - CROSSED[e][1]) < 4 * values.std() / np.sqrt(len(values)), e.name
    assert set(several[0]) == set(effects)


@pytest.mark.parametrize("shape", [(3, 1, 4, 12), (3, 1, 1, 12), (3, 3, 1, 12), (3, 3, 2, 12)], ids=str)
def test_components_add_up_to_the_variance_of_means_and_of_values(shape: tuple[int, ...]):
    """Unbiased estimates add up, whatever was drawn: of a value the mean variance over questions within runs,
    of means over all runs the mean square of each method's mean over questions.
    """
    x = np.random.default_rng(1).standard_normal(shape)
    of, n = runs(x), shape[3]
    found = estimated(of, False)
    of_questions = {e: v for e, v in found.items() if e.of_questions}
    assert sum(of_questions.values()) == pytest.approx(x.var(axis=-1, ddof=1).mean())
    parts = sum(of_mean(e, v, of) for e, v in of_questions.items())
    assert parts == pytest.approx(x.mean((1, 2)).var(axis=-1, ddof=1).mean() / n)


def test_the_variance_between_seeds_is_that_of_the_model_of_chance():
    """The mean over methods of v less its floor, tasks weighed and turns together."""
    x = np.random.default_rng(2).standard_normal((4, 1, 3, 30))
    items = [Item(str(q % 3), f"{q // 6:02}", q // 3 % 2) for q in range(30)]
    rows = {
        str(m): {Replicate(0, s): dict(zip(items, map(float, x[m, 0, s]), strict=True)) for s in range(3)}
        for m in range(4)
    }
    weights = {"0": 0.5, "1": 0.25, "2": 0.25}
    of = runs_of(rows, weights, False)
    sample = make_sample({m: own[Replicate(0, 0)] for m, own in rows.items()}, rows, weights)
    assert of is not None
    own = Chance(sample).variations.own
    found = estimated(of, False)
    assert found[SEED] == pytest.approx(np.mean([v.variance - v.floor for v in own]))
    assert found[RESIDUAL] / of.questions == pytest.approx(np.mean([v.floor for v in own]))
    assert (of.questions, of.tasks, of.weighing) == (15, 3, pytest.approx(15 * (0.25 + 0.125) / 5))


def test_of_unequal_numbers_of_seeds_nothing_is_biased():
    rng, effects = np.random.default_rng(3), [QUESTION, METHOD_QUESTION, SEED, RESIDUAL]
    several = []
    for _ in range(40):
        x = drawn(rng, (5, 1, 5, 40), effects)
        for m in range(4):
            x[m, :, 1 + m :] = np.nan
        several.append(estimated(runs(x), False))
    for e in effects:
        values = np.array([found[e] for found in several])
        assert abs(values.mean() - CROSSED[e][1]) < 4 * values.std() / np.sqrt(len(values)), e.name
    assert runs(x).seeds == pytest.approx(5 / sum(1 / s for s in range(1, 6)))


def test_what_some_run_lacks_is_left_out_and_counted():
    x = np.random.default_rng(4).standard_normal((2, 1, 2, 10))
    whole = estimated(runs(x[..., 2:]), False)
    x[0, 0, 0, 0] = x[1, 0, 1, 1] = np.nan
    of = runs(x)
    assert (of.questions, of.left_out) == (8, 2)
    assert estimated(of, False) == pytest.approx(whole)


def test_runs_that_share_too_little_have_none():
    assert runs_of({m: {Replicate(0, 0): {Item("", m): 1.0}} for m in "AB"}, {"": 1.0}, False) is None
    apart = {m: {Replicate(0, s): {Item("", q): 1.0 for q in "ab"}} for s, m in enumerate("AB")}
    assert runs_of(apart, {"": 1.0}, True) is None and runs_of(apart, {"": 1.0}, False) is not None


def test_a_judges_noise_is_taken_from_where_it_was_estimated():
    assert with_judge({METHOD_QUESTION: 3.0, RESIDUAL: 2.0}, 0.5) == {
        METHOD_QUESTION: 3.0,
        RESIDUAL: 1.5,
        JUDGE: 0.5,
    }
    assert with_judge({METHOD_QUESTION: 3.0}, 0.5) == {METHOD_QUESTION: 2.5, JUDGE: 0.5}
