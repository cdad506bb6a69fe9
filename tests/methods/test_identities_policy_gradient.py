"""What clipped surrogates, advantages and rewards of a policy's own responses must agree in."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor

from methods import dppo, minillm, minillm_release, opd
from methods.api import Method
from methods.batch import Batch, Role, View
from methods.formulas import clipped_gain, generalised_advantage, kl, reverse_kl
from tests.methods.synthetic import EVERYTHING, policy_for, step_of, world, written

MASK = torch.tensor([[0, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
PLAIN = dppo.DPPO(trace=1.0, discount=1.0, whiten=False)


def drawn(seed: int = 0) -> View:
    """Responses that the policy has just drawn, in float64, of a policy without a value yet."""
    draw = torch.Generator().manual_seed(seed)
    roles: tuple[Role, ...] = ("old", "ref", "teacher", "teacher_ref")
    logps = {role: -torch.rand(MASK.shape, generator=draw).double() for role in roles}
    nothing = torch.zeros(MASK.shape).double()
    return View(
        MASK,
        int(MASK.sum()),
        {reverse_kl: nothing},
        {**logps, "policy": logps["old"].clone().requires_grad_()},
        {"policy": nothing, "old": nothing},
    )


def of_step(y: View, hp: dppo.DPPO, method: dppo.Method = dppo.TOKEN) -> Batch:
    """The batch of a whole step."""
    of = Batch({"policy_rollout": y}, len(MASK))
    return replace(of, means={name: a / n for name, (a, n) in method.step_stats(of, hp).items()})


def reward_to_go(reward: Tensor) -> Tensor:
    """sum_{u >= t} r_u over each response."""
    reward = reward.where(MASK, 0)
    return torch.stack([reward[:, t:].sum(-1) for t in range(MASK.shape[1])], -1).where(MASK, 0)


def test_without_values_and_discount_an_advantage_is_the_reward_to_go() -> None:
    reward = torch.randn(MASK.shape, generator=torch.Generator().manual_seed(0)).double()
    found = generalised_advantage(reward, torch.zeros_like(reward), MASK, 1.0, 1.0)
    torch.testing.assert_close(found, reward_to_go(reward))


def test_at_trace_one_an_advantage_is_the_reward_to_go_less_the_value() -> None:
    """All other values cancel."""
    draw = torch.Generator().manual_seed(0)
    reward, values = (torch.randn(MASK.shape, generator=draw).double() for _ in range(2))
    found = generalised_advantage(reward, values, MASK, 1.0, 1.0)
    torch.testing.assert_close(found, (reward_to_go(reward) - values).where(MASK, 0))


def test_at_trace_nothing_an_advantage_is_of_one_step() -> None:
    """r_t + discount * V(s_t+1) - V(s_t); the last token has no state behind it."""
    draw = torch.Generator().manual_seed(0)
    reward, values = (torch.randn(MASK.shape, generator=draw).double() for _ in range(2))
    behind = torch.cat([values[:, 1:], torch.zeros(len(MASK), 1)], -1)
    behind = behind.where(torch.cat([MASK[:, 1:], torch.zeros(len(MASK), 1).bool()], -1), 0)
    found = generalised_advantage(reward, values, MASK, 0.9, 0.0)
    torch.testing.assert_close(found, (reward + 0.9 * behind - values).where(MASK, 0))


@pytest.mark.parametrize("kl", [0.0, 0.3])
def test_both_rewards_of_dppo_give_the_first_token_the_same_advantage(kl: float) -> None:
    """Without discount the sum is the same wherever it is given; behind the first token it is not."""
    y, hp = drawn(), replace(PLAIN, kl=kl)
    token, sequence = (dppo.advantage(y, hp, per_token) for per_token in (True, False))
    first = MASK & (MASK.cumsum(-1) == 1)
    last = MASK & (MASK.flip(-1).cumsum(-1).flip(-1) == 1)
    torch.testing.assert_close(token[first], sequence[first])
    assert (token - sequence)[MASK & ~first].abs().min() > 1e-3
    assert (first & last).sum() == 1


def test_a_surrogate_at_weight_one_has_the_gradient_of_the_log_prob_times_the_advantage() -> None:
    draw = torch.Generator().manual_seed(0)
    log_weight, advantage = (
        torch.zeros(20).double().requires_grad_(),
        torch.randn(20, generator=draw).double(),
    )
    gain = clipped_gain(log_weight, advantage, 0.2)
    torch.testing.assert_close(gain.detach(), advantage)
    torch.testing.assert_close(torch.autograd.grad(gain.sum(), log_weight)[0], advantage)


def test_a_surrogate_has_no_gradient_beyond_the_clip_and_one_back() -> None:
    """w = 2 with A > 0 and w = 1/2 with A < 0 have gone far enough; the others are drawn back."""
    log_weight = torch.tensor([2.0, 2.0, 0.5, 0.5]).log().requires_grad_()
    gain = clipped_gain(log_weight, torch.tensor([1.0, -1.0, 1.0, -1.0]), 0.2)
    (gradient,) = torch.autograd.grad(gain.sum(), log_weight)
    torch.testing.assert_close(gradient, torch.tensor([0.0, -2.0, 0.5, 0.0]))


@pytest.mark.parametrize("method", [dppo.TOKEN, dppo.SEQUENCE], ids=lambda m: m.name)
def test_the_first_pass_of_dppo_is_a_plain_policy_gradient(method: dppo.Method) -> None:
    """d L / d log pi = - A / tokens, at responses of the policy itself."""
    y = drawn()
    found = method.loss(of_step(y, PLAIN, method), PLAIN)["policy"]
    (gradient,) = torch.autograd.grad(found, y.logps("policy"))
    expected = -dppo.advantage(y, PLAIN, method is dppo.TOKEN) / MASK.sum()
    torch.testing.assert_close(gradient, expected)
    assert gradient.abs().max() > 1e-3


def test_the_first_pass_of_minillm_is_a_plain_policy_gradient() -> None:
    """d L / d log q = - R / tokens, R the mean of what is still to come of log p / q."""
    y = drawn()
    y_w = replace(y, token_logps={"policy": y.logps("old")})
    of = Batch({"policy_rollout": y, "chosen": y_w}, len(MASK))
    found = minillm.loss(of, minillm.MiniLLM(sft_weight=0.0))
    (gradient,) = torch.autograd.grad(found["long"], y.logps("policy"))
    gain = y.logps("teacher") - y.logps("old")
    to_come = reward_to_go(gain) - gain.where(MASK, 0)
    left = MASK.flip(-1).cumsum(-1).flip(-1) - 1
    torch.testing.assert_close(gradient, -(to_come / left.clamp(min=1) / MASK.sum()).where(MASK, 0))


def test_a_whitened_advantage_has_no_scale() -> None:
    """Of the same responses at ten times the reward, where nothing else is rewarded."""
    y, hp = drawn(), dppo.DPPO(kl=0.0, beta=1.0)
    tenfold = replace(hp, beta=10.0)
    one, ten = (dppo.loss(of_step(y, s), s)["policy"] for s in (hp, tenfold))
    (gradient,), (tenfold_gradient,) = (torch.autograd.grad(x, y.logps("policy")) for x in (one, ten))
    torch.testing.assert_close(gradient, tenfold_gradient)
    whitened = -gradient[MASK] * MASK.sum()
    torch.testing.assert_close(whitened.mean(), torch.zeros(()).double())
    torch.testing.assert_close(whitened.var(correction=0), torch.ones(()).double())


def two_tokens(seed: int) -> tuple[Tensor, Tensor]:
    """Logits of a model of two tokens over V = 3: of the first, [V], and behind each first one, [V, V]."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(3, generator=draw).double(), torch.randn(3, 3, generator=draw).double()


@pytest.mark.parametrize("discount", [0.0, 1.0])
def test_the_gradient_of_sampled_opd_is_in_expectation_that_of_the_exact_kl(discount: float) -> None:
    """Over all nine responses by their probability. discount 0: of the KLs at states that are given;
    discount 1: of the KL of whole responses, states included.
    """
    z = tuple(x.requires_grad_() for x in two_tokens(1))
    (q1, q2), (p1, p2) = ([x.log_softmax(-1) for x in of] for of in (z, two_tokens(2)))
    expected = torch.zeros(()).double()
    for a, b in product(range(3), range(3)):
        said = {"policy": [q1[a], q2[a, b]], "teacher": [p1[a], p2[a, b]]}
        logps: dict[Role, Tensor] = {role: torch.stack(of)[None] for role, of in said.items()}
        logps["old"] = logps["policy"].detach()
        y = View(torch.ones(1, 2).bool(), 2, {}, logps)
        found = opd.sampled_loss(Batch({"policy_rollout": y}, 1), opd.SampledOPD(discount=discount))
        expected = expected + 2 * logps["old"].sum().exp() * found["policy"]
    first = q1.exp() if discount else q1.exp().detach()
    exact = kl(q1, p1) + (first * kl(q2, p2)).sum()
    ours, theirs = (torch.autograd.grad(x, z, retain_graph=True) for x in (expected, exact))
    torch.testing.assert_close(ours, theirs)
    assert all(float(g.abs().max()) > 1e-2 for g in theirs)


def whole_gradient(method: Method, hp: object, folder: Path, term: str = "") -> Tensor:
    """The gradient of all parameters on the tests' world, of one term where it is named, as a vector."""
    loss = method.loss
    if term:
        method = replace(method, loss=lambda batch, hp: {term: loss(batch, hp)[term]})
    examples = written(world(), folder, method.needs(hp))
    _, gradient = step_of(method, hp, policy_for(method, hp), examples, [EVERYTHING])
    return torch.cat([g.double().flatten() for g in gradient.values()])


@pytest.mark.parametrize("term, expected", [("single", 1.0), ("long", 0.41), ("", 0.62)])
def test_how_far_the_release_of_minillm_is_from_the_papers_form(
    tmp_path: Path, term: str, expected: float
) -> None:
    """The cosine of their gradients, as the docstring has it."""
    paper, release = (
        whole_gradient(method, method.hparams, tmp_path / method.name, term)
        for method in (minillm.METHOD, minillm_release.RELEASE)
    )
    assert float(torch.cosine_similarity(paper, release, dim=0)) == pytest.approx(expected, abs=5e-3)


def test_a_scale_of_whitened_rewards_acts_through_the_clip_alone(tmp_path: Path) -> None:
    method, hp = minillm_release.RELEASE, minillm_release.MiniLLMRelease()
    one, tenfold = (
        whole_gradient(method, replace(hp, reward_scale=scale, reward_clip=1e9), tmp_path / str(scale))
        for scale in (0.5, 5.0)
    )
    clipped = whole_gradient(method, replace(hp, reward_clip=1.0), tmp_path / "clipped")
    torch.testing.assert_close(one, tenfold, rtol=1e-5, atol=1e-6)
    assert (one - clipped).norm() > 0.05 * one.norm()
