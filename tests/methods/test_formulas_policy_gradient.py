"""Every policy gradient, by hand: one to three response tokens."""

from collections.abc import Sequence
from dataclasses import replace
from math import log

import pytest
import torch

from methods import dppo, minillm, minillm_release, opd
from methods.batch import Batch
from methods.formulas import (
    clipped_error,
    clipped_gain,
    generalised_advantage,
    last_token,
    reverse_kl,
    teacher_kl,
)
from tests.methods.test_formulas import QUARTER, assert_terms, batch, chunk, response, view

L = log(2)


def test_a_generalised_advantage_by_hand() -> None:
    """Rewards 1, 2, 3, values 1/2, 1, 2, discount = trace = 1/2, between a prompt and padding.

    delta = 1 + 1/2 - 1/2, 2 + 1 - 1, 3 - 2 = 1, 2, 1;   A_3 = 1, A_2 = 2 + 1/4, A_1 = 1 + 9/16
    """
    reward, values = torch.tensor([[7.0, 1.0, 2.0, 3.0, 7.0]]), torch.tensor([[7.0, 0.5, 1.0, 2.0, 7.0]])
    mask = torch.tensor([[False, True, True, True, False]])
    found = generalised_advantage(reward, values, mask, 0.5, 0.5)
    assert found.tolist() == [[0, 25 / 16, 9 / 4, 1, 0]]


def test_a_clipped_gain_by_hand() -> None:
    """clip = 1/4: w A is cut at 5/4 A for A > 0 and at 3/4 A for A < 0, and never made better."""
    weight, advantage = torch.tensor([1.5, 1.5, 0.5, 0.5]), torch.tensor([2.0, -2.0, 2.0, -2.0])
    found = clipped_gain(weight.log(), advantage, 0.25)
    torch.testing.assert_close(found, torch.tensor([2.5, -3.0, 1.0, -1.5]))


def test_a_clipped_error_by_hand() -> None:
    """V = 3 is near V_old = 1 at 3/2: goal 0 (9 and 9/4), goal 4 (1 and 25/4);  V = 5/4 stays, goal 1/4."""
    value, goal = torch.tensor([3.0, 3.0, 1.25]), torch.tensor([0.0, 4.0, 0.25])
    assert clipped_error(value, torch.ones(3), goal, 0.5).tolist() == [9, 25 / 4, 1]


def test_the_last_token_is_that_of_the_response() -> None:
    y = view([[0, 1, 1, 0], [1, 1, 1, 1], [0, 1, 0, 0]], 7)
    assert last_token(y).int().tolist() == [[0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0]]


def sampled(means: Sequence[float] = (0.0, 1.0)) -> Batch:
    """Two tokens, in units of ln 2: policy / old = 1, 0; old / ref = 0, -1; teacher / teacher_ref = 1, -2.

    V_old = 1, 2 and V = 3, 2; a padded token behind. Off by default: mean 0, square 1.
    """
    y = view(
        [[1, 1, 0]],
        2,
        policy=[[0.5, 0.25, 0.9]],
        old=[[0.25, 0.25, 0.1]],
        ref=[[0.25, 0.5, 0.9]],
        teacher=[[0.5, 0.125, 0.9]],
        teacher_ref=[[0.25, 0.5, 0.1]],
    )
    values = {"old": torch.tensor([[L, 2 * L, 9.0]]), "policy": torch.tensor([[3 * L, 2 * L, 9.0]])}
    y = replace(y, state_values=values)
    return batch(means=dict(zip(("mean", "squared"), means, strict=True)), policy_rollout=y)


DPPO = dppo.DPPO(
    beta=2.0,
    discount=1.0,
    trace=0.5,
    clip=0.5,
    value_clip=L / 2,
    value_weight=0.5,
    kl=0.5,
    whiten=False,
)


def test_dppo_per_token_by_hand() -> None:
    """In units of L = ln 2.  r' = 2 - 0, -4 + 1/2;   delta = 2 + 2 - 1, -7/2 - 2 = 3, -11/2

    A = 3 - 11/4, -11/2 = 1/4, -11/2;   w = 2, 1:   gain = min(1/2, 3/2 1/4), -11/2;   policy = 41/16
    G = A + V_old = 5/4, -7/2;   V = 3, 2, near 3/2, 2:   error = 49/16, 121/4;   value = 1/4 (533/16) / 2
    """
    assert_terms(dppo.loss(sampled(), DPPO), policy=41 / 16 * L, value=533 / 128 * L**2)


def test_dppo_per_sequence_by_hand() -> None:
    """In units of L = ln 2.  r' = 0, 2 (1 - 2) + 1/2;   delta = 2 - 1, -3/2 - 2 = 1, -7/2

    A = 1 - 7/4, -7/2;   w = 2, 1:   gain = min(-3/2, 3/2 -3/4), -7/2;   policy = 5/2
    G = 1/4, -3/2;   V = 3, 2:   error = 121/16, 49/4;   value = 1/4 (317/16) / 2
    """
    assert_terms(dppo.sequence_loss(sampled(), DPPO), policy=5 / 2 * L, value=317 / 128 * L**2)


def test_dppo_whitens_by_the_mean_and_square_of_the_step() -> None:
    """A = 1/4, -11/2: mean -21/8, square 485/32, variance 529/64;   whitened 1, -1;   the goals stay.

    gain = min(2, 3/2), -1;   policy = -1/4
    """
    means = (-21 / 8 * L, 485 / 32 * L**2)
    found = dppo.loss(sampled(means), replace(DPPO, whiten=True))
    assert_terms(found, policy=-1 / 4, value=533 / 128 * L**2)


def test_the_moments_of_dppo_by_hand() -> None:
    """Per token A = 1/4, -11/2;  per sequence -3/4, -7/2;  both over two tokens."""
    token, sequence = (method.step_stats(sampled(), DPPO) for method in (dppo.TOKEN, dppo.SEQUENCE))
    expected = {"mean": (-21 / 4 * L, 2), "squared": (485 / 16 * L**2, 2)}
    assert {k: (float(a), int(n)) for k, (a, n) in token.items()} == {
        k: (pytest.approx(a, rel=1e-6), n) for k, (a, n) in expected.items()
    }
    assert float(sequence["mean"][0]) == pytest.approx(-17 / 4 * L, rel=1e-6)
    assert float(sequence["squared"][0]) == pytest.approx(205 / 16 * L**2, rel=1e-6)


def test_the_watched_reward_of_dppo_is_of_a_response_and_without_beta() -> None:
    """ln 2 - 2 ln 2, of one response."""
    total, count = dppo.TOKEN.watch(sampled(), DPPO)["reward"]
    assert (float(total), int(count)) == (pytest.approx(-L, rel=1e-6), 1)


def test_the_future_gain_of_minillm_by_hand() -> None:
    """teacher / old is 32, 8, 1/2 in a response of three and 4 in one of one:  (3 - 1) / 2, -1, 0 and 0."""
    y = view(
        [[1, 1, 1], [0, 1, 0]],
        4,
        teacher=[[0.5, 0.5, 0.25], [0.9, 0.5, 0.9]],
        old=[[1 / 64, 1 / 16, 0.5], [0.1, 0.125, 0.1]],
    )
    found = minillm.future_gain(y).where(y.mask, 0)
    torch.testing.assert_close(found, torch.tensor([[L, -L, 0.0], [0.0, 0.0, 0.0]]))


def test_minillm_by_hand() -> None:
    """q = (1/32, 31/32) twice and (1/2, 1/2), p = (1/2, 1/2) twice and (1/4, 3/4); four tokens in the step.

    q_old(y) = 1/64, 1/16, 1/2:   w = 2, 1/2, 1;   p / q_old = 32, 8, 1/2, R = ln 2, -ln 2, 0;   clip = 1/5

    single = [2 (1/32 ln 1/16 + 31/32 ln 31/16) + 1/2 ln 2 + 1/2 ln 2/3] / 4
    long = -(6/5 ln 2 - 4/5 ln 2) / 4 = -1/10 ln 2;   sft = 1/2 ln 4
    """
    unsure, sure = [0.5, 0.5], [1 / 32, 31 / 32]
    y = response(chunk(policy=[sure, sure, unsure], teacher=[unsure, unsure, [0.25, 0.75]]), 4, reverse_kl)
    old = torch.tensor([[1 / 64, 1 / 16, 1 / 2]]).log()
    y = replace(y, token_logps={**y.token_logps, "old": old})
    y_w = view([[1]], 1, policy=[[0.25]])
    of_sure, of_unsure = log(1 / 16) / 32 + 31 / 32 * log(31 / 16), 0.5 * log(2) + 0.5 * log(2 / 3)
    assert_terms(
        minillm.loss(batch(policy_rollout=y, chosen=y_w), minillm.MiniLLM(clip=0.2, sft_weight=0.5)),
        single=(2 * of_sure + of_unsure) / 4,
        long=-L / 10,
        sft=L,
    )


def test_opd_by_hand() -> None:
    """q = (1/4, 3/4), p = (1/2, 1/2), one of two tokens in the step:  (1/4 ln 1/2 + 3/4 ln 3/2) / 2."""
    y = response(QUARTER, 2, reverse_kl)
    expected = (0.25 * log(1 / 2) + 0.75 * log(3 / 2)) / 2
    assert_terms(opd.loss(batch(policy_rollout=y), opd.OPD()), kd=expected)


@pytest.mark.parametrize("discount, expected", [(0.0, 2 - 3 / 2 + 6 + 2), (0.5, 2 + 0 + 6 + 2)])
def test_sampled_opd_by_hand(discount: float, expected: float) -> None:
    """In units of ln 2: p / q_old = 1, -3, 6 along one response, 2 in one of one token; w = 2, 1/2, 1 and 1.

    A = 1, -3, 6 and 2 at discount 0;   A_2 = -3 + 6/2 = 0, A_1 = 1 + 0/2 at 1/2;   4 tokens
    """
    y = view(
        [[1, 1, 1], [0, 1, 0]],
        4,
        teacher=[[1 / 2, 1 / 16, 1 / 2], [0.1, 1 / 2, 0.9]],
        old=[[1 / 4, 1 / 2, 1 / 128], [0.9, 1 / 8, 0.1]],
        policy=[[1 / 2, 1 / 4, 1 / 128], [0.1, 1 / 8, 0.1]],
    )
    found = opd.sampled_loss(batch(policy_rollout=y), opd.SampledOPD(discount=discount))
    assert_terms(found, policy=-expected * L / 4)


def test_the_release_of_minillm_by_hand() -> None:
    """In units of L = ln 2.  p / q_old = 4, 1/2:   r = 4, -2, clipped 3, -2;   R = (3 - 2/2) / 2, -2 = 1, -2

    mean -1/2, square 5/2, variance 9/4:   A = 1, -1;   w = 2, 1/2:   gain = 5/4, -3/4;   long = -1/4
    single = [1/4 ln 1/2 + 3/4 ln 3/2] / 2;   sft = 1/2 3/4 ln 4;   kd = 1/2 1/4 [1/2 ln 2 + 1/2 ln 2/3]
    """
    hp = minillm_release.MiniLLMRelease(0.25, 0.5, 0.5, 3 * L, 0.5, 0.25)
    unsure, sure = [0.5, 0.5], [0.25, 0.75]
    y = response(chunk(policy=[sure, sure], teacher=[unsure, sure]), 2, reverse_kl)
    y = replace(y, token_logps={**y.token_logps, "old": torch.tensor([[1 / 8, 1 / 2]]).log()})
    y_w = response(chunk(policy=[sure], teacher=[unsure]), 1, teacher_kl)
    step = batch(policy_rollout=y, chosen=y_w)
    told = {name: (float(a), int(n)) for name, (a, n) in minillm_release.moments(step, hp).items()}
    assert told == {"mean": (pytest.approx(-L), 2), "squared": (pytest.approx(5 * L**2), 2)}
    step = replace(step, means={"mean": torch.tensor(-L / 2), "squared": torch.tensor(5 / 2 * L**2)})
    assert_terms(
        minillm_release.loss(step, hp),
        single=(0.25 * log(0.5) + 0.75 * log(1.5)) / 2,
        long=-1 / 4,
        sft=3 / 4 * L,
        kd=(0.5 * log(2) + 0.5 * log(2 / 3)) / 8,
    )
