"""Every divergence to a teacher, by hand: two or three tokens in the vocabulary, one or two in a response."""

from dataclasses import replace
from math import log

import pytest
import torch

from methods import align_distil, atkd, dckd, dckd_release, distillm, distillm2, dpkd_token, gkd, q_kd
from methods.api import Method
from methods.formulas import jsd, mixture, teacher_kl
from tests.methods.test_formulas import HALVES, QUARTER, assert_terms, batch, chunk, response, view

# p = (3/4, 1/4), q = (1/2, 1/2) is HALVES;  p = (1/2, 1/2), q = (1/4, 3/4) is QUARTER
FORWARD = 0.75 * log(3 / 2) + 0.25 * log(1 / 2), 0.5 * log(2) + 0.5 * log(2 / 3)
REVERSE = 0.5 * log(2 / 3) + 0.5 * log(2), 0.25 * log(1 / 2) + 0.75 * log(3 / 2)
# KL(p || m), m = 1/4 p + 3/4 q:  m = (9/16, 7/16) and (5/16, 11/16)
TO_QUARTER = 0.75 * log(4 / 3) + 0.25 * log(4 / 7), 0.5 * log(8 / 5) + 0.5 * log(8 / 11)
# KL(q || m) of the same m
FROM_QUARTER = 0.5 * log(8 / 9) + 0.5 * log(8 / 7), 0.25 * log(4 / 5) + 0.75 * log(12 / 11)
# KL(q || m'), m' = 3/4 p + 1/4 q:  m' = (11/16, 5/16) and (7/16, 9/16)
SKEW_REVERSE = 0.5 * log(8 / 11) + 0.5 * log(8 / 5), 0.25 * log(4 / 7) + 0.75 * log(4 / 3)
JSD = tuple(0.25 * a + 0.75 * b for a, b in zip(TO_QUARTER, FROM_QUARTER, strict=True))


def test_a_mixture_by_hand() -> None:
    """1/4 (3/4, 1/4) + 3/4 (1/2, 1/2) = (9/16, 7/16)."""
    found = mixture(HALVES.teacher, HALVES.policy, 0.25).exp()
    torch.testing.assert_close(found, torch.tensor([[9 / 16, 7 / 16]]))


def test_a_generalised_jsd_by_hand() -> None:
    """1/4 KL(p || m) + 3/4 KL(q || m), and with p and q and the shares turned round the same."""
    torch.testing.assert_close(jsd(HALVES.teacher, HALVES.policy, 0.25), torch.tensor([JSD[0]]))
    torch.testing.assert_close(jsd(HALVES.policy, HALVES.teacher, 0.75), torch.tensor([JSD[0]]))


@pytest.mark.parametrize(
    "method, expected",
    [(gkd.METHOD, JSD), (gkd.FORWARD, FORWARD), (gkd.REVERSE, REVERSE)],
    ids=lambda x: getattr(x, "name", ""),
)
def test_gkd_by_hand(method: Method, expected: tuple[float, float]) -> None:
    """b = 1/4, a quarter of it on the policy's response; the step has 2 tokens of y_w and 5 of the other."""
    hp = gkd.GKD(student_share=0.25, b=0.25)
    (divergence,) = method.needs(hp).views["chosen"].stats
    y_w, y = response(HALVES, 2, divergence, hp=hp), response(QUARTER, 5, divergence, hp=hp)
    found = method.loss(batch(chosen=y_w, policy_rollout=y), hp)
    assert_terms(found, kd=0.75 * expected[0] / 2, kd_on_policy=0.25 * expected[1] / 5)


@pytest.mark.parametrize(
    "method, expected",
    [(distillm.METHOD, TO_QUARTER), (distillm.REVERSE, SKEW_REVERSE)],
    ids=lambda x: getattr(x, "name", ""),
)
def test_distillm_by_hand(method: Method, expected: tuple[float, float]) -> None:
    """a = 1/4, a quarter of it on the student's response; the step has 2 tokens of y_w and 5 of the other."""
    hp = distillm.DistiLLM(skew=0.25, student_share=0.25)
    (divergence,) = method.needs(hp).views["chosen"].stats
    y_w, y_hat = response(HALVES, 2, divergence, hp=hp), response(QUARTER, 5, divergence, hp=hp)
    found = method.loss(batch(chosen=y_w, student_rollout=y_hat), hp)
    assert_terms(found, kd=0.75 * expected[0] / 2, kd_rollout=0.25 * expected[1] / 5)


def test_distillm_2_by_hand() -> None:
    """a = 1/4: skew forward on a token of y_T, skew reverse on two of y_S, of which one has no divergence.

    b = 1 at the start and rises by 1/2 until the middle: 1 1/4 at a quarter, 1 1/2 from the middle on
    """
    hp = distillm2.DistiLLM2(skew=0.25)
    same = chunk(teacher=[[0.5, 0.5], [0.25, 0.75]], policy=[[0.25, 0.75], [0.25, 0.75]])
    y_t = response(HALVES, 9, distillm2.skew_kl, hp=hp)
    y_s = response(same, 9, distillm2.skew_reverse_kl, hp=hp)
    for progress, b in ((0.0, 1.0), (0.25, 1.25), (0.5, 1.5), (0.9, 1.5)):
        of = replace(batch(2, teacher_rollout=y_t, student_rollout=y_s), progress=progress)
        found = distillm2.loss(of, hp)
        assert_terms(found, kd_teacher=(2 - b) * TO_QUARTER[0] / 2, kd_student=b * SKEW_REVERSE[1] / 2 / 2)
        assert_terms(
            distillm2.loss(of, replace(hp, rise=0.0)),
            kd_teacher=TO_QUARTER[0] / 2,
            kd_student=SKEW_REVERSE[1] / 2 / 2,
        )


def test_the_target_and_the_others_of_atkd_by_hand() -> None:
    """The third of three tokens is realised: teacher (1/2, 1/4, 1/4), policy (1/6, 1/3, 1/2).

    TKD: (1/4, 3/4) to (1/2, 1/2), 1/4 ln 1/2 + 3/4 ln 3/2
    DKD: (2/3, 1/3) to (1/3, 2/3), 2/3 ln 2 + 1/3 ln 1/2 = 1/3 ln 2
    """
    at = chunk(teacher=[[0.5, 0.25, 0.25]], policy=[[1 / 6, 1 / 3, 0.5]])
    at = replace(at, realised=torch.tensor([2]))
    expected = 0.25 * log(1 / 2) + 0.75 * log(3 / 2)
    torch.testing.assert_close(atkd.target_kl.of(at, None), torch.tensor([expected]))
    torch.testing.assert_close(atkd.other_kl.of(at, None), torch.tensor([log(2) / 3]))


EASY_AND_HARD = chunk(
    teacher=[[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]], policy=[[0.25, 0.5, 0.25], [0.5, 0.25, 0.25]]
)


def test_atkd_by_hand() -> None:
    """An easy token (p_T(g) = 1/2) and a hard one (1/4), in a step of one easy and three hard; lambda = 1/5.

    easy: DKD (1/2, 1/2) to (2/3, 1/3) = 1/2 ln 3/4 + 1/2 ln 3/2
    hard: TKD (1/4, 3/4) to (1/2, 1/2), DKD (2/3, 1/3) to (1/2, 1/2);   each over its own count, 1 and 3
    """
    y_w = response(EASY_AND_HARD, 4, atkd.target_kl, atkd.other_kl)
    target, others = 0.25 * log(1 / 2) + 0.75 * log(3 / 2), 2 / 3 * log(4 / 3) + 1 / 3 * log(2 / 3)
    assert_terms(
        atkd.loss(batch(means={"easy": 0.25}, chosen=y_w), atkd.ATKD(share=0.2)),
        easy=0.2 * (0.5 * log(3 / 4) + 0.5 * log(3 / 2)),
        hard=0.8 * (target + others) / 3,
    )


def test_atkd_of_one_token_answers_has_no_easy_group() -> None:
    """The easy token of the case above, alone: a hard one.  TKD (1/2, 1/2) to (1/4, 3/4)."""
    alone = chunk(teacher=[[0.5, 0.25, 0.25]], policy=[[0.25, 0.5, 0.25]])
    y_w = response(alone, 1, atkd.target_kl, atkd.other_kl)
    (total, count), hp = atkd.METHOD.step_stats(batch(chosen=y_w), atkd.ATKD())["easy"], atkd.ATKD(share=0.2)
    assert (int(total), int(count)) == (0, 1)
    target, others = 0.5 * log(2) + 0.5 * log(2 / 3), 0.5 * log(3 / 4) + 0.5 * log(3 / 2)
    assert_terms(
        atkd.loss(batch(means={"easy": 0.0}, chosen=y_w), hp), easy=0.0, hard=0.8 * (target + others)
    )


def test_the_easy_half_is_the_surer_one_of_each_response() -> None:
    """Rounded down: 1 of 3, none of 1, 2 of 4; where two are as sure, the earlier; never off the mask."""
    y = view(
        [[0, 1, 1, 1], [0, 1, 0, 0], [1, 1, 1, 1]],
        8,
        teacher=[[0.9, 0.1, 0.3, 0.2], [0.9, 0.8, 0.9, 0.9], [0.5, 0.4, 0.5, 0.5]],
    )
    assert atkd.easy(y).int().tolist() == [[0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0]]


TWO_TOKENS = chunk(
    teacher=[[0.5, 0.25, 0.25], [0.5, 0.375, 0.125]], policy=[[0.25, 0.5, 0.25], [0.75, 0.125, 0.125]]
)


def test_dpkd_per_token_by_hand() -> None:
    """The likeliest tokens differ at the first of two tokens and agree at the second; beta 1, kd_ratio 1/4.

    h_1 = (ln 1/4 - ln 1/2) - (ln 1/2 - ln 1/4) = -ln 4, L_1 = ln 5;   h_2 = 0, L_2 = ln 2
    sft = 3/4 (ln 4 + ln 4/3) / 2;   dpkd = 1/4 (ln 5 + ln 2) / 2
    """
    hp = dpkd_token.TokenDPKD(beta=1.0, kd_ratio=0.25)
    found = dpkd_token.loss(batch(chosen=response(TWO_TOKENS, 2, dpkd_token.likeliest, hp=hp)), hp)
    assert_terms(found, sft=3 / 8 * (log(4) + log(4 / 3)), dpkd=(log(5) + log(2)) / 8)


def test_dpkd_per_token_has_no_gradient_where_the_likeliest_tokens_agree() -> None:
    """beta = 1/2, h_1 = -ln 4: dL / dz = -1/2 sigmoid(ln 2) (e_0 - e_1) = (-1/3, 1/3, 0), and nothing."""
    z = TWO_TOKENS.policy.clone().requires_grad_()
    at = replace(TWO_TOKENS, logprobs={"teacher": TWO_TOKENS.teacher, "policy": z.log_softmax(-1)})
    found = dpkd_token.likeliest.of(at, dpkd_token.TokenDPKD(beta=0.5))
    torch.testing.assert_close(found[1].detach(), torch.tensor(log(2)))
    (gradient,) = torch.autograd.grad(found.sum(), z)
    expected = torch.tensor([[-1 / 3, 1 / 3, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6)


def test_the_released_kl_is_over_the_listed_tokens_and_the_rest() -> None:
    """p = (1/2, 1/4, 1/8, 1/8) lists two tokens, q = (1/4, 1/2, 1/16, 3/16):  the rest is 1/4 in both.

    1/2 ln 2 + 1/4 ln 1/2 = 1/4 ln 2, wherever the realised token is
    """
    at = chunk(teacher=[[0.5, 0.25, 0.125, 0.125]], policy=[[0.25, 0.5, 0.0625, 0.1875]])
    found = dckd_release.listed_kl.of(at, dckd_release.DCKDRelease(k=2))
    torch.testing.assert_close(found, torch.tensor([0.25 * log(2)]))


def test_no_policy_probability_is_below_a_ten_millionth_in_the_released_kl() -> None:
    """p = (1, 0), q = (1e-9, 1):  ln 1 / 1e-7, and a rest and a second token of 1e-8 that say nothing."""
    at = chunk(teacher=[[1.0, 1e-30]], policy=[[1e-9, 1.0]])
    found = dckd_release.listed_kl.of(at, dckd_release.DCKDRelease(k=1))
    torch.testing.assert_close(found, torch.tensor([7 * log(10)]), rtol=1e-5, atol=0)


def test_dckd_as_released_by_hand() -> None:
    """Two examples: KLs of y_w 1/2, 1/4, 1/8, and of its end alone 1/8; of y_l 1 and 3, and 3; alpha = 1/2.

    The last token of each adds nothing and counts:  kd_w = 1/2 ((1/2 + 1/4) / 3 + 0) / 2 = 1/16
    kd_l = 1/2 (1 / 2 + 0) / 2 = 1/8;   sft = ((ln 2 + ln 4 + ln 8) / 3 + ln 8) / 2 = 5/2 ln 2
    """
    kl = dckd_release.listed_kl
    of_w, of_l = (
        torch.tensor([[9.0, 0.5, 0.25, 0.125], [0.125, 9, 9, 9]]),
        torch.tensor([[9.0, 1, 3], [9, 3, 9]]),
    )
    y_w = view([[0, 1, 1, 1], [1, 0, 0, 0]], 4, {kl: of_w}, policy=[[0.9, 0.5, 0.25, 0.125], [0.125] * 4])
    y_l = view([[0, 1, 1], [0, 1, 0]], 3, {kl: of_l})
    found = dckd_release.loss(batch(2, chosen=y_w, rejected=y_l), dckd_release.DCKDRelease(alpha=0.5))
    assert_terms(found, sft=5 / 2 * log(2), kd_chosen=1 / 16, kd_rejected=1 / 8)


def test_what_the_end_of_turn_makes_of_a_kl_is_what_the_page_says() -> None:
    """One token and its end, each as HALVES:  0.131 in DCKD, 0.065 in its release."""
    at = chunk(teacher=[[0.75, 0.25]] * 2, policy=[[0.5, 0.5]] * 2)
    kl, hp = dckd_release.listed_kl, dckd_release.DCKDRelease(alpha=1.0)
    paper_y, release_y = (
        replace(response(at, 2, stat, hp=hp), token_logps={"policy": torch.zeros(at.teacher.shape)})
        for stat in (teacher_kl, kl)
    )
    paper = dckd.loss(batch(chosen=paper_y, rejected=paper_y), dckd.DCKD(alpha=1.0))["kd_chosen"]
    release = dckd_release.loss(batch(1, chosen=release_y, rejected=release_y), hp)["kd_chosen"]
    assert f"{float(paper):.3f} in DCKD and {float(release):.3f} here" in (dckd_release.__doc__ or "")


OPPOSITE = chunk(policy=[[0.5, 0.5]], teacher=[[0.75, 0.25]], teacher_ref=[[0.25, 0.75]])


def test_align_distil_by_hand() -> None:
    """p_dpo = (3/4, 1/4), p_rev = (1/4, 3/4):  TVD = 1/2, and a = 1 at a reach of 1.998; beta = 1/2.

    p* ~ (3/4 3, 1/4 1/3) ~ (27/28, 1/28);   KL(q || p*) = 1/2 ln 14/27 + 1/2 ln 14;   of 4 responses
    """
    hp = align_distil.AlignDistil(beta=0.5, reach=1.998)
    y = response(OPPOSITE, 1, align_distil.adaptive_kl, hp=hp)
    expected = 0.5 * (0.5 * log(14 / 27) + 0.5 * log(14)) / 4
    assert_terms(align_distil.loss(batch(4, policy_rollout=y), hp), kd=expected)


def test_align_distil_extrapolates_further_where_the_models_differ_more() -> None:
    """A second token with p_dpo = p_rev = q:  a = 0.001 and no KL, in the mean of its own response."""
    both = chunk(
        policy=[[0.5, 0.5], [0.5, 0.5]],
        teacher=[[0.75, 0.25], [0.5, 0.5]],
        teacher_ref=[[0.25, 0.75], [0.5, 0.5]],
    )
    hp = align_distil.AlignDistil(beta=0.5, reach=1.998, states="chosen")
    y_w = response(both, 2, align_distil.adaptive_kl, hp=hp)
    expected = 0.5 * (0.5 * log(14 / 27) + 0.5 * log(14)) / 2
    assert_terms(align_distil.loss(batch(chosen=y_w), hp), kd=expected)


def test_align_distil_by_its_theorem_by_hand() -> None:
    """weight = 2:  p* ~ ((3/4)^2 / (1/4), (1/4)^2 / (3/4)) ~ (27/28, 1/28), the same target."""
    hp = align_distil.Theorem(weight=2.0)
    y = response(OPPOSITE, 1, align_distil.mixed_kl, hp=hp)
    found = align_distil.theorem_loss(batch(policy_rollout=y), hp)
    assert_terms(found, kd=0.5 * log(14 / 27) + 0.5 * log(14))


def test_what_an_even_length_makes_of_atkd_is_what_its_page_says() -> None:
    """Two easy tokens of four, or the authors' one, which is strictly below the lower median."""
    given = [[g, (1 - g) * 2 / 3, (1 - g) / 3] for g in (0.9, 0.8, 0.6, 0.4)]
    at = chunk(teacher=given, policy=[[1 / 3] * 3] * 4)
    y = response(at, 4, atkd.target_kl, atkd.other_kl)
    found = atkd.loss(batch(means={"easy": 0.5}, chosen=y), atkd.ATKD())
    target, other = (y.statistics[s][0] for s in (atkd.target_kl, atkd.other_kl))
    unsure = 1 - at.teacher[:, 0].exp()
    hard = unsure >= unsure.median()
    assert hard.sum() == 3
    authors = 0.2 * other[~hard].mean() + 0.8 * (target + other)[hard].mean()
    told = f"{float(sum(found.values())):.3f} here, with two easy tokens, and {float(authors):.3f}"
    assert told in (atkd.__doc__ or "")


def test_what_relaxing_the_least_probability_makes_is_what_the_page_says() -> None:
    """No token has 0.1: the likeliest alone, ln 16, or all that have the 0.01 of the released helper."""
    uniform = [[1 / 16] * 16]
    at = chunk(teacher=[[0.09] + [0.91 / 15] * 15], policy=uniform, teacher_ref=uniform)
    here, there = (float(q_kd.softmax_kl.of(at, q_kd.QKD(min_prob=least))) for least in (0.1, 0.01))
    text = " ".join((q_kd.__doc__ or "").split())
    assert f"is {here:.3f} here (one token) and {there:.3f} there" in text
