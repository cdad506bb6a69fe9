"""What must hold for every method of the registry, on a real model with hidden states and a padded head."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

import methods
from harness.models.policy import Inputs, Policy, Scored
from harness.train.examples import Examples
from methods.api import Method, Needs
from methods.batch import Batch, MissingSignal, Role, ScoreName, Statistic, Terms, ViewName
from methods.kernels.token_statistics import Hidden, TopK
from tests.methods.synthetic import (
    EVERYTHING,
    VOCAB,
    Gradient,
    assert_same_gradient,
    batch_of,
    case_id,
    computations,
    gradient_of,
    means_of,
    policy_for,
    rounding,
    step_of,
    world,
    written,
)

SPLIT = [[3, 0], [1, 6, 4], [7], [2, 5]]
CASES = computations()
every_case = pytest.mark.parametrize("method, hp", CASES, ids=[case_id(m, hp) for m, hp in CASES])


def examples_of(method: Method, hp: Any, folder: Path, scale: float = 1.0) -> Examples:
    """The test world as the method reads it."""
    return written(world(scale), folder, method.needs(hp))


def result(method: Method, hp: Any, policy: Policy, batch: Batch, every: Batch) -> tuple[Terms, Gradient]:
    """Terms and gradient of a batch that is the whole step, where `every` holds what is stored."""
    policy.zero_grad()
    terms = method.loss(replace(batch, means=means_of(method, hp, batch, every)), hp)
    torch.stack(list(terms.values())).sum().backward()
    return {name: value.detach() for name, value in terms.items()}, gradient_of(policy)


# One gradient, however a step is cut


@every_case
def test_micro_batches_add_up_to_the_step(method: Method, hp: Any, tmp_path: Path) -> None:
    """8 examples at once and as 2 + 3 + 1 + 2, terms and gradient. The loss sums 24 float32 numbers, which in
    any order agree to some eps = 1.2e-7 of the largest.
    """
    policy, examples = policy_for(method, hp), examples_of(method, hp, tmp_path)
    terms, gradient = step_of(method, hp, policy, examples, [EVERYTHING])
    parts_terms, parts_gradient = step_of(method, hp, policy, examples, SPLIT)
    assert_same_gradient(parts_gradient, gradient, rounding(hp))
    torch.testing.assert_close(parts_terms, terms, rtol=rounding(hp), atol=rounding(hp))


@every_case
def test_chunks_and_recomputation_change_nothing(method: Method, hp: Any, tmp_path: Path) -> None:
    examples = examples_of(method, hp, tmp_path)
    _, small = step_of(method, hp, policy_for(method, hp, chunk=5, recompute=True), examples, [EVERYTHING])
    _, whole = step_of(
        method, hp, policy_for(method, hp, chunk=1000, recompute=False), examples, [EVERYTHING]
    )
    assert_same_gradient(small, whole, rounding(hp))


# What is not declared does not exist


def every_statistic() -> set[Statistic]:
    return {s for method, hp in CASES for reads in method.needs(hp).views.values() for s in reads.stats}


@every_case
def test_a_batch_holds_nothing_but_what_the_method_declares(method: Method, hp: Any, tmp_path: Path) -> None:
    declared = method.needs(hp).views
    examples = examples_of(method, hp, tmp_path)
    batch = batch_of(policy_for(method, hp), examples, EVERYTHING, hp, EVERYTHING)
    for name in get_args(ViewName):
        if name not in declared:
            with pytest.raises(MissingSignal, match=name):
                getattr(batch, name)
            continue
        view, reads = getattr(batch, name), declared[name]
        for role in set(get_args(Role)) - set(reads.logps):
            with pytest.raises(MissingSignal, match=role):
                view.logps(role)
        for role in set(get_args(Role)) - set(reads.values):
            with pytest.raises(MissingSignal, match=role):
                view.values(role)
        for score in set(get_args(ScoreName)) - set(reads.scores):
            with pytest.raises(MissingSignal, match=score):
                view.scores(score)
        for statistic in every_statistic() - set(reads.stats):
            with pytest.raises(MissingSignal, match=statistic.name):
                view[statistic]


@every_case
def test_what_is_known_before_training_does_not_hold_the_policy(
    method: Method, hp: Any, tmp_path: Path
) -> None:
    """What `set_stats` is given: of the policy no log-probs, no state values and no statistics."""
    stored = examples_of(method, hp, tmp_path).stored(EVERYTHING)
    for name, reads in method.needs(hp).views.items():
        view = stored.view(name)
        assert set(view.token_logps) == set(reads.logps) - {"policy"}
        assert set(view.state_values) == set(reads.values) - {"policy"}
        assert not view.statistics


def weaker(needs: Needs) -> Iterator[Needs]:
    """`needs` with one statistic, one role's log-probs, one role's values or one kind of scores less."""
    for name, reads in needs.views.items():
        for what in ("stats", "logps", "values", "scores"):
            declared = getattr(reads, what)
            for gone in declared:
                less = replace(reads, **{what: tuple(d for d in declared if d != gone)})
                yield replace(needs, views={**needs.views, name: less})


def read_all(method: Method, hp: Any, batch: Batch, stored: Batch) -> None:
    """Call all that a method is: its loss, and its means over a step, a set and a probe."""
    method.loss(batch, hp)
    for stats, of in ((method.step_stats, batch), (method.set_stats, stored), (method.watch, batch)):
        if stats:
            stats(of, hp)


@every_case
def test_a_method_reads_all_that_it_declares(method: Method, hp: Any, tmp_path: Path) -> None:
    """With any one declaration less, a view or what is read of it, its numbers cannot be computed."""
    policy, needs = policy_for(method, hp), method.needs(hp)
    examples = written(world(), tmp_path / "whole", needs)
    whole, stored = batch_of(policy, examples, EVERYTHING, hp, EVERYTHING), examples.stored(EVERYTHING)
    means = means_of(method, hp, whole, stored)
    whole = replace(whole, means=means)
    read_all(method, hp, whole, stored)
    for name in needs.views:
        views = {n: v for n, v in whole.views.items() if n != name}
        with pytest.raises(MissingSignal, match=name):
            read_all(method, hp, replace(whole, views=views), stored)
    for number, less in enumerate(weaker(needs)):
        examples = written(world(), tmp_path / str(number), less)
        batch = batch_of(policy, examples, EVERYTHING, hp, EVERYTHING, means)
        with pytest.raises(MissingSignal):
            read_all(method, hp, batch, examples.stored(EVERYTHING))


@every_case
def test_a_loss_needs_all_the_means_that_its_method_declares(method: Method, hp: Any, tmp_path: Path) -> None:
    """A mean that no loss reads would be computed for nothing: an extra forward pass a step."""
    policy, examples = policy_for(method, hp), examples_of(method, hp, tmp_path)
    batch = batch_of(policy, examples, EVERYTHING, hp, EVERYTHING)
    means = means_of(method, hp, batch, examples.stored(EVERYTHING))
    for gone in means:
        less = {name: mean for name, mean in means.items() if name != gone}
        with pytest.raises(KeyError, match=gone):
            method.loss(replace(batch, means=less), hp)


@every_case
def test_a_statistic_sees_only_the_models_that_it_names(method: Method, hp: Any, tmp_path: Path) -> None:
    """The signals are all there; a statistic that names one role less cannot read it."""
    policy, examples = policy_for(method, hp), examples_of(method, hp, tmp_path)
    for inputs in examples.inputs(EVERYTHING):
        for statistic in inputs.stats:
            for role in statistic.reads:
                less = replace(statistic, reads=tuple(r for r in statistic.reads if r != role))
                with pytest.raises(MissingSignal, match=role):
                    policy([replace(inputs, stats=[less])], hp)


# Gradient, padding, extremes


@every_case
def test_gradient_reaches_the_policy_and_nothing_else(method: Method, hp: Any, tmp_path: Path) -> None:
    policy, examples = policy_for(method, hp), examples_of(method, hp, tmp_path)
    inputs = [
        replace(view, signals={role: with_gradient(signal) for role, signal in view.signals.items()})
        for view in examples.inputs(EVERYTHING)
    ]
    leaves = [t for view in inputs for signal in view.signals.values() for t in tensors_of(signal)]
    batch = examples.batch(EVERYTHING, policy(inputs, hp), EVERYTHING)
    for view in batch.views.values():
        told = {**view.token_logps, **{f"value of {r}": x for r, x in view.state_values.items()}}
        assert all(x.requires_grad == name.endswith("policy") for name, x in told.items())
    _, gradient = result(method, hp, policy, batch, examples.stored(EVERYTHING))
    assert all(leaf.grad is None for leaf in leaves)
    assert all(bool(g.any()) for g in gradient.values())


def with_gradient(signal: Hidden | TopK) -> Hidden | TopK:
    """The signal in tensors of its own, to which a gradient could flow."""
    if isinstance(signal, TopK):
        return replace(signal, logprobs=leaf(signal.logprobs), rest=leaf(signal.rest))
    return Hidden(leaf(signal.states), replace(signal.head, weight=leaf(signal.head.weight)))


def leaf(x: Tensor) -> Tensor:
    return x.clone().requires_grad_()


def tensors_of(signal: Hidden | TopK) -> list[Tensor]:
    """What of a frozen model's signal could have a gradient."""
    if isinstance(signal, TopK):
        return [signal.logprobs, signal.rest]
    return [signal.states, signal.head.weight]


@every_case
def test_what_stands_behind_a_sequence_changes_nothing(method: Method, hp: Any, tmp_path: Path) -> None:
    """Padding of another length with other ids in it: the same terms and gradient."""
    policy, examples = policy_for(method, hp), examples_of(method, hp, tmp_path)

    def of(inputs: list[Inputs]) -> tuple[Terms, Gradient]:
        batch = examples.batch(EVERYTHING, policy(inputs, hp), EVERYTHING)
        return result(method, hp, policy, batch, examples.stored(EVERYTHING))

    terms, gradient = of(examples.inputs(EVERYTHING))
    noisy_terms, noisy_gradient = of([with_noise_behind(view) for view in examples.inputs(EVERYTHING)])
    torch.testing.assert_close(noisy_terms, terms, rtol=rounding(hp), atol=rounding(hp))
    assert_same_gradient(noisy_gradient, gradient, rounding(hp))


def with_noise_behind(view: Inputs) -> Inputs:
    """Three positions more, and random ids behind the last response token of every sequence."""
    draw = torch.Generator().manual_seed(1)
    ids, mask = (torch.nn.functional.pad(t, (0, 3)) for t in (view.ids, view.mask))
    behind = mask.flip(-1).cumsum(-1).flip(-1) == 0
    noisy = torch.where(behind, torch.randint(VOCAB, ids.shape, generator=draw), ids)
    return replace(view, mask=mask, ids=noisy, at=mask.flatten().nonzero()[:, 0])


@every_case
def test_values_off_the_mask_change_nothing(method: Method, hp: Any, tmp_path: Path) -> None:
    """NaN at prompts and padding in all that a view holds: the same terms and gradient."""
    policy, examples = policy_for(method, hp), examples_of(method, hp, tmp_path)
    stored = examples.stored(EVERYTHING)
    batch = batch_of(policy, examples, EVERYTHING, hp, EVERYTHING)
    terms, gradient = result(method, hp, policy, batch, stored)
    again = spoilt(batch_of(policy, examples, EVERYTHING, hp, EVERYTHING))
    spoilt_terms, spoilt_gradient = result(method, hp, policy, again, spoilt(stored))
    torch.testing.assert_close(spoilt_terms, terms, rtol=0, atol=0)
    assert_same_gradient(spoilt_gradient, gradient, 1e-9)


def spoilt(batch: Batch) -> Batch:
    """NaN off the mask of every view."""

    def nan(known: Mapping[Any, Tensor], mask: Tensor) -> dict[Any, Tensor]:
        return {name: torch.where(mask, x, torch.nan) for name, x in known.items()}

    views = {
        name: replace(
            view,
            statistics=nan(view.statistics, view.mask),
            token_logps=nan(view.token_logps, view.mask),
            state_values=nan(view.state_values, view.mask),
        )
        for name, view in batch.views.items()
    }
    return replace(batch, views=views)


@every_case
def test_two_examples_in_one_batch_say_what_each_says_alone(method: Method, hp: Any, tmp_path: Path) -> None:
    policy, examples = policy_for(method, hp), examples_of(method, hp, tmp_path)
    for pair in ([1, 0], [3, 5]):
        together = policy(examples.inputs(pair), hp)
        for place, example in enumerate(pair):
            for both, one in zip(together, policy(examples.inputs([example]), hp), strict=True):
                of_one = slice(place * len(one.mask), (place + 1) * len(one.mask))
                for ours, theirs in zip(numbers(both), numbers(one), strict=True):
                    found = ours[of_one][both.mask[of_one]]
                    torch.testing.assert_close(found, theirs[one.mask], rtol=1e-5, atol=1e-5)


def numbers(said: Scored) -> list[Tensor]:
    """All that a policy says of a view, each [B, T]."""
    return [said.logps, *said.statistics.values(), *([] if said.values is None else [said.values])]


@every_case
def test_losses_and_gradients_are_finite_at_logits_of_ten_thousand(
    method: Method, hp: Any, tmp_path: Path
) -> None:
    """Hidden states of the policy and of the frozen models are scaled until logits pass +-1e4."""
    policy, examples = policy_for(method, hp, torch.float32), examples_of(method, hp, tmp_path, scale=5e3)
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


def test_methods_of_packages_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look reads the metadata of all that is installed: most of the seconds of a plan of 500 steps."""
    looks, own = list[str](), replace(methods.registry()["DPO"], name="of a package")

    def looked(group: str) -> list[SimpleNamespace]:
        looks.append(group)
        return [SimpleNamespace(load=lambda: own)]

    monkeypatch.setattr(methods, "entry_points", looked)
    methods._packaged.cache_clear()
    try:
        assert [methods.registry()["of a package"] for _ in range(3)] == [own] * 3
    finally:
        methods._packaged.cache_clear()
    assert looks == ["bench.methods"]


def test_what_a_method_starts_from_is_the_student_or_another_entry() -> None:
    known = methods.registry()
    assert {m.starts_from for m in known.values()} <= {"Student", *known}
