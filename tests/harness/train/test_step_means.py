"""The training loop: one gradient for any micro-batch, also where a loss needs a mean over the whole step or
set.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from harness.train.examples import Examples
from harness.train.loop import Loop
from harness.train.micro_batches.room import Room
from methods.api import Method, Needs, Reads, Training
from methods.batch import Batch, Terms, example_mean, seq_mean
from tests.methods.synthetic import (
    EVERYTHING,
    Gradient,
    assert_same_gradient,
    batch_of,
    computations,
    gradient_of,
    policy_for,
    rounding,
    tiny_policy,
    world,
    written,
)


@dataclass(frozen=True)
class Nothing:
    """No hyper-parameters."""


def score(batch: Batch) -> Tensor:
    """Mean log-prob of each response. [B]"""
    return seq_mean(batch.chosen.logps("policy"), batch.chosen)


def from_step_mean(batch: Batch, hp: Nothing) -> Terms:
    """Variance over the step, as a method must write it."""
    return {"spread": example_mean((score(batch) - batch.means["score"]) ** 2, batch)}


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
    policy = policy_for(method, method.hparams)
    loop = Loop(
        method, method.hparams, policy, examples, Accelerator(cpu=True), Room(tokens)
    ).with_set_means()
    terms = loop.gradient(EVERYTHING)
    return len(loop.micro_batches(EVERYTHING)), terms, gradient_of(policy)


AS_REGISTERED = [method for method, _ in computations(lambda method: [method.hparams])]


@pytest.mark.parametrize("method", [SPREAD, *AS_REGISTERED], ids=lambda m: m.name)
def test_the_loop_has_one_gradient_for_any_micro_batch(method: Method, tmp_path: Path) -> None:
    """Also for a method that needs the mean of a score over the whole step, and for the frozen buffer of one
    that samples.
    """
    tolerance = rounding(method.hparams)
    examples = written(world(), tmp_path, method.needs(method.hparams))
    whole, terms, gradient = through_the_loop(method, examples, tokens=10_000)
    single, single_terms, single_gradient = through_the_loop(method, examples, tokens=1)
    assert (whole, single) == (1, len(EVERYTHING))
    assert_same_gradient(single_gradient, gradient, tolerance)
    assert single_terms == pytest.approx(terms, rel=tolerance, abs=tolerance)


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


# Means over the set


def distance(batch: Batch, hp: Nothing) -> Terms:
    """From the mean over the set, of what is trained and of what was there before."""
    means = batch.means
    return {"far": example_mean((score(batch) - means["score"] - means["ref"]) ** 2, batch)}


def of_reference(batch: Batch, hp: Nothing) -> dict[str, tuple[Tensor, Tensor]]:
    found = seq_mean(batch.chosen.logps("ref"), batch.chosen)
    return {"ref": (found.sum(), torch.tensor(len(found)))}


FAR = replace(
    SPREAD,
    needs=lambda hp: Needs({"chosen": Reads(logps=("policy", "ref"))}),
    loss=distance,
    set_stats=of_reference,
)


def test_a_set_mean_is_that_of_all_examples_whatever_the_step(tmp_path: Path) -> None:
    """A step of three examples knows the mean of all eight, and its own mean beside."""
    data = world()
    examples = written(data, tmp_path, FAR.needs(FAR.hparams))
    loop = Loop(FAR, FAR.hparams, tiny_policy(), examples, Accelerator(cpu=True), Room(20)).with_set_means()
    terms = loop.terms([1, 4, 6])

    answers = data.answers["chosen"]
    every = [
        float(sum(row[token] for row, token in zip(data.dense("chosen", "ref", i), answers[i], strict=True)))
        / len(answers[i])
        for i in EVERYTHING
    ]
    with torch.no_grad():
        own = score(batch_of(tiny_policy(), examples, [1, 4, 6], FAR.hparams, [1, 4, 6])).double()
    expected = ((own - own.mean() - sum(every) / len(every)) ** 2).mean()
    assert terms["far"] == pytest.approx(float(expected), rel=1e-5)


def test_a_set_mean_does_not_depend_on_how_the_set_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and three examples at a time."""
    examples = written(world(), tmp_path, FAR.needs(FAR.hparams))
    loop = Loop(FAR, FAR.hparams, tiny_policy(), examples, Accelerator(cpu=True), Room(20))
    whole = loop.with_set_means().means
    monkeypatch.setattr("harness.train.loop.SCAN", 3)
    torch.testing.assert_close(loop.with_set_means().means, whole, rtol=1e-6, atol=0)
