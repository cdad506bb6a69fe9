"""Every loss against its naive twin, value and gradient of every parameter.

A comparison that a wrong formula passes would prove nothing: wrong formulas are compared too, and must fail.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from synthetic import ANSWERS, TOP, assert_same_gradient, step_of, supports, tiny_policy, world, written
from torch import Tensor
from twins import TWINS, twin_of

import methods
from methods import adpa, dpo
from methods.api import Method, Reads
from methods.batch import Batch, Chunk, Statistic, Terms, View
from methods.formulas import teacher_kl

WEIGHT = 0.7  # of a teacher's term, and DPO's beta: far from where a mistake would be small


# The comparison


def strong(hp: Any) -> Any:
    """With a weight at which every term is as large as the next."""
    weights = {name: WEIGHT for name in ("alpha", "beta", "gamma_beta") if name in vars(hp)}
    return replace(hp, **weights)


CASES = [(method, strong(hp)) for method in methods.registry().values() for hp in supports(method)]


def compare(method: Method, hp: Any, folder: Path) -> None:
    """AssertionError unless the method's terms and gradient, in two micro-batches, are its twin's. What runs
    over V and the sums are float32: some eps = 1.2e-7 of the largest addend.
    """
    examples = written(world(), folder, method.needs(hp))
    half = len(ANSWERS) // 2
    parts = [list(range(half)), list(range(half, len(ANSWERS)))]
    terms, gradient = step_of(method, hp, tiny_policy(), examples, parts)
    expected, expected_gradient = twin_of(method.name, hp)
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name].double(), value, rtol=3e-6, atol=0, msg=name)
    assert_same_gradient(gradient, expected_gradient, 3e-6)


def case_id(value: Any) -> str:
    return value.name if isinstance(value, Method) else str(getattr(value, "support", "plain"))


@pytest.mark.parametrize("method, hp", CASES, ids=case_id)
def test_a_loss_and_its_twin_agree(method: Method, hp: Any, tmp_path: Path) -> None:
    compare(method, hp, tmp_path)


# Mutants: what every method could have wrong


def with_view(method: Method, name: str, change: Callable[[View], View]) -> Method:
    """The method with one of its views changed."""

    def mutant(batch: Batch, hp: Any) -> Terms:
        views = {n: change(view) if n == name else view for n, view in batch.views.items()}
        return method.loss(replace(batch, views=views), hp)

    return replace(method, loss=mutant)


def shifted(view: View) -> View:
    """The mask one position early: from the prompt's last token to the last but one."""
    return replace(view, mask=view.mask.roll(-1, dims=-1))


def without_last(view: View) -> View:
    """The mask without the last token of each response, where there is another."""
    last = view.mask & (view.mask.flip(-1).cumsum(-1).flip(-1) == 1) & (view.mask.sum(-1, keepdim=True) > 1)
    return replace(view, mask=view.mask & ~last)


def summed(view: View) -> View:
    """A sum where a mean belongs."""
    return replace(view, step_tokens=1)


def own_count(view: View) -> View:
    """The micro-batch's count in place of the step's."""
    return replace(view, step_tokens=int(view.mask.sum()))


def with_term(method: Method, name: str, change: Callable[[Tensor], Tensor]) -> Method:
    """The method with one of its terms changed."""

    def mutant(batch: Batch, hp: Any) -> Terms:
        return {n: change(x) if n == name else x for n, x in method.loss(batch, hp).items()}

    return replace(method, loss=mutant)


def general_mutants(method: Method, hp: Any) -> Iterator[tuple[str, Method]]:
    """Mistakes that any method could contain, in one term or one view."""
    for name in twin_of(method.name, hp)[0]:
        yield f"{name} dropped", with_term(method, name, lambda x: 0 * x)
        yield f"{name} with the wrong sign", with_term(method, name, lambda x: -x)
        yield f"{name} twice", with_term(method, name, lambda x: 2 * x)
        yield f"{name} without gradient", with_term(method, name, lambda x: x.detach() + 0 * x)
    for name in method.needs(hp).views:
        yield f"{name}: mask one early", with_view(method, name, shifted)
        yield f"{name}: last token left out", with_view(method, name, without_last)


@pytest.mark.parametrize("method, hp", CASES, ids=case_id)
def test_a_mistake_that_any_loss_could_contain_is_found(method: Method, hp: Any, tmp_path: Path) -> None:
    for number, (what, mutant) in enumerate(general_mutants(method, hp)):
        with pytest.raises(AssertionError):
            compare(mutant, hp, tmp_path / str(number))
            pytest.fail(f"not found: {what}")


# Mutants: what these formulas could have wrong


def with_statistic(
    method: Method, old: Statistic, of: Callable[[Chunk, Any], Tensor], **changes: Any
) -> Method:
    """The method with another function, or other reads, behind one of its statistics."""
    new = replace(old, of=of, **changes)

    def needs(hp: Any) -> Any:
        declared = method.needs(hp)
        views = {
            name: Reads(tuple(new if s == old else s for s in reads.stats), reads.logps)
            for name, reads in declared.views.items()
        }
        return replace(declared, views=views)

    def loss(batch: Batch, hp: Any) -> Terms:
        views = {
            name: replace(view, statistics={old if s == new else s: x for s, x in view.statistics.items()})
            for name, view in batch.views.items()
        }
        return method.loss(replace(batch, views=views), hp)

    return replace(method, needs=needs, loss=loss)


def wrong_counts(method: Method, *views: str) -> Iterator[tuple[str, Method]]:
    """What a token mean can divide by in place of the step's tokens."""
    for view in views:
        yield f"{view}: sums", with_view(method, view, summed)
        yield f"{view}: counts of the micro-batch", with_view(method, view, own_count)


def mean_of_means(view: View) -> Tensor:
    """Mean over each response, then over responses."""
    x = torch.where(view.mask, view.logps("policy"), 0).sum(-1) / view.mask.sum(-1)
    return x.sum() / len(ANSWERS)


def sums(view: View, role: Any) -> Tensor:
    return torch.where(view.mask, view.logps(role), 0).sum(-1)


def dpo_of(h: Callable[[View, View], Tensor], count: int = len(ANSWERS)) -> Method:
    """DPO with another margin, or another count."""

    def mutant(batch: Batch, hp: Any) -> Terms:
        margin = h(batch.chosen, batch.rejected)
        return {"dpo": -torch.nn.functional.logsigmoid(hp.beta * margin).sum() / count}

    return replace(dpo.METHOD, loss=mutant)


def ratio(view: View) -> Tensor:
    return sums(view, "policy") - sums(view, "ref")


def length(view: View) -> Tensor:
    return view.mask.sum(-1)


def reversed_kl(at: Chunk, hp: Any) -> Tensor:
    return (at.policy.exp() * (at.policy - at.teacher)).sum(-1)


def cross_entropy(at: Chunk, hp: Any) -> Tensor:
    """The value differs by the teacher's entropy, the gradient does not."""
    return -(at.teacher.exp() * at.policy).sum(-1)


def of_teacher_ref(at: Chunk, hp: Any) -> Tensor:
    return (at.teacher_ref.exp() * (at.teacher_ref - at.policy)).sum(-1)


def kd_mutants(method: Method, *views: str) -> Iterator[tuple[str, Method]]:
    yield "KL the other way round", with_statistic(method, teacher_kl, reversed_kl)
    yield "cross-entropy for KL", with_statistic(method, teacher_kl, cross_entropy)
    yield "the SFT teacher", with_statistic(method, teacher_kl, of_teacher_ref, reads=("teacher_ref",))
    yield from wrong_counts(method, *views)


def advantage_mutants(method: Method) -> Iterator[tuple[str, Method]]:
    def of(weight: Callable[[Chunk], Tensor]) -> Callable[[Chunk, Any], Tensor]:
        return lambda at, hp: (weight(at) * hp.gamma_beta * (at.teacher - at.teacher_ref)).sum(-1)

    def realised(at: Chunk) -> Tensor:
        return torch.nn.functional.one_hot(at.realised, at.policy.shape[-1]) * at.policy.exp()

    def no_reference(at: Chunk, hp: Any) -> Tensor:
        return (at.policy.exp() * hp.gamma_beta * at.teacher).sum(-1)

    def clipped(at: Chunk, hp: Any) -> Tensor:
        return (at.policy.exp() * hp.gamma_beta * (at.teacher - at.teacher_ref).clamp(0, 1)).sum(-1)

    stat = adpa.expected_advantage
    yield "the realised token alone", with_statistic(method, stat, of(realised))
    yield "log-probs for probabilities", with_statistic(method, stat, of(lambda at: at.policy))
    yield "the teacher's probabilities", with_statistic(method, stat, of(lambda at: at.teacher.exp()))
    yield "no reference teacher", with_statistic(method, stat, no_reference)
    yield "a clipped advantage", with_statistic(method, stat, clipped)
    yield from wrong_counts(method, "chosen", "student_rollout")


def nll_mutants(method: Method, term: str, view: str) -> Iterator[tuple[str, Method]]:
    def loss(batch: Batch, hp: Any) -> Terms:
        return {term: -mean_of_means(getattr(batch, view))}

    yield "mean of means", replace(method, loss=loss)
    yield from wrong_counts(method, view)


def dpo_mutants() -> Iterator[tuple[str, Method]]:
    yield "no reference", dpo_of(lambda w, r: sums(w, "policy") - sums(r, "policy"))
    yield "the wrong way round", dpo_of(lambda w, r: ratio(r) - ratio(w))
    yield "added", dpo_of(lambda w, r: ratio(w) + ratio(r))
    yield "mean log-probs", dpo_of(lambda w, r: ratio(w) / length(w) - ratio(r) / length(r))
    yield "pairs mixed up", dpo_of(lambda w, r: ratio(w) - ratio(r).flip(0))
    yield "sum over pairs", dpo_of(lambda w, r: ratio(w) - ratio(r), count=1)
    yield "beta twice", dpo_of(lambda w, r: WEIGHT * (ratio(w) - ratio(r)))


MUTANTS: dict[str, Callable[[Method], Iterator[tuple[str, Method]]]] = {
    "SFT": lambda method: nll_mutants(method, "sft", "chosen"),
    "DPO": lambda method: dpo_mutants(),
    "VanillaKD": lambda method: kd_mutants(method, "chosen"),
    "SeqKD": lambda method: nll_mutants(method, "seqkd", "teacher_rollout"),
    "DCKD": lambda method: kd_mutants(method, "chosen", "rejected"),
    "ADPA": advantage_mutants,
    "ADPA+": advantage_mutants,
}


@pytest.mark.parametrize("method, hp", CASES, ids=case_id)
def test_a_mistake_in_its_own_formula_is_found(method: Method, hp: Any, tmp_path: Path) -> None:
    for number, (what, mutant) in enumerate(MUTANTS[method.name](method)):
        with pytest.raises(AssertionError):
            compare(mutant, hp, tmp_path / str(number))
            pytest.fail(f"not found: {what}")


@pytest.mark.parametrize("method, hp", [c for c in CASES if getattr(c[1], "support", "") == TOP], ids=case_id)
def test_a_mistake_about_the_rest_bucket_is_found(method: Method, hp: Any, tmp_path: Path) -> None:
    """KLs count it, the expected advantage does not."""
    stats = {s for reads in method.needs(hp).views.values() for s in reads.stats}
    for stat in stats:
        with pytest.raises(AssertionError):
            compare(with_statistic(method, stat, stat.of, rest=not stat.rest), hp, tmp_path / stat.name)


def test_every_method_has_a_twin_and_mutants() -> None:
    assert TWINS.keys() == MUTANTS.keys() == {m.name for m in methods.BUILT_IN}


def test_the_unchanged_dpo_passes_where_its_mutants_fail(tmp_path: Path) -> None:
    """What the mutants of DPO differ from is DPO."""
    compare(dpo_of(lambda w, r: ratio(w) - ratio(r)), dpo.DPO(beta=WEIGHT), tmp_path)


def test_the_unchanged_advantage_passes_where_its_mutants_fail(tmp_path: Path) -> None:
    same = with_statistic(adpa.METHOD, adpa.expected_advantage, adpa.expected_advantage.of)
    compare(same, adpa.ADPA(gamma_beta=WEIGHT), tmp_path)
