"""What the answers of several runs vary by: components of variance, which add up.

    x[m, w, s, q] = mu_m + Q_q + MQ_mq                     questions
                         + W_w + MW_mw + WQ_wq + MWQ_mwq   base models
                         + S_ws + T_mws + SQ_wsq + e_mwsq  seeds

Mean squares are set equal to what is expected of them (method of moments; Searle, Casella & McCulloch, 1992),
those over unequal numbers of seeds by unweighted means (Yates, 1934). S and SQ are there where the seeds of
all methods go together, as do those of a trained reference that win rates are against; else seeds are nested
in methods. An estimate may be less than 0.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reports.statistics.bootstrap import Floats
from reports.statistics.noise.runs import Runs


@dataclass(frozen=True)
class Effect:
    """What varies. `is_shared`: all methods alike, so that a difference of two is without it."""

    name: str
    of_questions: bool = False
    of_worlds: bool = False
    of_seeds: bool = False
    is_shared: bool = False


QUESTION = Effect("question", of_questions=True, is_shared=True)
METHOD_QUESTION = Effect("method x question", of_questions=True)
WORLD = Effect("base model", of_worlds=True, is_shared=True)
METHOD_WORLD = Effect("method x base model", of_worlds=True)
WORLD_QUESTION = Effect("base model x question", of_questions=True, of_worlds=True, is_shared=True)
METHOD_WORLD_QUESTION = Effect("method x base model x question", of_questions=True, of_worlds=True)
REFERENCE = Effect("seed of the reference", of_worlds=True, of_seeds=True, is_shared=True)
REFERENCE_QUESTION = Effect("seed of the reference x question", True, True, True, is_shared=True)
SEED = Effect("seed", of_worlds=True, of_seeds=True)
RESIDUAL = Effect("residual", of_questions=True, of_worlds=True, of_seeds=True)
JUDGE = Effect("judge", of_questions=True, of_worlds=True, of_seeds=True)  # of what is else residual

# What a mean over seeds leaves of an effect of theirs is in that of what the seeds are of.
SEEDS_OF_METHODS = {RESIDUAL: METHOD_QUESTION, REFERENCE_QUESTION: QUESTION}
SEEDS_OF_WORLDS = {
    SEED: METHOD_WORLD,
    RESIDUAL: METHOD_WORLD_QUESTION,
    REFERENCE: WORLD,
    REFERENCE_QUESTION: WORLD_QUESTION,
}

Components = dict[Effect, float]  # variances


def estimated(runs: Runs, together: bool) -> Components:
    """The components that these runs tell apart.

    Of one seed a method what seeds add is in the effects of methods; of one base model what base models add
    is nowhere.
    """
    n = runs.questions
    means = _crossed(np.array([[cell.mean() for cell in own] for own in runs.means])[..., None])
    effects = _crossed(np.array([[cell.mean(0) for cell in own] for own in runs.effects]))
    found = {QUESTION: effects.both, METHOD_QUESTION: effects.of_first}
    if runs.worlds > 1:
        found[WORLD] = means.of_second - effects.of_second / n
        found[METHOD_WORLD] = means.rest - effects.rest / n
        found |= {WORLD_QUESTION: effects.of_second, METHOD_WORLD_QUESTION: effects.rest}
    of_seeds = _together(runs) if together else _nested(runs)
    for effect, variance in of_seeds.items():
        holder = (SEEDS_OF_WORLDS if runs.worlds > 1 else SEEDS_OF_METHODS).get(effect)
        if holder:
            found[holder] -= variance / runs.seeds
    return found | of_seeds


def with_judge(found: Components, noise: float) -> Components:
    """The judge's noise in a question's value, apart from the rest that it is estimated in."""
    holder = next(e for e in (RESIDUAL, METHOD_WORLD_QUESTION, METHOD_QUESTION) if e in found)
    return found | {holder: found[holder] - noise, JUDGE: noise}


def of_mean(effect: Effect, variance: float, runs: Runs) -> float:
    """What a component is of the variance of a method's mean."""
    worlds = runs.worlds if effect.of_worlds else 1
    seeds = runs.seeds if effect.of_seeds else 1
    return variance / worlds / seeds / (runs.questions if effect.of_questions else 1)


class _Crossed(NamedTuple):
    """Components of two crossed factors: what is in all cells, in those of a level of one of them, in one."""

    both: float
    of_first: float
    of_second: float
    rest: float


def _crossed(x: Floats) -> _Crossed:
    """Of cells [A, B], summed over the last axis of x [A, B, N]; a factor of one level has no component."""
    a, b = x.shape[:2]
    grand = x.mean((0, 1))
    first, second = x.mean(1) - grand, x.mean(0) - grand
    rest = x - grand - first[:, None] - second
    df_first, df_second = max(a - 1, 1), max(b - 1, 1)
    of_all = a * b * float((grand**2).sum())
    of_first = b * float((first**2).sum()) / df_first
    of_second = a * float((second**2).sum()) / df_second
    left = float((rest**2).sum()) / df_first / df_second
    both = (of_all - of_first - of_second + left) / (a * b)
    return _Crossed(both, (of_first - left) / b, (of_second - left) / a, left)


def _nested(runs: Runs) -> Components:
    """Pooled over the methods and base models that have several seeds."""
    df = float((runs.counts - 1).sum())
    if not df:
        return {}
    spread, of_questions = (
        sum(float(((x - x.mean(0)) ** 2).sum()) for own in cells for x in own) / df
        for cells in (runs.means, runs.effects)
    )
    return {SEED: spread - of_questions / runs.questions, RESIDUAL: of_questions}


def _together(runs: Runs) -> Components:
    """Seeds crossed with methods, pooled over the base models that have several."""
    df, n, found = float((runs.counts[0] - 1).sum()), runs.questions, Components()
    for world, seeds in enumerate(runs.counts[0]):
        if seeds < 2:
            continue
        means = _crossed(np.array([own[world] for own in runs.means])[..., None])
        effects = _crossed(np.array([own[world] for own in runs.effects]))
        here = {
            REFERENCE: means.of_second - effects.of_second / n,
            SEED: means.rest - effects.rest / n,
            REFERENCE_QUESTION: effects.of_second,
            RESIDUAL: effects.rest,
        }
        found = {e: found.get(e, 0.0) + v * (seeds - 1) / df for e, v in here.items()}
    return found
