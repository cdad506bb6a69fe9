"""Every loss over rankings of responses, by hand: two or three responses of one or two tokens."""

from dataclasses import replace
from math import log, sqrt

import pytest
import torch

from methods import pad, pro
from methods.batch import Batch
from methods.formulas import plackett_luce, ranking_logprobs
from tests.methods.test_formulas import assert_terms, batch, logs, view

THREE = [1 / 3, 1 / 6, 1 / 4, 1 / 12, 1 / 10, 1 / 15]  # of ln 3, ln 2, ln 1: 012, 021, 102, 120, 201, 210


def test_the_probability_of_a_ranking_by_hand() -> None:
    """Scores ln 3, ln 2, 0 in this order: 3/6 2/3 1/1 = 1/3;   in the other: 1/6 2/5 3/3 = 1/15."""
    found = plackett_luce(torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]]).log())
    torch.testing.assert_close(found, logs([1 / 3, 1 / 15]))


def test_the_probabilities_of_all_rankings_by_hand() -> None:
    """3/6 2/3, 3/6 1/3, 2/6 3/4, 2/6 1/4, 1/6 3/5, 1/6 2/5: the first places in the responses' order."""
    torch.testing.assert_close(ranking_logprobs(logs([[3.0, 2.0, 1.0]])), logs([THREE]))


def pair(selection: list[float]) -> Batch:
    """Two prompts with two responses each, of geometric mean probabilities 1/4 : 1/12 and 1/2 : 1/2.

    So the policy's scores differ by ln 3 and by nothing, the teacher's selection scores by what is given.
    """
    y = view(
        [[1, 1], [0, 1], [1, 0], [1, 0]],
        5,
        policy=[[0.5, 0.125], [0.9, 1 / 12], [0.5, 0.9], [0.5, 0.9]],
        teacher=[[0.5, 0.5], [0.9, 0.125], [0.5, 0.9], [0.5, 0.9]],
    )
    return batch(2, group=replace(y, sequence_scores={"selection": torch.tensor(selection)}))


TWO = pad.PAD(beta=1.0, responses=2, samples=2)
EQUAL = [log(1 / 2)] * 4
# p = (1/2, 1/2), q = (3/4, 1/4), m = (5/8, 3/8)
TRUE_JSD = (0.5 * log(4 / 5) + 0.5 * log(4 / 3) + 0.75 * log(6 / 5) + 0.25 * log(2 / 3)) / 2
REVERSED_JSD = (5 / 8 * log(5 / 4) + 3 / 8 * log(3 / 4) + 5 / 8 * log(5 / 6) + 3 / 8 * log(3 / 2)) / 2


def test_pad_of_two_responses_by_hand() -> None:
    """Teacher (1/2, 1/2), student (3/4, 1/4), and a second prompt where both are (1/2, 1/2).

    L = [1/2 KL((1/2, 1/2) || (5/8, 3/8)) + 1/2 KL((3/4, 1/4) || (5/8, 3/8))] / 2
    """
    assert_terms(pad.loss(pair(EQUAL), TWO), ppd=TRUE_JSD / 2)


def test_pad_as_released_by_hand() -> None:
    """The same two, with [1/2 KL((5/8, 3/8) || (1/2, 1/2)) + 1/2 KL((5/8, 3/8) || (3/4, 1/4))] / 2."""
    assert_terms(pad.release_loss(pair(EQUAL), TWO), ppd=REVERSED_JSD / 2)


def test_beta_scales_both_scores_of_pad() -> None:
    """Student 1/4 : 1/(4 sqrt 3), a difference of ln 3 / 2, teacher of -ln 3 / 2; beta = 2.

    p = (1/4, 3/4), q = (3/4, 1/4), m = (1/2, 1/2):  L = 3/4 ln 3/2 + 1/4 ln 1/2
    """
    y = view([[1], [1]], 2, policy=[[0.25], [0.25 / sqrt(3)]])
    y = replace(y, sequence_scores={"selection": torch.tensor([-log(3) / 2, 0.0])})
    found = pad.loss(batch(group=y), replace(TWO, beta=2.0))
    assert_terms(found, ppd=0.75 * log(3 / 2) + 0.25 * log(1 / 2))


def test_alpha_mixes_the_teachers_likelihood_and_its_selection() -> None:
    """alpha = 1/4: 1/4 (-ln 2) + 3/4 s = 1/4 (-3 ln 2) + 0 with s = -2/3 ln 2: teacher (1/2, 1/2) again."""
    found = pad.loss(pair([-2 / 3 * log(2), 0.0, 0.0, 0.0]), replace(TWO, alpha=0.25))
    assert_terms(found, ppd=TRUE_JSD / 2)


def test_at_alpha_one_the_selection_is_not_read() -> None:
    """Likelihoods 1/2 : 1/8 of the teacher, 1/8 : 1/2 of the student:  p = (4/5, 1/5), q = (1/5, 4/5)."""
    y = view([[1], [1]], 2, policy=[[0.125], [0.5]], teacher=[[0.5], [0.125]])
    found = pad.loss(batch(group=y), replace(TWO, alpha=1.0))
    assert_terms(found, ppd=0.8 * log(8 / 5) + 0.2 * log(2 / 5))


def triple(selection: list[float]) -> Batch:
    """Three responses with scores ln 1/2, ln 1/3, ln 1/6: as far apart as ln 3, ln 2, 0."""
    y = view([[1], [1], [1]], 3, policy=[[1 / 2], [1 / 3], [1 / 6]])
    return batch(group=replace(y, sequence_scores={"selection": torch.tensor(selection)}))


ALL = pad.PAD(beta=1.0, responses=3, samples=3)


def test_pad_of_three_responses_by_hand() -> None:
    """A teacher without preference, 1/6 each, to 1/3, 1/6, 1/4, 1/12, 1/10, 1/15; m is half of both."""
    halves = [(1 / 6 + q) / 2 for q in THREE]
    of_teacher = sum(log(1 / 6 / m) / 6 for m in halves)
    of_student = sum(q * log(q / m) for q, m in zip(THREE, halves, strict=True))
    assert_terms(pad.loss(triple([-1.0, -1.0, -1.0]), ALL), ppd=(of_teacher + of_student) / 2)


def test_vpd_by_hand() -> None:
    """The teacher ranks the third first, then the first:  -ln(1/6 3/5) = ln 10."""
    assert_terms(pad.vpd_loss(triple([-2.0, -3.0, -1.0]), ALL), vpd=log(10))


def test_pad_ranks_no_more_than_its_samples() -> None:
    with pytest.raises(ValueError, match=r"responses is at most samples \(4\), not 5"):
        pad.PAD(responses=5, samples=4)


def test_pro_of_two_responses_by_hand() -> None:
    """Policy 1/4 : 1/12 a token over two tokens each, of which the teacher finds the second better by 2.

    rank: -ln (1/12)^2 / ((1/12)^2 + (1/4)^2) = ln 10;   sft: 0.05 (2 - 1)^2 2 ln 12, a sum over tokens
    and a second prompt, whose responses are as good: ln 2, and 0.05 ln 2 of the first response
    """
    y = view([[1, 1], [1, 1], [1, 0], [1, 0]], 6, policy=[[0.5, 0.125], [1 / 12, 1 / 12], [0.5, 1], [0.9, 1]])
    of = batch(2, group=replace(y, sequence_scores={"selection": torch.tensor([-3.0, -1.0, -1.0, -1.0])}))
    found = pro.loss(of, pro.PRO(responses=2, samples=2))
    assert_terms(found, rank=(log(10) + log(2)) / 2, sft=0.05 * (2 * log(12) + log(2)) / 2)


def test_pro_of_three_responses_by_hand() -> None:
    """Policy 1/2, 1/3, 1/6; the teacher ranks the third first (0), then the first (-1), the second last (-3).

    k = 1: gaps 1 and 3, own 3:   -ln (1/6)^3 / ((1/6)^3 + 1/2 + (1/3)^3) = ln (1 + 216 (1/2 + 1/27)) = ln 117
    k = 2: gap 2, own 2:          -ln (1/2)^2 / ((1/2)^2 + (1/3)^2) = ln 13/9
    sft: 0.05 (3 - 1)^2 ln 6
    """
    found = pro.loss(triple([-1.0, -3.0, 0.0]), pro.PRO(responses=3, samples=3))
    assert_terms(found, rank=log(117) + log(13 / 9), sft=0.2 * log(6))


def test_pro_ranks_no_more_than_its_samples() -> None:
    with pytest.raises(ValueError, match=r"responses is at most samples \(4\), not 5"):
        pro.PRO(responses=5, samples=4)
