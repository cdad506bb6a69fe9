"""What must hold for every method of the registry, on a real model with hidden states and a padded head."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from synthetic import (
    EVERYTHING,
    VOCAB,
    assert_same_gradient,
    batch_of,
    gradient_of,
    step_of,
    supports,
    tiny_policy,
    world,
    written,
)
from torch import Tensor

import methods
from harness.examples import Examples
from harness.policy import Inputs
from methods.api import (
    Method,
    MissingSignal,
    Needs,
    Role,
    Statistic,
    Terms,
    ViewName,
)
from methods.ops import Hidden, TopK

SPLIT = [[3, 0], [1, 6, 4], [7], [2, 5]]
CASES = [(method, hp) for method in methods.registry().values() for hp in supports(method)]
every_case = pytest.mark.parametrize(
    "method, hp", CASES, ids=[f"{m.name}-{getattr(hp, 'support', 'plain')}" for m, hp in CASES]
)


def examples_of(method: Method, hp: Any, folder: Path, scale: float = 1.0) -> Examples:
    """The test world as the method reads it."""
    return written(world(scale), folder, method.needs(hp))


# One gradient, however a step is cut


@every_case
def test_micro_batches_add_up_to_the_step(method: Method, hp: Any, tmp_path: Path) -> None:
    """8 examples at once and as 2 + 3 + 1 + 2, terms and gradient. The loss sums 24 float32 numbers, which in
    any order agree to some eps = 1.2e-7 of the largest.
    """
    policy, examples = tiny_policy(), examples_of(method, hp, tmp_path)
    terms, gradient = step_of(method, hp, policy, examples, [EVERYTHING])
    parts_terms, parts_gradient = step_of(method, hp, policy, examples, SPLIT)
    assert_same_gradient(parts_gradient, gradient, 1e-6)
    torch.testing.assert_close(parts_terms, terms, rtol=1e-6, atol=1e-6)


@every_case
def test_chunks_and_recomputation_change_nothing(method: Method, hp: Any, tmp_path: Path) -> None:
    examples = examples_of(method, hp, tmp_path)
    _, small = step_of(method, hp, tiny_policy(chunk=5, recompute=True), examples, [EVERYTHING])
    _, whole = step_of(method, hp, tiny_policy(chunk=1000, recompute=False), examples, [EVERYTHING])
    assert_same_gradient(small, whole, 1e-6)


# What is not declared does not exist


def every_statistic() -> set[Statistic]:
    return {s for method, hp in CASES for reads in method.needs(hp).views.values() for s in reads.stats}


@every_case
def test_a_batch_holds_nothing_but_what_the_method_declares(method: Method, hp: Any, tmp_path: Path) -> None:
    declared = method.needs(hp).views
    examples = examples_of(method, hp, tmp_path)
    batch = batch_of(tiny_policy(), examples, EVERYTHING, hp, EVERYTHING)
    for name in get_args(ViewName):
        if name not in declared:
            with pytest.raises(MissingSignal, match=name):
                getattr(batch, name)
            continue
        view, reads = getattr(batch, name), declared[name]
        for role in set(get_args(Role)) - set(reads.logps):
            with pytest.raises(MissingSignal, match=role):
                view.logps(role)
        for statistic in every_statistic() - set(reads.stats):
            with pytest.raises(MissingSignal, match=statistic.name):
                view[statistic]


def weaker(needs: Needs) -> Iterator[Needs]:
    """`needs` with one statistic or one role's log-probs less."""
    for name, reads in needs.views.items():
        less = [replace(reads, stats=tuple(s for s in reads.stats if s != gone)) for gone in reads.stats]
        less += [replace(reads, logps=tuple(r for r in reads.logps if r != gone)) for gone in reads.logps]
        yield from (replace(needs, views={**needs.views, name: reads}) for reads in less)


@every_case
def test_a_loss_reads_all_that_its_method_declares(method: Method, hp: Any, tmp_path: Path) -> None:
    """With any one declaration less, a view or what is read of it, the loss cannot be computed."""
    policy, needs = tiny_policy(), method.needs(hp)
    whole = batch_of(policy, written(world(), tmp_path / "whole", needs), EVERYTHING, hp, EVERYTHING)
    for name in needs.views:
        views = {n: v for n, v in whole.views.items() if n != name}
        with pytest.raises(MissingSignal, match=name):
            method.loss(replace(whole, views=views), hp)
    for number, less in enumerate(weaker(needs)):
        examples = written(world(), tmp_path / str(number), less)
        with pytest.raises(MissingSignal):
            method.loss(batch_of(policy, examples, EVERYTHING, hp, EVERYTHING), hp)


@every_case
def test_a_statistic_sees_only_the_models_that_it_names(method: Method, hp: Any, tmp_path: Path) -> None:
    """The signals are all there; a statistic that names one role less cannot read it."""
    policy, examples = tiny_policy(), examples_of(method, hp, tmp_path)
    for inputs in examples.inputs(EVERYTHING):
        for statistic in inputs.stats:
            for role in statistic.reads:
                less = replace(statistic, reads=tuple(r for r in statistic.reads if r != role))
                with pytest.raises(MissingSignal, match=role):
                    policy([replace(inputs, stats=[less])], hp)


# Gradient, padding, extremes


@every_case
def test_gradient_reaches_the_policy_and_nothing_else(method: Method, hp: Any, tmp_path: Path) -> None:
    policy, examples = tiny_policy(), examples_of(method, hp, tmp_path)
    inputs = examples.inputs(EVERYTHING)
    leaves = [t for view in inputs for signal in view.signals.values() for t in tensors_of(signal)]
    for leaf in leaves:
        leaf.requires_grad_()
    terms = method.loss(examples.batch(EVERYTHING, policy(inputs, hp), EVERYTHING), hp)
    torch.stack(list(terms.values())).sum().backward()
    assert all(leaf.grad is None for leaf in leaves)
    assert all(bool(g.any()) for g in gradient_of(policy).values())


def tensors_of(signal: Hidden | TopK) -> list[Tensor]:
    """What of a frozen model's signal could have a gradient."""
    if isinstance(signal, TopK):
        return [signal.logprobs, signal.rest]
    return [signal.states, signal.head.weight]


@every_case
def test_what_stands_behind_a_sequence_changes_nothing(method: Method, hp: Any, tmp_path: Path) -> None:
    """Padding of another length with other ids in it: the same terms and gradient."""
    policy, examples = tiny_policy(), examples_of(method, hp, tmp_path)

    def result(inputs: list[Inputs]) -> tuple[Terms, dict[str, Tensor]]:
        policy.zero_grad()
        terms = method.loss(examples.batch(EVERYTHING, policy(inputs, hp), EVERYTHING), hp)
        torch.stack(list(terms.values())).sum().backward()
        return {name: value.detach() for name, value in terms.items()}, gradient_of(policy)

    terms, gradient = result(examples.inputs(EVERYTHING))
    noisy_terms, noisy_gradient = result([with_noise_behind(view) for view in examples.inputs(EVERYTHING)])
    torch.testing.assert_close(noisy_terms, terms, rtol=1e-6, atol=1e-6)
    assert_same_gradient(noisy_gradient, gradient, 1e-6)


def with_noise_behind(view: Inputs) -> Inputs:
    """Three positions more, and random ids behind the last response token of every sequence."""
    draw = torch.Generator().manual_seed(1)
    ids, mask = (torch.nn.functional.pad(t, (0, 3)) for t in (view.ids, view.mask))
    behind = mask.flip(-1).cumsum(-1).flip(-1) == 0
    return replace(
        view, mask=mask, ids=torch.where(behind, torch.randint(VOCAB, ids.shape, generator=draw), ids)
    )


@every_case
def test_values_off_the_mask_change_nothing(method: Method, hp: Any, tmp_path: Path) -> None:
    """NaN at prompts and padding in every statistic and log-prob: the same terms and gradient."""
    policy, examples = tiny_policy(), examples_of(method, hp, tmp_path)
    terms, gradient = step_of(method, hp, policy, examples, [EVERYTHING])
    policy.zero_grad()
    batch = batch_of(policy, examples, EVERYTHING, hp, EVERYTHING)
    spoilt = {
        name: replace(
            view,
            statistics={s: torch.where(view.mask, x, torch.nan) for s, x in view.statistics.items()},
            token_logps={r: torch.where(view.mask, x, torch.nan) for r, x in view.token_logps.items()},
        )
        for name, view in batch.views.items()
    }
    found = method.loss(replace(batch, views=spoilt), hp)
    torch.stack(list(found.values())).sum().backward()
    torch.testing.assert_close(found, terms, rtol=0, atol=0)
    assert_same_gradient(gradient_of(policy), gradient, 1e-9)


@every_case
def test_two_sequences_in_one_batch_say_what_each_says_alone(method: Method, hp: Any, tmp_path: Path) -> None:
    policy, examples = tiny_policy(), examples_of(method, hp, tmp_path)
    for long, short in [(1, 0), (3, 5)]:
        together = policy(examples.inputs([long, short]), hp)
        for row, alone in enumerate([policy(examples.inputs([i]), hp) for i in (long, short)]):
            for both, one in zip(together, alone, strict=True):
                for name in one.statistics:
                    ours, theirs = both.statistics[name][row][both.mask[row]], one.statistics[name][one.mask]
                    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
                torch.testing.assert_close(
                    both.logps[row][both.mask[row]], one.logps[one.mask], rtol=1e-5, atol=1e-5
                )


@every_case
def test_losses_and_gradients_are_finite_at_logits_of_ten_thousand(
    method: Method, hp: Any, tmp_path: Path
) -> None:
    """Hidden states of the policy and of the frozen models are scaled until logits pass +-1e4."""
    policy, examples = tiny_policy(torch.float32), examples_of(method, hp, tmp_path, scale=5e3)
    with torch.no_grad():
        policy.model.model.norm.weight.mul_(5e3)
    inputs = examples.inputs(EVERYTHING)
    logits = [policy.model(view.ids).logits for view in inputs]
    logits += [s.head.logits(s.states) for v in inputs for s in v.signals.values() if isinstance(s, Hidden)]
    assert all(z.max() > 1e4 and z.min() < -1e4 for z in logits)
    terms, gradient = step_of(method, hp, policy, examples, [EVERYTHING])
    assert all(bool(t.isfinite()) for t in terms.values())
    assert all(bool(g.isfinite().all()) for g in gradient.values())


# The registry itself


def test_a_name_that_is_not_there_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="'ADAP'; did you mean 'ADPA'"):
        methods.get("ADAP", methods.registry())


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="registered twice: DPO"):
        methods.registry([methods.registry()["DPO"]])


def test_what_a_method_starts_from_is_the_student_or_another_entry() -> None:
    known = methods.registry()
    assert {m.starts_from for m in known.values()} <= {"Student", *known}
