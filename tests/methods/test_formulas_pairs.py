"""Every loss that compares two responses, by hand: two tokens in the vocabulary, one or two in a response."""

from dataclasses import replace
from math import log, sqrt

import pytest
import torch

from methods import dadpo, ddpo, dpkd, dpo, ipo, kto, orpo, plad, simpo, smoothed_dpo, tdpo, tvkd, wpo
from methods.batch import Batch, View
from tests.methods.test_formulas import assert_terms, batch, chunk, response, view


def gap_of_ln_two() -> Batch:
    """y_w: 1/2, 1/8, on average -2 ln 2 (in sum -4 ln 2);  y_l: 1/8, on average -3 ln 2;  of 2 pairs."""
    y_w = view([[0, 1, 1]], 2, policy=[[0.9, 0.5, 0.125]])
    y_l = view([[0, 1, 0]], 1, policy=[[0.9, 0.125, 0.3]])
    return batch(2, chosen=y_w, rejected=y_l)


def margin_of_ln_four() -> Batch:
    """policy : ref is 1/2 : 1/4 on y_w and 1/4 : 1/2 on y_l, so h = ln 2 + ln 2."""
    y_w = view([[1]], 1, policy=[[0.5]], ref=[[0.25]])
    y_l = view([[1]], 1, policy=[[0.25]], ref=[[0.5]])
    return batch(chosen=y_w, rejected=y_l)


def test_simpo_by_hand() -> None:
    """gap = ln 2, beta = 2, margin = ln 2:  -ln sigmoid(2 ln 2 - ln 2) = ln 3/2."""
    found = simpo.loss(gap_of_ln_two(), simpo.SimPO(beta=2.0, margin=log(2)))
    assert_terms(found, simpo=log(3 / 2) / 2)


def test_simpo_as_released_by_hand() -> None:
    """gap = ln 2, beta = 3, ratio = 1/3 ln 2:  -ln sigmoid(3 (ln 2 - 1/3 ln 2)) = ln 5/4."""
    found = simpo.release_loss(gap_of_ln_two(), simpo.SimPORelease(beta=3.0, ratio=log(2) / 3))
    assert_terms(found, simpo=log(5 / 4) / 2)


WPO = wpo.WPO(beta=1.0)
LIKELY = [0.75, 0.25]  # 3/4 is drawn, sum_v pi^2 = 5/8:  w = 6/5
UNLIKELY = [0.25, 0.75]  # 1/4 is drawn, sum_v pi^2 = 5/8:  w = 2/5


def weighed(policy: list[list[float]], ref: list[list[float]]) -> View:
    """A response as WPO reads it."""
    at = chunk(policy=policy, ref=ref)
    return response(at, len(policy), wpo.log_expected_prob, hp=WPO)


def test_wpo_by_hand() -> None:
    """One token each, w = 6/5 and 2/5;  policy : ref is 3/4 : 3/8 and 1/4 : 1/2, so h = ln 4.

    The product 12/25 is below 1, the first factor is not:  L = 12/25 ln 5/4  (each cut at 1: 2/5 ln 5/4)
    """
    y_w = weighed([LIKELY], [[0.375, 0.625]])
    y_l = weighed([UNLIKELY], [[0.5, 0.5]])
    assert_terms(wpo.loss(batch(chosen=y_w, rejected=y_l), WPO), wpo=12 / 25 * log(5 / 4))


def test_the_weight_of_wpo_is_a_geometric_mean_over_the_response() -> None:
    """y_w of two tokens with 6/5 and 2/5, y_l of a uniform policy with 1:  W = sqrt(12/25);  h = 2 ln 2."""
    y_w = weighed([LIKELY, UNLIKELY], [[0.375, 0.625], [0.125, 0.875]])
    y_l = weighed([[0.5, 0.5]], [[0.5, 0.5]])
    assert_terms(wpo.loss(batch(chosen=y_w, rejected=y_l), WPO), wpo=sqrt(12) / 5 * log(5 / 4))


def test_a_pair_of_wpo_weighs_at_most_one() -> None:
    """w = 6/5 twice:  W = min(1, 36/25) = 1;  policy : ref is 3/4 : 3/16 and 3/4 : 3/4, so h = ln 4."""
    y_w = weighed([LIKELY], [[0.1875, 0.8125]])
    y_l = weighed([LIKELY], [LIKELY])
    assert_terms(wpo.loss(batch(chosen=y_w, rejected=y_l), WPO), wpo=log(5 / 4))


def test_the_weight_of_wpo_has_no_gradient() -> None:
    """The first case: dL / dlp(y_w) = -W sigmoid(-ln 4) = -12/25 1/5, dlp / dz = (1/4, -1/4)."""
    z = torch.tensor(LIKELY).log().requires_grad_()
    at = chunk(policy=[LIKELY], ref=[[0.375, 0.625]])
    trained = replace(at, logprobs={**at.logprobs, "policy": z.log_softmax(-1)[None]})
    y_w = response(trained, 1, wpo.log_expected_prob, hp=WPO)
    y_l = weighed([UNLIKELY], [[0.5, 0.5]])
    (gradient,) = torch.autograd.grad(wpo.loss(batch(chosen=y_w, rejected=y_l), WPO)["wpo"], z)
    torch.testing.assert_close(gradient, torch.tensor([-3 / 125, 3 / 125]))


def test_plad_by_hand() -> None:
    """Of two pairs one is on the wrong side, the other further than delta = 1; y_T has 4 tokens in the step.

    lp(y_T) - lp(y_S) = -3 ln 2 + 2 ln 2 and -ln 2 + 3 ln 2;   rank = (1 + ln 2 + 0) / 2
    sft = 1/2 (3 ln 2 + ln 2) / 4 = 1/2 ln 2
    """
    y_t = view([[1, 1], [1, 0]], 4, policy=[[0.5, 0.25], [0.5, 0.9]])
    y_s = view([[1, 0], [1, 0]], 2, policy=[[0.25, 0.9], [0.125, 0.9]])
    found = plad.loss(
        batch(2, teacher_rollout=y_t, student_rollout=y_s), plad.PLaD(delta=1.0, sft_weight=0.5)
    )
    assert_terms(found, rank=(1 + log(2)) / 2, sft=log(2) / 2)


def rewarded() -> Batch:
    """h = 2 ln 2;  teacher : teacher_ref is 1/2 : 1/8 and 1/4 : 1/2, so r(y_w) - r(y_l) = 3 ln 2."""
    y_w = view([[1]], 1, policy=[[0.5]], ref=[[0.25]], teacher=[[0.5]], teacher_ref=[[0.125]])
    y_l = view([[1]], 1, policy=[[0.25]], ref=[[0.5]], teacher=[[0.25]], teacher_ref=[[0.5]])
    return batch(means={"squared_margin": 9.0}, chosen=y_w, rejected=y_l)


def test_ddpo_by_hand() -> None:
    """beta = 1/2, reward_scale = 2, mean squared margin 9, so scale = 2/3:  (2 ln 2 - ln 2)^2."""
    assert_terms(ddpo.loss(rewarded(), ddpo.DDPO(beta=0.5, reward_scale=2.0)), ddpo=log(2) ** 2)


def test_ddpo_unscaled_by_hand() -> None:
    """beta = 1/2, reward_scale = 1:  (3 ln 2 - ln 2)^2 = 4 (ln 2)^2."""
    assert_terms(ddpo.unscaled_loss(rewarded(), ddpo.DDPO(beta=0.5)), ddpo=4 * log(2) ** 2)


def test_the_scale_of_ddpo_is_a_mean_of_squares() -> None:
    """Margins of ln 2 and -3 ln 2:  10 (ln 2)^2 over two pairs."""
    y_w = view([[1], [1]], 2, teacher=[[0.5], [0.125]], teacher_ref=[[0.25], [0.5]])
    y_l = view([[1], [1]], 2, teacher=[[0.5], [0.5]], teacher_ref=[[0.5], [0.25]])
    total, count = ddpo.squared_margin(batch(2, chosen=y_w, rejected=y_l), ddpo.DDPO())["squared_margin"]
    assert (float(total), int(count)) == (pytest.approx(10 * log(2) ** 2, rel=1e-6), 2)


def test_dpkd_by_hand() -> None:
    """policy : teacher is 2 and 4 on y_T, 1/2 on y_S; beta = 4/5; y_w of probability 1/2, of 4 tokens.

    margin = (ln 2 + 2 ln 2) / 2 + ln 2 = 5/2 ln 2;   dpkd = -ln sigmoid(2 ln 2) / 2;   sft = 2 ln 2 / 4
    """
    y_t = view([[1, 1]], 2, policy=[[0.5, 0.5]], teacher=[[0.25, 0.125]])
    y_s = view([[1, 0]], 1, policy=[[0.25, 0.9]], teacher=[[0.5, 0.1]])
    y_w = view([[1]], 4, policy=[[0.5]])
    found = dpkd.loss(
        batch(2, teacher_rollout=y_t, student_rollout=y_s, chosen=y_w), dpkd.DPKD(beta=0.8, sft_weight=2.0)
    )
    assert_terms(found, dpkd=log(5 / 4) / 2, sft=log(2) / 2)


def test_dpo_of_the_teacher_against_the_student_by_hand() -> None:
    """The teacher's response is the preferred one:  h = ln 4, beta = 1, ln 5/4."""
    pair = margin_of_ln_four()
    sampled = batch(teacher_rollout=pair.chosen, student_rollout=pair.rejected)
    hp = dpo.DPO(beta=1.0, preferred="teacher_rollout", dispreferred="student_rollout")
    assert_terms(dpo.loss(sampled, hp), dpo=log(5 / 4))


def test_cdpo_by_hand() -> None:
    """beta h = ln 4, eps = 1/4:  3/4 ln 5/4 + 1/4 ln 5."""
    found = smoothed_dpo.cdpo_loss(margin_of_ln_four(), smoothed_dpo.SmoothedDPO(beta=1.0, eps=0.25))
    assert_terms(found, cdpo=0.75 * log(5 / 4) + 0.25 * log(5))


def test_rdpo_by_hand() -> None:
    """beta h = ln 4, eps = 1/4:  (3/4 ln 5/4 - 1/4 ln 5) / (1/2) = 3/2 ln 5/4 - 1/2 ln 5, below zero."""
    found = smoothed_dpo.rdpo_loss(margin_of_ln_four(), smoothed_dpo.SmoothedDPO(beta=1.0, eps=0.25))
    assert_terms(found, rdpo=1.5 * log(5 / 4) - 0.5 * log(5))


def log_ratios_of_two_and_minus_one() -> Batch:
    """y_w: two tokens with policy : ref = 2 : 1;  y_l: one with 1 : 2.  In sums 3 ln 2, in means 2 ln 2."""
    y_w = view([[1, 1]], 2, policy=[[0.5, 0.25]], ref=[[0.25, 0.125]])
    y_l = view([[1, 0]], 1, policy=[[0.25, 0.9]], ref=[[0.5, 0.1]])
    return batch(2, chosen=y_w, rejected=y_l)


def test_ipo_by_hand() -> None:
    """h = 3 ln 2, beta = 1/2:  (3 ln 2 - 1)^2 / 2."""
    found = ipo.loss(log_ratios_of_two_and_minus_one(), ipo.IPO(beta=0.5))
    assert_terms(found, ipo=(3 * log(2) - 1) ** 2 / 2)


def test_ipo_of_means_by_hand() -> None:
    """h = 2 ln 2, beta = 1/2:  (2 ln 2 - 1)^2 / 2."""
    found = ipo.mean_loss(log_ratios_of_two_and_minus_one(), ipo.IPO(beta=0.5))
    assert_terms(found, ipo=(2 * log(2) - 1) ** 2 / 2)


def test_kto_by_hand() -> None:
    """r(y_w) = 2 ln 2, r(y_l) = -ln 2, z0 = ln 2, beta = 1, lambda_D = 2, lambda_U = 3.

    desirable = 2 (1 - sigmoid(ln 2)) / 2 = 1/3;   undesirable = 3 (1 - sigmoid(2 ln 2)) / 2 = 3/10
    """
    hp = kto.KTO(beta=1.0, desirable=2.0, undesirable=3.0)
    pair = log_ratios_of_two_and_minus_one()
    found = kto.loss(replace(pair, step_examples=1, means={"kl": torch.tensor(log(2))}), hp)
    assert_terms(found, desirable=1 / 3, undesirable=3 / 10)


def test_the_divergence_of_kto_is_never_negative() -> None:
    """A mean of -5 counts as 0:  2 (1 - sigmoid(2 ln 2)) / 2 = 1/5;   3 (1 - sigmoid(ln 2)) / 2 = 1/2."""
    hp = kto.KTO(beta=1.0, desirable=2.0, undesirable=3.0)
    pair = log_ratios_of_two_and_minus_one()
    found = kto.loss(replace(pair, step_examples=1, means={"kl": torch.tensor(-5.0)}), hp)
    assert_terms(found, desirable=1 / 5, undesirable=1 / 2)


def test_the_divergence_of_kto_is_of_mismatched_responses() -> None:
    """Two of them, with ratios 2 ln 2 and -ln 2:  ln 2 over two."""
    y = view([[1, 1], [1, 0]], 3, policy=[[0.5, 0.5], [0.25, 0.9]], ref=[[0.25, 0.25], [0.5, 0.1]])
    total, count = kto.mismatch(batch(2, mismatched=y), kto.KTO())["kl"]
    assert (float(total), int(count)) == (pytest.approx(log(2), rel=1e-6), 2)


def test_orpo_by_hand() -> None:
    """y_w: 1/2 and 1/8, on average 1/4, odds 1/3;  y_l: 1/10, odds 1/9;  weight 1/2, 4 tokens in the step.

    sft = (ln 2 + ln 8) / 4 = ln 2;   odds = 1/2 -ln sigmoid(ln 3) = 1/2 ln 4/3
    """
    y_w = view([[1, 1]], 4, policy=[[0.5, 0.125]])
    y_l = view([[1, 0]], 1, policy=[[0.1, 0.9]])
    assert_terms(
        orpo.loss(batch(chosen=y_w, rejected=y_l), orpo.ORPO(weight=0.5)), sft=log(2), odds=0.5 * log(4 / 3)
    )


def test_tdpo_by_hand() -> None:
    """y_w: policy (1/2, 1/2), ref (1/4, 3/4);  y_l: policy (1/4, 3/4), ref (1/2, 1/2);  beta = 1, alpha = 2.

    h = 2 ln 2;   D(y_w) = 1/4 ln 1/2 + 3/4 ln 3/2;   D(y_l) = 1/2 ln 2 + 1/2 ln 2/3
    h - 2 (D(y_l) - D(y_w)) = 2 ln 2 - 2 (2 ln 2 - 5/4 ln 3) = 5/2 ln 3 - 2 ln 2;   L = ln(1 + 4 / 3^(5/2))
    """
    hp = tdpo.TDPO(beta=1.0, alpha=2.0)
    y_w = response(chunk(policy=[[0.5, 0.5]], ref=[[0.25, 0.75]]), 1, tdpo.ref_kl, hp=hp)
    y_l = response(chunk(policy=[[0.25, 0.75]], ref=[[0.5, 0.5]]), 1, tdpo.ref_kl, hp=hp)
    assert_terms(tdpo.loss(batch(chosen=y_w, rejected=y_l), hp), tdpo=log(1 + 4 / 3**2.5))


def test_only_the_dispreferred_divergence_of_tdpo_has_a_gradient() -> None:
    """h = ln 4 and no divergence, beta = 1, alpha = 2:  dL / dD(y_l) = 2 sigmoid(-ln 4) = 2/5."""
    pair = margin_of_ln_four()
    d_w, d_l = torch.zeros(1, 1, requires_grad=True), torch.zeros(1, 1, requires_grad=True)
    y_w = replace(pair.chosen, statistics={tdpo.ref_kl: d_w})
    y_l = replace(pair.rejected, statistics={tdpo.ref_kl: d_l})
    found = tdpo.loss(batch(chosen=y_w, rejected=y_l), tdpo.TDPO(beta=1.0, alpha=2.0))["tdpo"]
    of_w, of_l = torch.autograd.grad(found, [d_w, d_l], allow_unused=True)
    assert of_w is None
    torch.testing.assert_close(of_l, torch.tensor([[2 / 5]]))


def test_dadpo_by_hand() -> None:
    """In units of ln 2: lp_theta is over ref by 2 on y_T and by -1 on y_S, over the teacher by -1 and by 1.

    beta_ref = 1/2, beta_teacher = 1/4:  m = 1 - 1/4 and -1/2 + 1/4;   L = -ln sigmoid(ln 2) = ln 3/2, halved
    """
    y_t = view([[1, 1]], 2, policy=[[1 / 2, 1 / 4]], ref=[[1 / 4, 1 / 8]], teacher=[[1 / 2, 1 / 2]])
    y_s = view([[0, 1]], 1, policy=[[0.9, 1 / 4]], ref=[[0.1, 1 / 2]], teacher=[[0.2, 1 / 8]])
    sampled = batch(2, teacher_rollout=y_t, student_rollout=y_s)
    assert_terms(dadpo.loss(sampled, dadpo.DaDPO(beta_ref=0.5, beta_teacher=0.25)), dadpo=log(3 / 2) / 2)


def test_tvkd_by_hand() -> None:
    """y_w: policy 1/2, 1/4, teacher (9/10, 1/10), (1/2, 1/2);  y_l: one token, policy 1/8.

    alpha = 1/2, tau = 1:  V(s_2) = ln 2 (1/2)^1/2 = 1/2 ln 2;   alpha = 1, tau = 2:  2 ln 2 (1/2)^1/2 = ln 2
    R(y_w) = -3 ln 2 - V(s_2), R(y_l) = -3 ln 2:  L = ln(1 + 2^1/2), ln 3 and, at gamma 1/2, ln(1 + 2^1/2)
    """
    w = chunk(policy=[[0.5, 0.5], [0.25, 0.75]], teacher=[[0.9, 0.1], [0.5, 0.5]])
    r = chunk(policy=[[0.125, 0.875]], teacher=[[0.3, 0.7]])
    for hp, expected in (
        (tvkd.TVKD(alpha=0.5), log(1 + sqrt(2))),
        (tvkd.TVKD(alpha=1.0, tau=2.0), log(3)),
        (tvkd.TVKD(alpha=1.0, tau=2.0, gamma=0.5), log(1 + sqrt(2))),
    ):
        pair = (response(at, n, tvkd.teacher_value, hp=hp) for at, n in ((w, 2), (r, 1)))
        assert_terms(
            tvkd.loss(batch(**dict(zip(("chosen", "rejected"), pair, strict=True))), hp), tvkd=expected
        )


def test_tvkd_with_the_students_entropy_by_hand() -> None:
    """y_w: policy (1/2, 1/2) twice, V(s_2) = ln 2;  y_l: one token of 1/8:  L = ln 2, at gamma 1/2 less."""
    y_w = response(chunk(policy=[[0.5, 0.5], [0.5, 0.5]]), 2, tvkd.entropy)
    y_l = response(chunk(policy=[[0.125, 0.875]]), 1, tvkd.entropy)
    pair = batch(chosen=y_w, rejected=y_l)
    assert_terms(tvkd.entropy_loss(pair, tvkd.EntropyTVKD()), tvkd=log(2))
    assert_terms(tvkd.entropy_loss(pair, tvkd.EntropyTVKD(gamma=0.5)), tvkd=log(1 + sqrt(0.5)))
