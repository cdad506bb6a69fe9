"""What the methods' formulas have in common, and where they must agree."""

from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from methods import adpa, dckd, dpo, sft, vanillakd
from methods.api import Method
from methods.batch import Chunk, Role, Statistic, statistic
from methods.formulas import reverse_kl, teacher_kl
from methods.kernels.token_statistics import Head, Hidden, Signal, TopK, token_statistics
from tests.methods.kernels.memory_budgets import small_budget
from tests.methods.synthetic import (
    EVERYTHING,
    VOCAB,
    Gradient,
    assert_same_gradient,
    batch_of,
    gradient_of,
    step_of,
    tiny_policy,
    world,
    written,
)

N = 9


def result(method: Method, hp: Any, folder: Path) -> tuple[dict[str, Tensor], Gradient]:
    """Terms and gradient of the one step of the test world."""
    policy = tiny_policy()
    return step_of(method, hp, policy, written(world(), folder / method.name, method.needs(hp)), [EVERYTHING])


@pytest.mark.parametrize(
    "method, hp", [(dckd.METHOD, dckd.DCKD(alpha=0)), (adpa.METHOD, adpa.ADPA(gamma_beta=0))]
)
def test_without_its_teacher_terms_a_method_is_sft(method: Method, hp: Any, tmp_path: Path) -> None:
    """alpha = 0 for DCKD, gamma = 0 for ADPA: the same loss and gradient."""
    terms, gradient = result(method, hp, tmp_path)
    sft_terms, sft_gradient = result(sft.METHOD, sft.SFT(), tmp_path)
    assert float(sum(terms.values())) == pytest.approx(float(sft_terms["sft"]), rel=1e-6)
    assert_same_gradient(gradient, sft_gradient, 1e-6)


def test_dckd_without_its_dispreferred_term_is_vanillakd_with_sft(tmp_path: Path) -> None:
    def without(batch: Any, hp: dckd.DCKD) -> dict[str, Tensor]:
        return {name: x for name, x in dckd.loss(batch, hp).items() if name != "kd_rejected"}

    chosen_only = replace(dckd.METHOD, loss=without)
    terms, gradient = result(chosen_only, dckd.DCKD(alpha=0.7), tmp_path)
    kd_terms, kd_gradient = result(vanillakd.WITH_SFT, vanillakd.VanillaKD(alpha=0.7), tmp_path)
    assert [float(x) for x in terms.values()] == pytest.approx(
        [float(x) for x in kd_terms.values()], rel=1e-6
    )
    assert_same_gradient(gradient, kd_gradient, 1e-6)


def test_dpo_is_ln_two_where_the_policy_is_the_reference(tmp_path: Path) -> None:
    """And says so itself: at_start names that value."""
    hp = dpo.DPO(beta=0.5)
    examples = written(world(), tmp_path, dpo.METHOD.needs(hp))
    batch = batch_of(tiny_policy(), examples, EVERYTHING, hp, EVERYTHING)
    at_start = {
        name: replace(view, token_logps={**view.token_logps, "ref": view.logps("policy").detach()})
        for name, view in batch.views.items()
    }
    found = dpo.loss(replace(batch, views=at_start), hp)
    assert float(found["dpo"].detach()) == pytest.approx(log(2), rel=1e-6)
    assert dpo.METHOD.at_start(hp) == pytest.approx({"dpo": log(2)})
    assert float(dpo.loss(batch, hp)["dpo"].detach()) != pytest.approx(log(2), rel=1e-3)


# Of one state: gradients with respect to logits


def logits(seed: int) -> Tensor:
    """[N, VOCAB]"""
    return 2 * torch.randn(N, VOCAB, generator=torch.Generator().manual_seed(seed))


def signals_of(teacher: Tensor, teacher_ref: Tensor, k: int | None = None) -> dict[Role, Signal]:
    """Frozen models with these logits: over all of V, or at the teacher's k ids."""
    if k is None:
        identity = Head(torch.eye(VOCAB), None, VOCAB)
        return {"teacher": Hidden(teacher, identity), "teacher_ref": Hidden(teacher_ref, identity)}
    ids = teacher.argsort(-1, descending=True)[:, :k]
    found: dict[Role, Signal] = {}
    for role, z in (("teacher", teacher), ("teacher_ref", teacher_ref)):
        p = z.softmax(-1)
        found[role] = TopK(ids, p.gather(-1, ids).log(), (1 - p.gather(-1, ids).sum(-1)).log())
    return found


def of_logits(stat: Statistic, signals: dict[Role, Signal], hp: object = None) -> tuple[Tensor, Tensor]:
    """The statistic of N tokens, and the gradient of its sum to the policy's logits, [N] and [N, VOCAB]."""
    z = logits(1).requires_grad_()
    identity = Head(torch.eye(VOCAB), None, VOCAB)
    realised = next((s.ids[:, 0] for s in signals.values() if isinstance(s, TopK)), torch.zeros(N).long())
    _, found = token_statistics(
        z, identity, realised, [stat], signals, hp, small_budget(4, VOCAB, recompute=True)
    )
    (gradient,) = torch.autograd.grad(found[stat].sum(), z)
    return found[stat].detach(), gradient


def test_the_gradient_of_adpa_is_the_probability_times_the_centred_advantage() -> None:
    """d E_pi[A] / dz_k = g pi_k (A_k - E_pi A)."""
    g, dpo_z, ref_z = 1.7, logits(2), logits(3)
    _, gradient = of_logits(adpa.expected_advantage, signals_of(dpo_z, ref_z), adpa.ADPA(gamma_beta=g))
    pi = logits(1).double().softmax(-1)
    advantage = dpo_z.double().log_softmax(-1) - ref_z.double().log_softmax(-1)
    expected = g * pi * (advantage - (pi * advantage).sum(-1, keepdim=True))
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-5, atol=1e-6)


@statistic()
def entropy(at: Chunk, hp: object) -> Tensor:
    return -(at.policy.exp() * at.policy).sum(-1)


def test_raw_logits_have_the_gradient_of_log_probs() -> None:
    """A constant of each state moves the value of ADPA's term and not its gradient."""

    dpo_z, ref_z, hp = logits(2) + 5, logits(3), adpa.ADPA(gamma_beta=1.0)
    z = logits(1).requires_grad_()
    models = {"policy": z.log_softmax(-1), "teacher": dpo_z, "teacher_ref": ref_z}
    raw = adpa.expected_advantage.of(Chunk(torch.zeros(N).long(), models), hp)
    (raw_gradient,) = torch.autograd.grad(raw.sum(), z)
    value, gradient = of_logits(adpa.expected_advantage, signals_of(dpo_z, ref_z), hp)
    torch.testing.assert_close(raw_gradient, gradient, rtol=1e-4, atol=1e-6)
    assert (raw.detach() - value).abs().min() > 0.1


def test_a_uniform_reference_is_no_reference() -> None:
    """Over the full support the gradients agree; the values differ by ln V."""
    uniform = signals_of(logits(2), torch.zeros(N, VOCAB))
    value, gradient = of_logits(adpa.expected_advantage, uniform, adpa.ADPA(gamma_beta=1.0))
    plain, plain_gradient = of_logits(adpa.expected_logprob, uniform, adpa.ADPA(gamma_beta=1.0))
    torch.testing.assert_close(gradient, plain_gradient, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(value, plain + log(VOCAB))


@pytest.mark.parametrize("k", [None, 1, 5, VOCAB])
def test_where_both_teachers_are_one_the_advantage_is_exactly_nothing(k: int | None) -> None:
    value, gradient = of_logits(adpa.expected_advantage, signals_of(logits(2), logits(2), k), adpa.ADPA())
    assert not value.any() and not gradient.any()


def test_a_kl_over_buckets_is_a_lower_bound() -> None:
    """And closer with more of them; it is the KL itself with all."""
    full, _ = of_logits(teacher_kl, signals_of(logits(2), logits(3)))
    few, _ = of_logits(teacher_kl, signals_of(logits(2), logits(3), 3))
    many, _ = of_logits(teacher_kl, signals_of(logits(2), logits(3), 30))
    assert (few < full).all() and (few <= many + 1e-5).all() and (many <= full + 1e-5).all()
    every, _ = of_logits(teacher_kl, signals_of(logits(2), logits(3), VOCAB))
    torch.testing.assert_close(every, full, rtol=1e-5, atol=1e-6)


def test_reverse_kl_is_the_negative_entropy_less_the_expected_log_prob_of_the_teacher() -> None:
    """KL(pi || T) = E_pi[log pi] - E_pi[log T], values and gradients: ADPA without reference plus entropy."""
    signals = signals_of(logits(2), logits(3))
    (divergence, gradient), (h, h_gradient), (cross, cross_gradient) = (
        of_logits(stat, signals, adpa.ADPA(gamma_beta=1.0))
        for stat in (reverse_kl, entropy, adpa.expected_logprob)
    )
    torch.testing.assert_close(divergence, -h - cross, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient, -h_gradient - cross_gradient, rtol=1e-5, atol=1e-5)


def test_forward_kl_pulls_the_policy_to_the_teacher() -> None:
    """d KL(T || pi) / dz = pi - T."""
    _, gradient = of_logits(teacher_kl, signals_of(logits(2), logits(3)))
    torch.testing.assert_close(gradient, logits(1).softmax(-1) - logits(2).softmax(-1), rtol=1e-5, atol=1e-6)


def test_a_dispreferred_response_is_imitated_too(tmp_path: Path) -> None:
    """DCKD's term on y_l falls along its own gradient: it is a divergence, not a reward."""
    policy, hp = tiny_policy(), dckd.DCKD(alpha=1.0)
    examples = written(world(), tmp_path, dckd.METHOD.needs(hp))

    def term() -> Tensor:
        return dckd.loss(batch_of(policy, examples, EVERYTHING, hp, EVERYTHING), hp)["kd_rejected"]

    before = term()
    before.backward()
    gradient = gradient_of(policy)
    with torch.no_grad():
        for name, p in policy.named_parameters():
            p -= 1e-3 * gradient[name]
    assert float(before.detach()) > float(term().detach()) > 0
