"""Where the divergences to a teacher must agree, and where two readings of one formula differ."""

from collections.abc import Callable
from dataclasses import replace
from math import exp, log
from typing import Any

import pytest
import torch
from torch import Tensor

from methods import (
    align_distil,
    atkd,
    distillm,
    distillm2,
    dpkd,
    dpkd_token,
    gkd,
    minillm,
    opd,
    q_kd,
    vanillakd,
)
from methods.batch import Batch, Chunk, Statistic, Terms
from methods.formulas import jsd, kl, reverse_kl, teacher_kl
from tests.methods.test_formulas import batch, chunk, response, view

N, VOCAB = 12, 7


def states(seed: int = 0) -> Chunk:
    """N states, in float64; every token of the vocabulary is realised at some of them."""
    draw = torch.Generator().manual_seed(seed)
    roles = ("policy", "teacher", "teacher_ref")
    logprobs = {role: torch.randn(N, VOCAB, generator=draw).double().log_softmax(-1) for role in roles}
    return Chunk(torch.arange(N) % VOCAB, logprobs)


def trained(
    loss: Callable[[Batch, Any], Terms], hp: object, names: tuple[str, ...], *stats: Statistic
) -> tuple[dict[str, Tensor], Tensor]:
    """The terms on views of the same states, and the gradient of their sum to the policy's logits."""
    z = states().policy.clone().requires_grad_()
    at = replace(states(), logprobs={**states().logprobs, "policy": z.log_softmax(-1)})
    found = loss(batch(**{name: response(at, N, *stats, hp=hp) for name in names}), hp)
    (gradient,) = torch.autograd.grad(torch.stack(list(found.values())).sum(), z)
    return {name: x.detach() for name, x in found.items()}, gradient


def test_a_kl_is_that_of_the_target_and_that_of_the_others_by_the_uncertainty() -> None:
    """KL = TKD + Unc * DKD, Unc = 1 - p_T(g)."""
    at = states()
    uncertainty = 1 - at.teacher.exp().gather(-1, at.realised[:, None]).squeeze(-1)
    whole = atkd.target_kl.of(at, None) + uncertainty * atkd.other_kl.of(at, None)
    torch.testing.assert_close(whole, teacher_kl.of(at, None))


def test_with_two_tokens_there_is_nothing_but_the_target() -> None:
    """Over V = 2 and of one token, ATKD is a forward KL by 1 - lambda."""
    at = chunk(teacher=[[0.7, 0.3]], policy=[[0.4, 0.6]])
    y_w = response(at, 1, atkd.target_kl, atkd.other_kl)
    found = atkd.loss(batch(means={"easy": 0.0}, chosen=y_w), atkd.ATKD(share=0.2))
    torch.testing.assert_close(found["hard"], 0.8 * teacher_kl.of(at, None)[0])


def test_gkd_on_data_alone_with_forward_kl_is_the_kl_of_vanillakd() -> None:
    """student_share = 0 and alpha = 1: values and gradients."""
    ours, gradient = trained(
        gkd.forward_loss, gkd.GKD(student_share=0.0), ("chosen", "policy_rollout"), teacher_kl
    )

    hp = vanillakd.VanillaKD(alpha=1.0)
    theirs, its_gradient = trained(vanillakd.kl_loss, hp, ("chosen",), teacher_kl)
    assert float(ours["kd_on_policy"]) == 0
    torch.testing.assert_close(ours["kd"], theirs["kd"])
    torch.testing.assert_close(gradient, its_gradient)


def test_q_softmax_of_a_uniform_reference_is_the_kl_of_vanillakd() -> None:
    """softmax(log pi_dpo - const) = pi_dpo, at beta = 1."""
    at = states()
    uniform = torch.full_like(at.teacher, -log(VOCAB))
    found = q_kd.softmax_kl.of(
        replace(at, logprobs={**at.logprobs, "teacher_ref": uniform}), q_kd.QKD(beta=1.0, min_prob=0)
    )
    torch.testing.assert_close(found, teacher_kl.of(at, None))


def test_q_softmax_becomes_q_argmax_as_beta_grows() -> None:
    at = states()
    expected = q_kd.argmax_nll.of(at, q_kd.QKD())
    torch.testing.assert_close(q_kd.softmax_kl.of(at, q_kd.QKD(beta=1e4)), expected)
    assert (q_kd.softmax_kl.of(at, q_kd.QKD(beta=1.0)) - expected).abs().min() > 1e-3


@pytest.mark.parametrize(
    "skewed, plain",
    [(distillm.skew_kl, teacher_kl), (distillm.skew_reverse_kl, reverse_kl)],
    ids=["forward", "reverse"],
)
def test_a_skew_divergence_becomes_a_plain_one_as_the_skew_vanishes(
    skewed: Statistic, plain: Statistic
) -> None:
    """And is smaller with any skew."""
    at = states()
    found = skewed.of(at, distillm.DistiLLM(skew=1e-8))
    torch.testing.assert_close(found, plain.of(at, None), rtol=1e-6, atol=1e-6)
    assert (skewed.of(at, distillm.DistiLLM(skew=0.1)) < plain.of(at, None)).all()


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_a_generalised_jsd_is_made_of_two_skew_divergences(share: float) -> None:
    """JSD_b = b SKL_b + (1 - b) SRKL_(1-b), of the one mixture b p + (1 - b) q."""
    at = states()
    forward = distillm.skew_kl.of(at, distillm.DistiLLM(skew=share))
    reverse = distillm.skew_reverse_kl.of(at, distillm.DistiLLM(skew=1 - share))
    found = gkd.teacher_jsd.of(at, gkd.GKD(b=share))
    torch.testing.assert_close(found, share * forward + (1 - share) * reverse)


def test_distillm_2_has_the_divergences_of_distillm_and_another_gradient_of_the_reverse_one() -> None:
    """With r = log q - log m and a mixture m that does not move, d/dz_k = q_k (r_k - sum_a q_a r_a)."""
    at, ours, theirs = states(), distillm2.DistiLLM2(skew=0.3), distillm.DistiLLM(skew=0.3)
    torch.testing.assert_close(distillm2.skew_kl.of(at, ours), distillm.skew_kl.of(at, theirs))
    z = at.policy.clone().requires_grad_()
    moving = replace(at, logprobs={**at.logprobs, "policy": z.log_softmax(-1)})
    found, other = distillm2.skew_reverse_kl.of(moving, ours), distillm.skew_reverse_kl.of(moving, theirs)
    torch.testing.assert_close(found, other)
    (gradient,), (full,) = (torch.autograd.grad(x.sum(), z, retain_graph=True) for x in (found, other))
    q, m = at.policy.exp(), 0.3 * at.policy.exp() + 0.7 * at.teacher.exp()
    r = at.policy - m.log()
    torch.testing.assert_close(gradient, q * (r - (q * r).sum(-1, keepdim=True)))
    assert (gradient - full).abs().max() > 0.01


def test_a_generalised_jsd_has_both_kls_as_its_limits() -> None:
    """JSD_b / b -> KL(T || S) as b -> 0;   JSD_b / (1 - b) -> KL(S || T) as b -> 1."""
    at, tiny = states(), 1e-6
    near_zero = gkd.teacher_jsd.of(at, gkd.GKD(b=tiny)) / tiny
    near_one = gkd.teacher_jsd.of(at, gkd.GKD(b=1 - tiny)) / tiny
    torch.testing.assert_close(near_zero, teacher_kl.of(at, None), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(near_one, reverse_kl.of(at, None), rtol=1e-4, atol=1e-4)
    assert (near_zero - near_one).abs().max() > 0.05


def test_a_jsd_is_symmetric_and_at_most_ln_two() -> None:
    """With 1 - 1e-6 on different tokens ln 2 - H(1e-6), while the KL is near ln 1e6."""
    at = states()
    torch.testing.assert_close(jsd(at.teacher, at.policy), jsd(at.policy, at.teacher))
    assert (jsd(at.teacher, at.policy) < log(2)).all()
    e = 1e-6
    p, q = (torch.tensor(row).double().log() for row in ([1 - e, e], [e, 1 - e]))
    assert log(2) - 2e-5 < float(jsd(p, q)) < log(2) < 13 < float(kl(p, q))


def test_minillm_on_one_token_answers_is_gkd_reverse_on_the_policys_own() -> None:
    """There is no future: what is left is the exact reverse KL, whatever the policy was when it drew them."""
    at = states()
    y = response(at, N, reverse_kl)
    drawn = {"policy": y.logps("policy").T, "teacher": y.logps("teacher").T, "old": y.logps("teacher").T - 1}
    y = replace(y, mask=y.mask.T, statistics={reverse_kl: y[reverse_kl].T}, token_logps=drawn)
    y_w = view([[1]], 1, policy=[[0.5]])
    found = minillm.loss(batch(N, policy_rollout=y, chosen=y_w), minillm.MiniLLM(sft_weight=0.0))
    one = response(at, N, reverse_kl)
    expected = gkd.reverse_loss(batch(chosen=one, policy_rollout=one), gkd.GKD(student_share=1.0))
    assert float(found["long"]) == 0
    torch.testing.assert_close(found["single"], expected["kd_on_policy"])


def test_opd_is_gkd_reverse_without_data() -> None:
    """student_share = 1: values and gradients."""
    ours, gradient = trained(opd.loss, opd.OPD(), ("policy_rollout",), reverse_kl)
    hp = gkd.GKD(student_share=1.0)
    theirs, its_gradient = trained(gkd.reverse_loss, hp, ("chosen", "policy_rollout"), reverse_kl)
    torch.testing.assert_close(ours["kd"], theirs["kd_on_policy"])
    torch.testing.assert_close(gradient, its_gradient)


def gradient_at(stat: Callable[[Chunk], Tensor]) -> Tensor:
    """Of a number per state to the policy's logits."""
    z = states().policy.clone().requires_grad_()
    at = replace(states(), logprobs={**states().logprobs, "policy": z.log_softmax(-1)})
    return torch.autograd.grad(stat(at).sum(), z)[0]


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_a_kl_to_the_mixture_is_dpos_reward_under_a_kl_to_the_reference(weight: float) -> None:
    """Theorem 1 of AlignDistil, at a state: the gradient of KL(q || ref) - weight * E_q[log dpo / ref]."""

    def constrained(at: Chunk) -> Tensor:
        gain = (at.policy.exp() * (at.teacher - at.teacher_ref)).sum(-1)
        return kl(at.policy, at.teacher_ref) - weight * gain

    found = gradient_at(lambda at: align_distil.mixed_kl.of(at, align_distil.Theorem(weight=weight)))
    torch.testing.assert_close(found, gradient_at(constrained))
    assert found.abs().max() > 1e-2


def test_a_mixture_of_the_dpo_model_alone_is_that_of_opd() -> None:
    at = states()
    found = align_distil.mixed_kl.of(at, align_distil.Theorem(weight=1.0))
    torch.testing.assert_close(found, reverse_kl.of(at, None))


def test_align_distil_where_both_models_are_one_is_the_kl_to_it() -> None:
    """a = 0.001 and z* = z_dpo; elsewhere the target is that of Theorem 1 with the weight 1 + a."""
    at, hp = states(), align_distil.AlignDistil(beta=0.1, reach=5.0)
    same = replace(at, logprobs={**at.logprobs, "teacher_ref": at.teacher})
    torch.testing.assert_close(align_distil.adaptive_kl.of(same, hp), 100 * reverse_kl.of(at, None))
    distance = (at.teacher.exp() - at.teacher_ref.exp()).clamp(min=0).sum(-1)  # TVD, as a sum of gains
    for i, a in enumerate((5 * distance + 0.001).tolist()):
        mixed = align_distil.mixed_kl.of(at, align_distil.Theorem(weight=1 + a))
        torch.testing.assert_close(align_distil.adaptive_kl.of(at, hp)[i], 0.1 / a * mixed[i])


def likeliest_of_both(teacher: list[float], policy: list[float]) -> Batch:
    """One state, its likeliest tokens a_T and a_S as the responses of teacher and student, and y_w at it."""
    at = chunk(teacher=[teacher], policy=[policy])
    t, s = (replace(at, realised=at.logprobs[role].argmax(-1)) for role in ("teacher", "policy"))
    y_w = response(at, 1, dpkd_token.likeliest, hp=dpkd_token.TokenDPKD(beta=0.7))
    return batch(teacher_rollout=response(t, 1), student_rollout=response(s, 1), chosen=y_w)


def test_both_readings_of_dpkd_are_one_where_the_responses_are_the_likeliest_tokens() -> None:
    """Responses of one token that both models would say first, and nothing but the preference term."""
    both = likeliest_of_both([0.5, 0.3, 0.2], [0.2, 0.35, 0.45])
    sequence = dpkd.loss(both, dpkd.DPKD(beta=0.7))["dpkd"]
    token = dpkd_token.loss(both, dpkd_token.TokenDPKD(beta=0.7, kd_ratio=1.0))["dpkd"]
    torch.testing.assert_close(sequence, token)
    assert float(token) > log(2)


def test_both_readings_of_dpkd_differ_elsewhere() -> None:
    """At the labelled token both models find one token likeliest; beta = 1.

    token: ln 2, whatever was sampled;  sequence: policy / teacher is 2 on y_T and 1/2 on y_S, ln 5/4
    """
    at = chunk(teacher=[[0.2, 0.8]], policy=[[0.1, 0.9]])
    y_w = response(at, 1, dpkd_token.likeliest, hp=dpkd_token.TokenDPKD(beta=1.0))
    y_t = view([[1, 1]], 2, policy=[[0.5, 0.5]], teacher=[[0.25, 0.25]])
    y_s = view([[1, 1]], 2, policy=[[0.25, 0.25]], teacher=[[0.5, 0.5]])
    sampled = batch(teacher_rollout=y_t, student_rollout=y_s, chosen=y_w)
    sequence = dpkd.loss(sampled, dpkd.DPKD(beta=1.0))["dpkd"]
    token = dpkd_token.loss(sampled, dpkd_token.TokenDPKD(beta=1.0, kd_ratio=1.0))["dpkd"]
    assert exp(float(sequence)) == pytest.approx(5 / 4, rel=1e-6)
    assert exp(float(token)) == pytest.approx(2, rel=1e-6)
