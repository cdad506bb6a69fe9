"""Where the losses over rankings must agree, and where PAD and its release differ."""

from dataclasses import replace
from math import exp, lgamma, log

import pytest
import torch
from torch import Tensor

from methods import pad, pro, simpo
from methods.batch import Batch, View
from methods.formulas import jsd, plackett_luce, ranking_logprobs
from tests.methods.test_formulas import batch, view

EXAMPLES = 5


def group(n: int, selection: Tensor | None = None) -> Batch:
    """EXAMPLES prompts with n responses of uneven length each, in float64; the teacher's scores are given."""
    draw, rows = torch.Generator().manual_seed(n), EXAMPLES * n
    lengths = 1 + torch.arange(rows) % 4
    y = View(
        torch.arange(4) < lengths[:, None],
        int(lengths.sum()),
        token_logps={"policy": -torch.rand(rows, 4, generator=draw).double() - 0.01},
        sequence_scores={
            "selection": torch.randn(rows, generator=draw).double() if selection is None else selection
        },
    )
    return batch(EXAMPLES, group=y)


def setting(n: int, beta: float = 3.0) -> pad.PAD:
    return pad.PAD(beta=beta, responses=n, samples=n)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_the_probabilities_of_all_rankings_add_up_to_one(n: int) -> None:
    found = ranking_logprobs(
        4 * torch.randn(EXAMPLES, n, generator=torch.Generator().manual_seed(n)).double()
    )
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(EXAMPLES).double())


def test_a_ranking_of_two_is_a_sigmoid_of_the_difference() -> None:
    """P(first over second) = sigmoid(s_1 - s_2)."""
    scores = torch.randn(EXAMPLES, 2, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(plackett_luce(scores).exp(), torch.sigmoid(scores[:, 0] - scores[:, 1]))


def test_no_constant_of_a_prompt_changes_a_ranking() -> None:
    scores = torch.randn(EXAMPLES, 4, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(ranking_logprobs(scores + 7), ranking_logprobs(scores))


def test_pad_of_two_responses_is_a_jsd_of_two_coins() -> None:
    """Of sigmoid(beta Delta) of each model's scores, and at most ln 2."""
    of, hp = group(2), setting(2)
    teacher, student = pad.scores(of, hp)
    coins = [torch.sigmoid(s[:, 0] - s[:, 1]) for s in (teacher, student)]
    p, q = (torch.stack([c, 1 - c], -1).log() for c in coins)
    found = pad.loss(of, hp)["ppd"]
    torch.testing.assert_close(found, jsd(p, q).mean())
    assert 0 < float(found) < log(2)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_pad_is_nothing_where_teacher_and_student_score_alike(n: int) -> None:
    """Up to a constant of each prompt; and so is its release."""
    of = group(n)
    scores = pad.scores(of, setting(n, beta=1.0))[1] + torch.arange(EXAMPLES)[:, None]
    alike = group(n, scores.reshape(-1))
    assert float(pad.loss(alike, setting(n))["ppd"]) == pytest.approx(0, abs=1e-12)
    assert float(pad.release_loss(alike, setting(n))["ppd"]) == pytest.approx(0, abs=1e-12)
    assert float(pad.loss(of, setting(n))["ppd"]) > 0.01


def test_vpd_of_two_responses_is_simpo_without_a_margin() -> None:
    """On the response that the teacher scores higher against the other: values and gradients."""
    of, hp = group(2), setting(2)
    y = of.group
    logps = y.logps("policy").clone().requires_grad_()
    better = y.scores("selection").view(-1, 2).argmax(-1)
    assert set(better.tolist()) == {0, 1}

    def at(column: Tensor) -> View:
        rows = 2 * torch.arange(EXAMPLES) + column
        return View(y.mask[rows], 1, token_logps={"policy": logps[rows]})

    pairs = batch(EXAMPLES, chosen=at(better), rejected=at(1 - better))
    theirs = simpo.loss(pairs, simpo.SimPO(beta=3.0, margin=0.0))["simpo"]
    ours = pad.vpd_loss(replace(of, views={"group": replace(y, token_logps={"policy": logps})}), hp)["vpd"]
    torch.testing.assert_close(ours, theirs)
    (ours_gradient,), (gradient,) = (torch.autograd.grad(x, logps) for x in (ours, theirs))
    torch.testing.assert_close(ours_gradient, gradient)


def test_the_released_divergence_has_no_bound_and_the_papers_is_at_most_ln_two() -> None:
    """Two responses: teacher (1 - e, e), student (e, 1 - e), m = (1/2, 1/2).

    release 1/2 ln 1 / (4 e (1 - e)), for e = 1/100 above ln 2 and e = 1/10000 further;
    paper ln 2 + e ln e + (1 - e) ln (1 - e), below it
    """
    for e in (1e-2, 1e-4):
        y = view([[1], [1]], 2, policy=[[e], [1 - e]])
        of = batch(group=replace(y, sequence_scores={"selection": torch.tensor([log((1 - e) / e), 0.0])}))
        paper, released = (float(f(of, setting(2, 1.0))["ppd"]) for f in (pad.loss, pad.release_loss))
        assert paper == pytest.approx(log(2) + e * log(e) + (1 - e) * log(1 - e), rel=1e-5)
        assert released == pytest.approx(-log(4 * e * (1 - e)) / 2, rel=1e-5)
        assert exp(paper) < 2 < exp(released)


def test_pro_of_responses_that_are_one_apart_is_a_plackett_luce_contrast() -> None:
    """Two responses whose scores differ by 1: PRO's rank term is VPD's at beta 1, value and gradient."""
    of = group(2, torch.tensor([0.0, -1.0] * EXAMPLES).double())
    logps = of.group.logps("policy").clone().requires_grad_()
    of = batch(EXAMPLES, group=replace(of.group, token_logps={"policy": logps}))
    ours = pro.loss(of, pro.PRO(responses=2, samples=2))["rank"]
    theirs = pad.vpd_loss(of, setting(2, beta=1.0))["vpd"]
    torch.testing.assert_close(ours, theirs)
    (ours_gradient,), (gradient,) = (torch.autograd.grad(x, logps) for x in (ours, theirs))
    torch.testing.assert_close(ours_gradient, gradient)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_pro_of_responses_that_are_as_good_has_no_contrast(n: int) -> None:
    """Every temperature is infinite: ln n! whatever the policy says, and no gradient but the SFT term's."""
    of = group(n, torch.zeros(EXAMPLES * n).double())
    logps = of.group.logps("policy").clone().requires_grad_()
    of = batch(EXAMPLES, group=replace(of.group, token_logps={"policy": logps}))
    rank = pro.loss(of, pro.PRO(responses=n, samples=n))["rank"]
    assert float(rank.detach()) == pytest.approx(lgamma(n + 1))
    assert not torch.autograd.grad(rank, logps)[0].any()


def test_the_order_in_which_pro_finds_its_responses_does_not_matter() -> None:
    of, hp = group(4), pro.PRO(sft_weight=0.3)
    turned = torch.arange(EXAMPLES * 4).view(-1, 4).roll(1, -1).flatten()
    y = of.group
    other = View(
        y.mask[turned],
        y.step_tokens,
        token_logps={"policy": y.logps("policy")[turned]},
        sequence_scores={"selection": y.scores("selection")[turned]},
    )
    torch.testing.assert_close(pro.loss(batch(EXAMPLES, group=other), hp), pro.loss(of, hp))
