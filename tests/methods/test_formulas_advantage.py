"""Every loss on the teacher's advantage, by hand: two or three tokens in the vocabulary."""

from math import log

import pytest
import torch
from torch import Tensor

from methods import adpa, adpa_release, q_kd
from methods.batch import Chunk, ViewName
from tests.methods.test_formulas import assert_terms, batch, chunk, response, view


def test_adpa_without_reference_by_hand() -> None:
    """One rollout token of two: pi = (1/4, 3/4), dpo = (4/5, 1/5), gamma_beta = 2; no reference is there.

    advantage = -2 (1/4 ln 4/5 + 3/4 ln 1/5) / 2;   sft = ln 4
    """
    hp = adpa.ADPA(gamma_beta=2.0)
    y_hat = response(chunk(policy=[[0.25, 0.75]], teacher=[[0.8, 0.2]]), 2, adpa.expected_logprob, hp=hp)
    y_w = view([[1]], 1, policy=[[0.25]])
    assert_terms(
        adpa.loss_without_reference(batch(chosen=y_w, student_rollout=y_hat), hp),
        sft=log(4),
        advantage=-(0.25 * log(4 / 5) + 0.75 * log(1 / 5)),
    )


@pytest.mark.parametrize("states", ["chosen", "rejected", "teacher_rollout"])
def test_adpa_on_other_states_by_hand(states: ViewName) -> None:
    """pi = (1/4, 3/4), dpo = (4/5, 1/5), ref = (1/2, 1/2) at one token of two, and no student's response.

    advantage = -(1/4 ln 8/5 + 3/4 ln 2/5) / 2;   sft = ln 4, or half of it where that token is all of y_w
    """
    hp = adpa.ADPA(gamma_beta=1.0, states=states)
    at = chunk(policy=[[0.25, 0.75]], teacher=[[0.8, 0.2]], teacher_ref=[[0.5, 0.5]])
    views = {"chosen": view([[1]], 1, policy=[[0.25]])}
    views[states] = response(at, 2, adpa.expected_advantage, hp=hp)
    assert set(adpa.needs(hp).views) == set(views)
    sft = log(4) / 2 if states == "chosen" else log(4)
    expected = -(0.25 * log(8 / 5) + 0.75 * log(2 / 5)) / 2
    assert_terms(adpa.loss(batch(**views), hp), sft=sft, advantage=expected)


def margins(at: Chunk, k: int) -> Tensor:
    """ADPA[release]'s log-ratios before the clip, in the teacher's order. [N, k]"""
    return adpa_release.margin(at, adpa_release.ADPARelease(k=k))[0]


def test_a_token_that_the_reference_does_not_list_has_the_smallest_listed_probability() -> None:
    """dpo = (1/8, 1/2, 3/8) lists tokens 1 and 2, ref = (5/8, 1/8, 1/4) lists 0 and 2.

    token 1: ln (1/2) / (3/8) = ln 4/3, though ref has 1/8 there;   token 2: ln (3/8) / (1/4) = ln 3/2
    """
    at = chunk(policy=[[0.5, 0.25, 0.25]], teacher=[[0.125, 0.5, 0.375]], teacher_ref=[[0.625, 0.125, 0.25]])
    torch.testing.assert_close(margins(at, 2), torch.tensor([[log(4 / 3), log(3 / 2)]]))


def test_no_listed_probability_is_below_a_ten_millionth() -> None:
    """dpo = (1, 2e-7), ref = (1, 1e-9): ln 2e-7 / 1e-7 = ln 2;   the other way round: -ln 2."""
    sure, surer = [1.0, 2e-7], [1.0, 1e-9]
    at = chunk(policy=[[0.5, 0.5]] * 2, teacher=[sure, surer], teacher_ref=[surer, sure])
    torch.testing.assert_close(margins(at, 2), torch.tensor([[0.0, log(2)], [0.0, -log(2)]]))


def test_the_released_advantage_is_between_nothing_and_one() -> None:
    """pi = (5/8, 1/4, 1/8), dpo = (1/8, 5/8, 1/4), ref = (7/16, 1/2, 1/16).

    1/4 ln 5/4 as it is, 1/8 ln 4 at most 1/8, 5/8 ln 2/7 nothing (1e-8);  of the likeliest two, the same
    without the last, which ref does not list: dpo's own 1/4 for it, ln 1.
    """
    at = chunk(
        policy=[[0.625, 0.25, 0.125]], teacher=[[0.125, 0.625, 0.25]], teacher_ref=[[0.4375, 0.5, 0.0625]]
    )
    every, two = (
        adpa_release.clipped_advantage.of(at, adpa_release.ADPARelease(k=k)).double() for k in (3, 2)
    )
    expected = torch.tensor([0.25 * log(5 / 4) + 0.125 + 0.625e-8]).double()
    torch.testing.assert_close(every, expected, rtol=1e-6, atol=1e-9)
    expected = torch.tensor([0.25 * log(5 / 4) + 0.125e-8]).double()
    torch.testing.assert_close(two, expected, rtol=1e-6, atol=1e-9)


def test_adpa_as_released_by_hand() -> None:
    """Two responses of 3 and 1 tokens with gains 1/2, 1/4, 1/8 and 1/8; y_w of 2 and 1 tokens; weight 8/5.

    The last token of each has no gain and counts:  advantage = -8/5 ((1/2 + 1/4) / 3 + 0 / 1) / 2 = -1/5
    sft = ((ln 2 + ln 4) / 2 + ln 8) / 2 = 9/4 ln 2
    """
    gains = torch.tensor([[9.0, 0.5, 0.25, 0.125], [0.125, 9.0, 9.0, 9.0]])
    y_hat = view([[0, 1, 1, 1], [1, 0, 0, 0]], 4, {adpa_release.clipped_advantage: gains})
    y_w = view([[1, 1], [0, 1]], 3, policy=[[0.5, 0.25], [0.9, 0.125]])
    found = adpa_release.loss(batch(2, chosen=y_w, student_rollout=y_hat), adpa_release.ADPARelease(1.6))
    assert_terms(found, sft=9 / 4 * log(2), advantage=-1 / 5)


def test_the_share_of_clipped_advantages_is_watched_by_hand() -> None:
    """dpo : ref is 3 and 1/3, ln 3 > 1 and -ln 3 < 0; then 4/3, within, and 4/5, below 0:  3 of 4.

    The last token, where nothing would be clipped, is no part of the loss and not counted.
    """
    at = chunk(
        policy=[[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]],
        teacher=[[0.75, 0.25], [0.5, 0.5], [0.5, 0.5]],
        teacher_ref=[[0.25, 0.75], [0.375, 0.625], [0.4, 0.4]],
    )
    hp, release = adpa_release.ADPARelease(), adpa_release.RELEASE
    y_hat = response(at, 3, adpa_release.share_clipped, hp=hp)
    total, count = release.watch(batch(student_rollout=y_hat), hp)["advantages clipped"]
    assert float(total / count) == 0.75 > release.limits["advantages clipped"] == 0.5


ADVANTAGES = chunk(
    policy=[[0.5, 0.375, 0.125]], teacher=[[0.5, 0.25, 0.25]], teacher_ref=[[0.5, 0.375, 0.125]]
)


def test_the_likeliest_token_of_q_argmax_by_hand() -> None:
    """dpo : ref is 1, 2/3 and 2, pi = (1/2, 3/8, 1/8):  ln 8;  where only dpo's 1/2 is plausible, ln 2."""
    for min_prob, expected in [(0.0, log(8)), (0.1, log(8)), (0.3, log(2)), (0.9, log(2))]:
        found = q_kd.argmax_nll.of(ADVANTAGES, q_kd.QKD(min_prob=min_prob))
        torch.testing.assert_close(found, torch.tensor([expected]))


def test_the_divergence_of_q_softmax_by_hand() -> None:
    """dpo : ref is 1, 2/3 and 2, pi = (1/2, 3/8, 1/8).

    beta = 1: (3/11, 2/11, 6/11), 3/11 ln 6/11 + 2/11 ln 16/33 + 6/11 ln 48/11
    beta = 2: (9/49, 4/49, 36/49), 9/49 ln 18/49 + 4/49 ln 32/147 + 36/49 ln 288/49
    where only dpo's 1/2 is plausible: (1, 0, 0), ln 2
    """
    of_one = 3 / 11 * log(6 / 11) + 2 / 11 * log(16 / 33) + 6 / 11 * log(48 / 11)
    of_two = 9 / 49 * log(18 / 49) + 4 / 49 * log(32 / 147) + 36 / 49 * log(288 / 49)
    for hp, expected in [
        (q_kd.QKD(beta=1.0), of_one),
        (q_kd.QKD(beta=2.0), of_two),
        (q_kd.QKD(beta=1.0, min_prob=0.3), log(2)),
        (q_kd.QKD(beta=1.0, min_prob=0.9), log(2)),
    ]:
        torch.testing.assert_close(q_kd.softmax_kl.of(ADVANTAGES, hp), torch.tensor([expected]))


@pytest.mark.parametrize("method", [q_kd.ARGMAX, q_kd.SOFTMAX], ids=lambda m: m.name)
def test_q_distillation_is_a_mean_over_each_response_and_then_over_responses(method: q_kd.Method) -> None:
    """Responses of 2 and 1 tokens with 1, 2 and 4, gamma = 2:  q = 2 (3/2 + 4) / 2;   sft = ln 2 / 2."""
    hp = q_kd.QKD(gamma=2.0)
    (of_states,) = method.needs(hp).views["student_rollout"].stats
    y_hat = view([[0, 1, 1], [0, 1, 0]], 3, {of_states: torch.tensor([[9.0, 1.0, 2.0], [9.0, 4.0, 9.0]])})
    y_w = view([[1, 0], [0, 0]], 2, policy=[[0.5, 0.9], [0.9, 0.9]])
    assert_terms(method.loss(batch(2, chosen=y_w, student_rollout=y_hat), hp), sft=log(2) / 2, q=11 / 2)
