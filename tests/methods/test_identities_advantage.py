"""ADPA's formula against its released code: each difference alone, and where both say the same."""

from math import log

import pytest
import torch
from torch import Tensor

from methods import adpa, adpa_release
from methods.batch import Batch, Chunk, Statistic
from tests.methods.test_formulas import assert_terms, batch, chunk, view

PAPER = adpa.ADPA(gamma_beta=1.0)


def gains(at: Chunk, k: int) -> tuple[float, float]:
    """E_pi[A] of the only state: over the columns that are there, and as released over the k likeliest."""
    released = adpa_release.clipped_advantage.of(at, adpa_release.ADPARelease(weight=1.0, k=k))
    return float(adpa.expected_advantage.of(at, PAPER)), float(released)


def first_columns(at: Chunk, k: int) -> Chunk:
    """What a support of k leaves where the teacher's likeliest tokens stand first."""
    return Chunk(at.realised, {role: p[:, :k] for role, p in at.logprobs.items()})


def test_the_clip_hides_what_the_teacher_has_unlearned() -> None:
    """V = k = 2: dpo = (3/4, 1/4), ref = (1/4, 3/4), pi = (1/2, 1/2).

    paper 1/2 ln 3 - 1/2 ln 3 = 0;   release 1/2 1 + 1/2 0
    """
    at = chunk(policy=[[0.5, 0.5]], teacher=[[0.75, 0.25]], teacher_ref=[[0.25, 0.75]])
    paper, released = gains(at, 2)
    assert paper == pytest.approx(0, abs=1e-7)
    assert released == pytest.approx(1 / 2, rel=1e-6)


def test_the_clip_would_leave_nothing_of_adpa_without_reference() -> None:
    """A = log pi_dpo <= 0 everywhere: a reference of ones leaves 1e-8 of each, the paper's -1/2 ln 4."""
    at = chunk(policy=[[0.5, 0.5]], teacher=[[0.5, 0.5]], teacher_ref=[[1.0, 1.0]])
    paper, released = gains(at, 2)
    assert paper == pytest.approx(-log(2), rel=1e-6)
    assert released == pytest.approx(1e-8, rel=1e-6)


def test_what_lies_outside_the_listed_tokens_adds_nothing() -> None:
    """k = 1: dpo = (1/2, 3/8, 1/8), ref = (3/8, 5/16, 5/16), pi = (1/2, 1/4, 1/4).

    release 1/2 ln 4/3, as the paper over a support of 1;   the paper over V has 1/4 ln 6/5 + 1/4 ln 2/5 more
    """
    at = chunk(
        policy=[[0.5, 0.25, 0.25]], teacher=[[0.5, 0.375, 0.125]], teacher_ref=[[0.375, 0.3125, 0.3125]]
    )
    paper, released = gains(at, 1)
    assert released == pytest.approx(log(4 / 3) / 2, rel=1e-6)
    assert released == pytest.approx(gains(first_columns(at, 1), 1)[0], rel=1e-6)
    assert paper - released == pytest.approx(0.25 * log(6 / 5) + 0.25 * log(2 / 5), rel=1e-5)


def test_a_reference_that_does_not_list_a_token_is_made_up() -> None:
    """k = 1: dpo = (1/2, 3/8, 1/8) lists token 0, ref = (3/8, 1/2, 1/8) token 1;  pi = (1/2, 1/4, 1/4).

    paper over that token 1/2 ln 4/3;   release 1/2 ln (1/2) / (1/2) = 0, for dpo's own 1/2 is in ref's place
    """
    at = chunk(policy=[[0.5, 0.25, 0.25]], teacher=[[0.5, 0.375, 0.125]], teacher_ref=[[0.375, 0.5, 0.125]])
    paper, _ = gains(first_columns(at, 1), 1)
    _, released = gains(at, 1)
    assert paper == pytest.approx(log(4 / 3) / 2, rel=1e-6)
    assert released == pytest.approx(0, abs=1e-7)


def both_losses(gain: Tensor, mask: list[list[int]], of_w: list[list[float]]) -> tuple[dict, dict]:
    """Terms of paper and release where every state has the same gain in both."""
    stats: dict[Statistic, Tensor] = {
        adpa.expected_advantage: gain,
        adpa_release.clipped_advantage: gain,
    }
    y_hat = view(mask, sum(map(sum, mask)), stats)
    y_w = view(mask, sum(map(sum, mask)), policy=of_w)
    of: Batch = batch(len(mask), chosen=y_w, student_rollout=y_hat)
    return adpa.loss(of, PAPER), adpa_release.loss(of, adpa_release.ADPARelease(weight=1.0))


def test_the_released_end_of_turn_has_no_gain_and_counts() -> None:
    """One response of two tokens with gains 1 and 2:  paper -3/2, release -1/2;  sft the same."""
    paper, released = both_losses(torch.tensor([[1.0, 2.0]]), [[1, 1]], [[0.5, 0.5]])
    assert_terms(paper, sft=log(2), advantage=-3 / 2)
    assert_terms(released, sft=log(2), advantage=-1 / 2)


def test_the_released_mean_is_of_each_response_first() -> None:
    """Gains 1, 0 and 4, 4, 4, 0 (no end of turn has any), log-probs -ln 2 and -ln 4.

    paper (1 + 12) / 6, release (1/2 + 3) / 2;   sft (2 ln 2 + 4 ln 4) / 6 and (ln 2 + ln 4) / 2
    """
    gain = torch.tensor([[1.0, 0.0, 9.0, 9.0], [4.0, 4.0, 4.0, 0.0]])
    paper, released = both_losses(gain, [[1, 1, 0, 0], [1, 1, 1, 1]], [[0.5] * 4, [0.25] * 4])
    assert_terms(paper, sft=10 / 6 * log(2), advantage=-13 / 6)
    assert_terms(released, sft=3 / 2 * log(2), advantage=-7 / 4)


def test_paper_and_release_agree_where_nothing_sets_them_apart() -> None:
    """No end of turn with a gain, one length, every listed token in both lists with 0 < A < 1: k = 2 of 3.

    dpo = (1/2, 3/8, 1/8), ref = (3/8, 5/16, 5/16), pi = (1/2, 1/4, 1/4):  1/2 ln 4/3 + 1/4 ln 6/5
    """
    at = chunk(
        policy=[[0.5, 0.25, 0.25]], teacher=[[0.5, 0.375, 0.125]], teacher_ref=[[0.375, 0.3125, 0.3125]]
    )
    (paper, _), (_, released) = gains(first_columns(at, 2), 2), gains(at, 2)
    assert paper == pytest.approx(0.5 * log(4 / 3) + 0.25 * log(6 / 5), rel=1e-6)
    assert released == pytest.approx(paper, rel=1e-6)
