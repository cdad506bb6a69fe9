"""Where the losses that compare two responses must agree, and where two readings of one formula differ."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import log
from typing import Any

import pytest
import torch
from torch import Tensor

from methods import dadpo, ddpo, dpkd, dpo, ipo, registry, simpo, smoothed_dpo, tdpo, tvkd, wpo
from methods.api import Method, Stats
from methods.batch import Batch, Role, Terms, View, seq_sum
from methods.formulas import logistic
from tests.methods.test_formulas import assert_terms, batch, chunk, response, view

MASK = torch.tensor([[0, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
STATES, VOCAB = MASK.numel(), 7
AT_START = [m for m in registry().values() if m.at_start or m.start_stats]


def view_of(seed: int, mask: Tensor = MASK) -> View:
    """Uneven responses of four models, in float64, and what WPO, TDPO and TVKD[entropy] read of them."""
    draw = torch.Generator().manual_seed(seed)
    roles: tuple[Role, ...] = ("policy", "ref", "teacher", "teacher_ref")
    z = {role: torch.randn(STATES, VOCAB, generator=draw).double() for role in roles}
    at = chunk(policy=[[1.0]] * STATES)
    at = replace(at, logprobs={role: x.log_softmax(-1) for role, x in z.items()})
    row = response(at, int(mask.sum()), wpo.log_expected_prob, tdpo.ref_kl, tvkd.entropy)
    return View(
        mask,
        int(mask.sum()),
        {stat: x.view(mask.shape) for stat, x in row.statistics.items()},
        {role: x.view(mask.shape) for role, x in row.token_logps.items()},
    )


def saying(y: View, **logps: Tensor) -> View:
    """The view with other log-probs of some models."""
    return replace(y, token_logps={**y.token_logps, **logps})


def pairs() -> Batch:
    return Batch({"chosen": view_of(1), "rejected": view_of(2, MASK.flip(0))}, len(MASK))


def trained(loss: Callable[[Batch, Any], Terms], hp: object, of: Batch) -> tuple[Tensor, list[Tensor]]:
    """The sum of the terms, and its gradient to the policy's log-probs of every view."""
    views = {
        name: saying(y, policy=y.logps("policy").clone().requires_grad_()) for name, y in of.views.items()
    }
    found = torch.stack(list(loss(replace(of, views=views), hp).values())).sum()
    return found.detach(), list(torch.autograd.grad(found, [y.logps("policy") for y in views.values()]))


def assert_one_loss(ours: tuple[Tensor, list[Tensor]], theirs: tuple[Tensor, list[Tensor]]) -> None:
    """The same value, and the same gradient, which is not nothing."""
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    assert theirs[1][0].abs().max() > 1e-3


@pytest.mark.parametrize(
    "loss, hp",
    [
        (smoothed_dpo.cdpo_loss, smoothed_dpo.SmoothedDPO(beta=0.5, eps=0.0)),
        (smoothed_dpo.rdpo_loss, smoothed_dpo.SmoothedDPO(beta=0.5, eps=0.0)),
        (tdpo.loss, tdpo.TDPO(beta=0.5, alpha=0.0)),
    ],
    ids=["cDPO", "rDPO", "TDPO"],
)
def test_with_nothing_added_a_loss_is_dpo(loss: Callable[[Batch, Any], Terms], hp: object) -> None:
    """eps = 0 for cDPO and rDPO, alpha = 0 for TDPO."""
    assert_one_loss(trained(loss, hp, pairs()), trained(dpo.loss, dpo.DPO(beta=0.5), pairs()))


def weighing(of: Batch, *log_weights: float) -> Batch:
    """The batch with responses of these weights, view by view."""
    views = {
        name: replace(y, statistics={wpo.log_expected_prob: y.logps("policy") - w})
        for (name, y), w in zip(of.views.items(), log_weights, strict=True)
    }
    return replace(of, views=views)


@pytest.mark.parametrize("weights", [(0.0, 0.0), (0.7, 0.0), (0.7, -0.5)])
def test_wpo_of_weight_one_is_dpo(weights: tuple[float, float]) -> None:
    """Also where a product of weights above 1 is cut."""
    weighed = weighing(pairs(), *weights)
    assert_one_loss(trained(wpo.loss, wpo.WPO(0.5), weighed), trained(dpo.loss, dpo.DPO(0.5), weighed))


def test_wpo_of_one_weight_is_dpo_times_it() -> None:
    """log w = -1 and 1/2 on every pair."""
    weighed = weighing(pairs(), -1.0, 0.5)
    value, gradient = trained(dpo.loss, dpo.DPO(0.5), weighed)
    w = torch.tensor(-0.5).double().exp()
    assert_one_loss(trained(wpo.loss, wpo.WPO(0.5), weighed), (w * value, [w * g for g in gradient]))


def test_a_uniform_policy_has_weight_one() -> None:
    """pi(v) = 1/V = sum_v pi(v)^2."""
    y = response(chunk(policy=[[0.25] * 4] * 3), 3, wpo.log_expected_prob)
    torch.testing.assert_close(wpo.log_weight(y), torch.zeros(1))


def averaged(y: View) -> View:
    """Log-probs divided by the length, and a reference that says nothing."""
    logps = y.logps("policy") / y.mask.sum(-1, keepdim=True)
    return replace(y, token_logps={"policy": logps, "ref": torch.zeros_like(logps)})


def test_simpo_without_a_margin_is_dpo_of_averages_without_a_reference() -> None:
    def averaged_dpo(of: Batch, hp: dpo.DPO) -> Terms:
        return dpo.loss(replace(of, views={name: averaged(y) for name, y in of.views.items()}), hp)

    ours = trained(simpo.loss, simpo.SimPO(beta=2.0, margin=0.0), pairs())
    assert_one_loss(ours, trained(averaged_dpo, dpo.DPO(beta=2.0), pairs()))


def test_the_released_simpo_is_the_papers_where_its_ratio_times_beta_is_the_margin() -> None:
    released = trained(simpo.release_loss, simpo.SimPORelease(beta=2.5, ratio=0.4), pairs())
    assert_one_loss(released, trained(simpo.loss, simpo.SimPO(beta=2.5, margin=1.0), pairs()))


def test_one_number_means_two_things_to_simpo_and_its_release() -> None:
    """gap = ln 2, beta = 3, and ln 2:  paper 3 ln 2 - ln 2, ln 5/4;  release 3 (ln 2 - ln 2), ln 2."""
    pair = batch(chosen=view([[1]], 1, policy=[[0.5]]), rejected=view([[1]], 1, policy=[[0.25]]))
    assert_terms(simpo.loss(pair, simpo.SimPO(beta=3.0, margin=log(2))), simpo=log(5 / 4))
    found = simpo.release_loss(pair, simpo.SimPORelease(beta=3.0, ratio=log(2)))
    assert float(found["simpo"]) == pytest.approx(log(2), rel=1e-6)


def turned(of: Batch) -> Batch:
    """The same pairs with the labels turned round."""
    return replace(of, views={"chosen": of.rejected, "rejected": of.chosen})


def test_rdpo_is_on_average_dpo_of_the_right_labels() -> None:
    """(1 - eps) rDPO + eps rDPO of the turned labels == DPO."""
    hp = smoothed_dpo.SmoothedDPO(beta=0.5, eps=0.2)
    kept, flipped = (smoothed_dpo.rdpo_loss(of, hp)["rdpo"] for of in (pairs(), turned(pairs())))
    torch.testing.assert_close(0.8 * kept + 0.2 * flipped, dpo.loss(pairs(), dpo.DPO(0.5))["dpo"])


def test_cdpo_is_dpo_of_labels_that_are_wrong_at_times() -> None:
    """cDPO == (1 - eps) DPO + eps DPO of the turned labels."""
    hp = smoothed_dpo.SmoothedDPO(beta=0.5, eps=0.2)
    kept, flipped = (dpo.loss(of, dpo.DPO(0.5))["dpo"] for of in (pairs(), turned(pairs())))
    torch.testing.assert_close(smoothed_dpo.cdpo_loss(pairs(), hp)["cdpo"], 0.8 * kept + 0.2 * flipped)


@pytest.mark.parametrize("method", AT_START, ids=lambda m: m.name)
def test_where_the_policy_is_the_reference_a_loss_is_what_it_says(method: Method) -> None:
    """At settings that are not the defaults; elsewhere the loss is something else."""
    hp = replace(method.hparams, beta=0.7)
    if method.name == "KTO":
        hp = replace(hp, desirable=1.2, undesirable=0.4)
    views = {name: view_of(seed) for seed, name in enumerate(method.needs(hp).views)}
    away = Batch(views, len(MASK))
    start = {
        name: replace(
            saying(y, ref=y.logps("policy")),
            statistics={**y.statistics, tdpo.ref_kl: torch.zeros(MASK.shape)},
        )
        for name, y in views.items()
    }

    def terms(of: Batch) -> tuple[dict[str, float], dict[str, float]]:
        """Those of the loss, and what they must be."""
        of = replace(of, means=means(of, method.step_stats) | means(of, method.set_stats))
        expected = method.at_start(hp) if method.at_start else means(of, method.start_stats)
        return as_floats(method.loss(of, hp)), as_floats(expected)

    def as_floats(found: Mapping[str, Tensor | float]) -> dict[str, float]:
        return {name: float(x) for name, x in found.items()}

    def means(of: Batch, stats: Stats | None) -> dict[str, Tensor]:
        return {name: a / n for name, (a, n) in stats(of, hp).items()} if stats else {}

    found, expected = terms(replace(away, views=start))
    assert found == pytest.approx(expected, rel=1e-6)
    found, expected = terms(away)
    assert found != pytest.approx(expected, rel=1e-3)


def test_what_losses_say_where_the_policy_is_the_reference() -> None:
    """ln 2 where -ln sigmoid(0) is all, (1 / (2 beta))^2, and half of lambda / 2 per response of a pair."""
    said = {m.name: m.at_start(m.hparams) for m in AT_START if m.at_start}
    assert set(said) >= {"DPO", "cDPO", "rDPO", "TDPO", "IPO", "IPO[mean]", "KTO"}
    assert {m.name for m in AT_START if m.start_stats} >= {"WPO", "DDPO", "DDPO[unscaled]"}
    for name in ("DPO", "cDPO", "rDPO", "TDPO"):
        assert list(said[name].values()) == pytest.approx([log(2)])
    assert said["IPO"] == said["IPO[mean]"] == pytest.approx({"ipo": 25.0})
    assert said["KTO"] == {"desirable": 0.25, "undesirable": 0.25}


def test_dpkd_is_ln_two_where_the_policy_is_the_teacher() -> None:
    """The teacher is its reference."""
    views = {
        name: view_of(seed) for seed, name in enumerate(("teacher_rollout", "student_rollout", "chosen"))
    }
    views = {name: saying(y, teacher=y.logps("policy")) for name, y in views.items()}
    found = dpkd.loss(Batch(views, len(MASK)), dpkd.DPKD(beta=0.7))
    assert float(found["dpkd"]) == pytest.approx(log(2))


def likewise(scale: float) -> Batch:
    """Pairs whose policy : ref is (teacher : teacher_ref)^scale."""

    def of(y: View) -> View:
        return saying(y, policy=y.logps("ref") + scale * (y.logps("teacher") - y.logps("teacher_ref")))

    return replace(pairs(), views={name: of(y) for name, y in pairs().views.items()})


def test_ddpo_is_nothing_where_the_students_margins_are_the_teachers() -> None:
    """beta h = scale r, with a scale of 1 over the root mean square of the margins, or of 1."""
    hp = ddpo.DDPO(beta=0.5, reward_scale=2.0)
    assert float(ddpo.unscaled_loss(likewise(2.0 / 0.5), hp)["ddpo"]) == pytest.approx(0, abs=1e-20)
    total, count = ddpo.squared_margin(pairs(), hp)["squared_margin"]
    means = {"squared_margin": total / count}
    spread = float((total / count).sqrt())
    exact = replace(likewise(2.0 / 0.5 / spread), means=means)
    assert float(ddpo.loss(exact, hp)["ddpo"]) == pytest.approx(0, abs=1e-20)
    assert float(ddpo.loss(replace(pairs(), means=means), hp)["ddpo"]) > 0.1


def test_ddpo_does_not_depend_on_the_temperature_of_the_teachers_reward() -> None:
    """r and its mean square are scaled alike; DDPO[unscaled] is another loss with each."""

    def warmer(y: View, scale: float) -> View:
        return saying(y, teacher=scale * y.logps("teacher"), teacher_ref=scale * y.logps("teacher_ref"))

    def losses(scale: float) -> tuple[Tensor, Tensor]:
        of = replace(pairs(), views={name: warmer(y, scale) for name, y in pairs().views.items()})
        total, count = ddpo.squared_margin(of, hp)["squared_margin"]
        means = {"squared_margin": total / count}
        return ddpo.loss(replace(of, means=means), hp)["ddpo"], ddpo.unscaled_loss(of, hp)["ddpo"]

    hp = ddpo.DDPO(beta=0.5)
    (scaled, unscaled), (scaled_again, unscaled_again) = losses(1.0), losses(100.0)
    torch.testing.assert_close(scaled, scaled_again)
    assert float(unscaled_again) > 10 * float(unscaled)


def test_ipo_of_means_is_ipo_on_answers_of_one_token_and_asks_for_more_on_others() -> None:
    """A pair of n tokens each, policy : ref = 2 and 1/2 throughout; beta = 1/2.

    n = 1: both (2 ln 2 - 1)^2;   n = 4: sums (8 ln 2 - 1)^2, means still (2 ln 2 - 1)^2
    """
    for n in (1, 4):
        y_w = view([[1] * n], n, policy=[[0.5] * n], ref=[[0.25] * n])
        y_l = view([[1] * n], n, policy=[[0.25] * n], ref=[[0.5] * n])
        pair, hp = batch(chosen=y_w, rejected=y_l), ipo.IPO(beta=0.5)
        assert_terms(ipo.loss(pair, hp), ipo=(2 * n * log(2) - 1) ** 2)
        assert_terms(ipo.mean_loss(pair, hp), ipo=(2 * log(2) - 1) ** 2)


def sampled_pairs() -> Batch:
    views = pairs().views
    return replace(pairs(), views={"teacher_rollout": views["chosen"], "student_rollout": views["rejected"]})


def dpo_on_samples(beta: float) -> dpo.DPO:
    return dpo.DPO(beta=beta, preferred="teacher_rollout", dispreferred="student_rollout")


def test_dadpo_without_the_teachers_distribution_is_dpo_on_samples() -> None:
    """beta_teacher = 0 is DDPO[teacher_vs_student]."""
    ours = trained(dadpo.loss, dadpo.DaDPO(beta_ref=0.3, beta_teacher=0.0), sampled_pairs())
    assert_one_loss(ours, trained(dpo.loss, dpo_on_samples(0.3), sampled_pairs()))


def test_dadpo_with_a_teacher_that_is_the_reference_is_dpo_of_both_betas() -> None:
    of = sampled_pairs()
    of = replace(of, views={name: saying(y, teacher=y.logps("ref")) for name, y in of.views.items()})
    ours = trained(dadpo.loss, dadpo.DaDPO(beta_ref=0.3, beta_teacher=0.2), of)
    assert_one_loss(ours, trained(dpo.loss, dpo_on_samples(0.5), of))


def test_the_margin_of_dadpo_is_the_reward_at_the_optimum_of_its_two_constraints() -> None:
    """pi ~ ref^(b1 / b) teacher^(b2 / b) exp(r / b), over seven answers of one token."""
    draw, hp = torch.Generator().manual_seed(0), dadpo.DaDPO(beta_ref=0.3, beta_teacher=0.2)
    ref, teacher = (torch.randn(VOCAB, generator=draw).double().log_softmax(-1) for _ in range(2))
    reward = torch.randn(VOCAB, generator=draw).double()
    policy = ((0.3 * ref + 0.2 * teacher + reward) / 0.5).log_softmax(-1)
    logps = {"policy": policy[:, None], "ref": ref[:, None], "teacher": teacher[:, None]}
    found = dadpo.reward(View(torch.ones(VOCAB, 1).bool(), VOCAB, {}, logps), hp)
    torch.testing.assert_close(found - found[0], reward - reward[0])


def valued(value: float) -> Batch:
    """Pairs whose teacher's value is the same in every state."""
    values = {tvkd.teacher_value: torch.full(MASK.shape, value).double()}
    return replace(pairs(), views={n: replace(y, statistics=values) for n, y in pairs().views.items()})


def test_tvkd_whose_teacher_values_nothing_is_a_pair_loss_without_a_reference() -> None:
    """V = 0: DPO at beta 1 against a reference that finds all responses alike."""
    alike = {n: saying(y, ref=torch.zeros_like(y.logps("ref"))) for n, y in pairs().views.items()}
    theirs = trained(dpo.loss, dpo.DPO(beta=1.0), replace(pairs(), views=alike))
    assert_one_loss(trained(tvkd.loss, tvkd.TVKD(), valued(0.0)), theirs)


def test_the_teachers_value_is_nothing_at_alpha_tau_and_a_constant_where_it_knows_nothing() -> None:
    """sum_a pi(a) = 1;  of four tokens alike tau ln 4 (1/4)^(alpha / tau) = (tau - alpha) ln 4."""
    at = chunk(policy=[[0.25] * 4] * 2, teacher=[[0.7, 0.1, 0.1, 0.1], [0.25] * 4])
    for tau in (0.5, 1.0, 2.0):
        found = tvkd.teacher_value.of(at, tvkd.TVKD(alpha=tau, tau=tau))
        torch.testing.assert_close(found, torch.zeros(2), rtol=0, atol=1e-6)
        half = tvkd.teacher_value.of(at, tvkd.TVKD(alpha=tau / 2, tau=tau))
        assert float(half[1]) == pytest.approx(tau / 2 * log(4), rel=1e-5)
        assert float(half[0]) < float(half[1])


def test_a_constant_value_of_tvkd_asks_more_of_the_longer_response() -> None:
    """R falls by V for each token but the first."""
    of, hp = valued(0.3), tvkd.TVKD(gamma=0.5)
    longer = (of.chosen.mask.sum(-1) - of.rejected.mask.sum(-1)).double()
    plain = (seq_sum(of.chosen.logps("policy"), of.chosen), seq_sum(of.rejected.logps("policy"), of.rejected))
    expected = logistic(plain[0] - plain[1] - 0.5 * 0.3 * longer).mean()
    assert longer.abs().sum() > 0
    torch.testing.assert_close(tvkd.loss(of, hp)["tvkd"], expected)


def test_no_value_of_tvkd_stands_behind_an_answer_of_one_token() -> None:
    """Both entries are SimPO at beta 1 without a margin."""
    mask = MASK & (MASK.cumsum(-1) == 1)
    of = Batch({"chosen": view_of(1, mask), "rejected": view_of(2, mask)}, len(MASK))
    theirs = trained(simpo.loss, simpo.SimPO(beta=1.0, margin=0.0), of)
    assert_one_loss(trained(tvkd.entropy_loss, tvkd.EntropyTVKD(), of), theirs)
