"""The training loop: one gradient for any micro-batch, also where a loss needs a mean over the whole step."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from synthetic import (
    EVERYTHING,
    Gradient,
    assert_same_gradient,
    batch_of,
    gradient_of,
    tiny_policy,
    world,
    written,
)
from torch import Tensor

import methods
from harness.examples import Examples
from harness.train import Loop
from methods.api import Batch, Method, Needs, Reads, Terms, Training, example_mean, seq_mean


@dataclass(frozen=True)
class Nothing:
    """No hyper-parameters."""


def score(batch: Batch) -> Tensor:
    """Mean log-prob of each response. [B]"""
    return seq_mean(batch.chosen.logps("policy"), batch.chosen)


def from_step_mean(batch: Batch, hp: Nothing) -> Terms:
    """Variance over the step, as a method must write it."""
    return {"spread": example_mean((score(batch) - batch.step_means["score"]) ** 2, batch)}


def from_own_mean(batch: Batch, hp: Nothing) -> Terms:
    """The same, centred on the micro-batch, as it must not be written."""
    return {"spread": example_mean((score(batch) - score(batch).mean().detach()) ** 2, batch)}


SPREAD = Method(
    name="Spread",
    paper="none",
    hparams=Nothing(),
    training=Training(lr=1e-3),
    needs=lambda hp: Needs({"chosen": Reads(logps=("policy",))}),
    loss=from_step_mean,
    step_stats=lambda batch, hp: {
        "score": (score(batch).sum(), torch.tensor(len(score(batch)), dtype=torch.float32))
    },
)


def through_the_loop(
    method: Method, examples: Examples, tokens: int
) -> tuple[int, dict[str, float], Gradient]:
    """Micro-batches, terms and gradient of one step of the training loop."""
    policy = tiny_policy()
    loop = Loop(method, method.hparams, policy, examples, Accelerator(cpu=True), tokens)
    terms = loop.gradient(EVERYTHING)
    return len(loop.parts(EVERYTHING)), terms, gradient_of(policy)


@pytest.mark.parametrize("method", [SPREAD, *methods.registry().values()], ids=lambda m: m.name)
def test_the_loop_has_one_gradient_for_any_micro_batch(method: Method, tmp_path: Path) -> None:
    """Also for a method that needs the mean of a score over the whole step."""
    examples = written(world(), tmp_path, method.needs(method.hparams))
    whole, terms, gradient = through_the_loop(method, examples, tokens=10_000)
    single, single_terms, single_gradient = through_the_loop(method, examples, tokens=1)
    assert (whole, single) == (1, len(EVERYTHING))
    assert_same_gradient(single_gradient, gradient, 1e-6)
    assert single_terms == pytest.approx(terms, rel=1e-6, abs=1e-6)


def test_a_step_mean_is_that_of_the_whole_step(tmp_path: Path) -> None:
    """The spread is the variance of the eight scores."""
    examples = written(world(), tmp_path, SPREAD.needs(SPREAD.hparams))
    _, terms, _ = through_the_loop(SPREAD, examples, tokens=1)
    with torch.no_grad():
        scores = score(batch_of(tiny_policy(), examples, EVERYTHING, SPREAD.hparams, EVERYTHING))
    assert terms["spread"] == pytest.approx(float(scores.var(correction=0)), rel=1e-5)


def test_a_mean_over_the_micro_batch_is_caught(tmp_path: Path) -> None:
    wrong = replace(SPREAD, loss=from_own_mean, step_stats=None)
    examples = written(world(), tmp_path, wrong.needs(wrong.hparams))
    _, _, gradient = through_the_loop(wrong, examples, tokens=10_000)
    _, _, single_gradient = through_the_loop(wrong, examples, tokens=20)
    with pytest.raises(AssertionError):
        assert_same_gradient(single_gradient, gradient, 1e-6)
