"""Every loss by hand: two or three tokens in the vocabulary, one or two in the response."""

from collections.abc import Mapping, Sequence
from math import log

import pytest
import torch
from torch import Tensor

import methods
from methods import adpa, dckd, dpo, seqkd, sft, vanillakd
from methods.batch import (
    Batch,
    Chunk,
    Role,
    Statistic,
    Terms,
    View,
    ViewName,
    example_mean,
    seq_mean,
    seq_sum,
)
from methods.formulas import kl, log_ratio, logistic, teacher_kl


def logs(rows: object) -> Tensor:
    """Probabilities as log-probs."""
    return torch.tensor(rows).log()


def chunk(**distributions: list[list[float]]) -> Chunk:
    """One row of probabilities per token and model; the realised token is the first."""
    rows = len(distributions["policy"])
    return Chunk(torch.zeros(rows, dtype=torch.long), {role: logs(p) for role, p in distributions.items()})


def view(
    mask: Sequence[Sequence[int]],
    step_tokens: int,
    statistics: Mapping[Statistic, Tensor] | None = None,
    **probs: list[list[float]],
) -> View:
    """A view whose realised tokens have these probabilities under each model."""
    logps: dict[Role, Tensor] = {role: logs(p) for role, p in probs.items()}
    return View(torch.tensor(mask).bool(), step_tokens, statistics or {}, logps)


def batch(step_examples: int = 1, means: Mapping[str, float] | None = None, **views: View) -> Batch:
    named: dict[ViewName, View] = dict(views)
    return Batch(named, step_examples, {name: torch.tensor(mean) for name, mean in (means or {}).items()})


def response(at: Chunk, step_tokens: int, *stats: Statistic, hp: object = None) -> View:
    """A view of one response whose tokens are the chunk's rows."""
    logps = {role: p.gather(-1, at.realised[:, None]).T for role, p in at.logprobs.items()}
    mask = torch.ones(1, len(at.realised), dtype=torch.bool)
    return View(mask, step_tokens, {stat: stat.of(at, hp)[None] for stat in stats}, logps)


def assert_terms(found: Terms, **expected: float) -> None:
    """The terms and no others."""
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, rel=1e-6)


def test_kl_by_hand() -> None:
    """p = (3/4, 1/4), q = (1/2, 1/2).

    KL(p||q) = 3/4 ln 3/2 + 1/4 ln 1/2;   KL(q||p) = 1/2 ln 2/3 + 1/2 ln 2
    """
    p, q = logs([0.75, 0.25]), logs([0.5, 0.5])
    assert float(kl(p, q)) == pytest.approx(0.75 * log(3 / 2) + 0.25 * log(1 / 2), rel=1e-6)
    assert float(kl(q, p)) == pytest.approx(0.5 * log(2 / 3) + 0.5 * log(2), rel=1e-6)


def test_teacher_kl_is_from_the_teacher_to_the_policy() -> None:
    """teacher = (3/4, 1/8, 1/8), policy = (1/4, 1/4, 1/2), and two equal rows, which have none.

    3/4 ln 3 + 1/8 ln 1/2 + 1/8 ln 1/4 = 3/4 ln 3 - 3/8 ln 2
    """
    at = chunk(
        teacher=[[0.75, 0.125, 0.125], [0.9, 0.05, 0.05]], policy=[[0.25, 0.25, 0.5], [0.9, 0.05, 0.05]]
    )
    expected = torch.tensor([0.75 * log(3) - 0.375 * log(2), 0.0])
    torch.testing.assert_close(teacher_kl.of(at, None), expected)


def test_logistic_by_hand() -> None:
    """-ln sigmoid(ln 3) = ln(1 + 1/3) = ln 4/3;  -ln sigmoid(0) = ln 2."""
    torch.testing.assert_close(logistic(torch.tensor([log(3), 0.0])), torch.tensor([log(4 / 3), log(2)]))


def test_log_ratio_by_hand() -> None:
    """policy (1/2, 1/2), ref (1/4, 1/8), then a padded token:  ln 2 + ln 4 = 3 ln 2."""
    y = view([[1, 1, 0]], 2, policy=[[0.5, 0.5, 0.1]], ref=[[0.25, 0.125, 0.9]])
    torch.testing.assert_close(log_ratio(y), torch.tensor([3 * log(2)]))


def test_means_over_sequences_and_examples_by_hand() -> None:
    """(1 + 3) / 2 = 2 and 5 / 1 = 5 are the sequences' means; the step has four examples: (2 + 5) / 4."""
    y = view([[0, 1, 1], [0, 1, 0]], 3)
    x = torch.tensor([[9.0, 1.0, 3.0], [9.0, 5.0, 9.0]])
    assert seq_sum(x, y).tolist() == [4, 5]
    assert seq_mean(x, y).tolist() == [2, 5]
    assert float(example_mean(seq_mean(x, y), batch(4, chosen=y))) == 7 / 4


def test_sft_by_hand() -> None:
    """Two sequences of 2 and 1 tokens with probabilities 1/2, 1/4 and 1/8; the step has 5 tokens in all.

    L = -(ln 1/2 + ln 1/4 + ln 1/8) / 5 = 6/5 ln 2
    """
    y_w = view([[0, 1, 1], [0, 1, 0]], 5, policy=[[0.9, 0.5, 0.25], [0.9, 0.125, 0.9]])
    assert_terms(sft.loss(batch(2, chosen=y_w), sft.SFT()), sft=6 / 5 * log(2))


def test_seqkd_by_hand() -> None:
    """Teacher's tokens with probabilities 1/3 and 1/9 under the policy:  L = (ln 3 + ln 9) / 2 = 3/2 ln 3."""
    y_t = view([[1, 1]], 2, policy=[[1 / 3, 1 / 9]])
    found = seqkd.loss(batch(teacher_rollout=y_t), seqkd.SeqKD())
    assert_terms(found, seqkd=1.5 * log(3))


def test_dpo_by_hand() -> None:
    """policy/ref is 1/2 : 1/4 and 1/2 : 1/2 on the two tokens of y_w, 1/4 : 1/2 on the one of y_l; beta = 1.

    margin = (ln 2 + 0) - ln 1/2 = 2 ln 2 = ln 4;   L = -ln sigmoid(ln 4) = ln 5/4;   of 2 pairs in the step
    """
    y_w = view([[1, 1]], 2, policy=[[0.5, 0.5]], ref=[[0.25, 0.5]])
    y_l = view([[1, 0]], 1, policy=[[0.25, 0.9]], ref=[[0.5, 0.1]])
    pair = batch(2, chosen=y_w, rejected=y_l)
    assert_terms(dpo.loss(pair, dpo.DPO(beta=1.0)), dpo=log(5 / 4) / 2)


def test_dpo_scales_the_margin_by_beta() -> None:
    """The same kind of pair with margin ln 16 and beta = 1/2:  -ln sigmoid(ln 4) = ln 5/4."""
    y_w = view([[1]], 1, policy=[[0.5]], ref=[[1 / 8]])
    y_l = view([[1]], 1, policy=[[1 / 16]], ref=[[1 / 4]])
    pair = batch(chosen=y_w, rejected=y_l)
    assert_terms(dpo.loss(pair, dpo.DPO(beta=0.5)), dpo=log(5 / 4))


HALVES = chunk(teacher=[[0.75, 0.25]], policy=[[0.5, 0.5]])  # KL = 3/4 ln 3/2 + 1/4 ln 1/2
QUARTER = chunk(teacher=[[0.5, 0.5]], policy=[[0.25, 0.75]])  # KL = 1/2 ln 2 + 1/2 ln 2/3


def kl_at(at: Chunk) -> dict[Statistic, Tensor]:
    """The statistic of one response token behind one token of prompt, where it is meaningless."""
    return {teacher_kl: torch.cat([torch.tensor([torch.nan]), teacher_kl.of(at, None)])[None]}


def test_vanillakd_by_hand() -> None:
    """One token of two in the step: teacher (3/4, 1/4), policy (1/2, 1/2), the first realised; alpha = 4.

    kd = 4 (3/4 ln 3/2 + 1/4 ln 1/2) / 2, and beside it in VanillaKD[SFT] sft = ln 2 / 2
    """
    y_w, hp = view([[0, 1]], 2, kl_at(HALVES), policy=[[0.9, 0.5]]), vanillakd.VanillaKD(alpha=4.0)
    kd = 2 * (0.75 * log(3 / 2) + 0.25 * log(1 / 2))
    assert_terms(vanillakd.METHOD.loss(batch(chosen=y_w), hp), kd=kd)
    assert_terms(vanillakd.WITH_SFT.loss(batch(chosen=y_w), hp), sft=log(2) / 2, kd=kd)
    assert vanillakd.METHOD.hparams.alpha == 0.1  # published, with sft_on_chosen: 0


def test_an_ablation_of_dckd_keeps_the_likelihood_that_vanillakd_lacks() -> None:
    known = methods.registry()
    assert known["DCKD w/o dispreferred"].formula == known["VanillaKD[SFT]"].formula
    assert known["VanillaKD"].formula != known["VanillaKD[SFT]"].formula
    chosen = [
        known[name].needs(known[name].hparams).views["chosen"] for name in ("VanillaKD", "VanillaKD[SFT]")
    ]
    assert [reads.logps for reads in chosen] == [(), ("policy",)]  # what is not declared is not computed


def test_dckd_by_hand() -> None:
    """VanillaKD's y_w, and y_l of one token of three: teacher (1/2, 1/2), policy (1/4, 3/4); alpha = 2.

    sft = ln 2 / 2;   kd_w = 2 (3/4 ln 3/2 + 1/4 ln 1/2) / 2;   kd_l = 2 (1/2 ln 2 + 1/2 ln 2/3) / 3
    """
    y_w = view([[0, 1]], 2, kl_at(HALVES), policy=[[0.9, 0.5]])
    y_l = view([[0, 1]], 3, kl_at(QUARTER))
    assert_terms(
        dckd.loss(batch(chosen=y_w, rejected=y_l), dckd.DCKD(alpha=2.0)),
        sft=log(2) / 2,
        kd_chosen=0.75 * log(3 / 2) + 0.25 * log(1 / 2),
        kd_rejected=2 / 3 * (0.5 * log(2) + 0.5 * log(2 / 3)),
    )


def test_adpa_by_hand() -> None:
    """One rollout token of two: pi = (1/4, 3/4), dpo = (4/5, 1/5), ref = (1/2, 1/2), gamma_beta = 2.

    A = 2 (ln 8/5, ln 2/5);   E_pi[A] = 2 (1/4 ln 8/5 + 3/4 ln 2/5);   advantage = -E_pi[A] / 2;   sft = ln 4
    """
    hp = adpa.ADPA(gamma_beta=2.0)
    at = chunk(policy=[[0.25, 0.75]], teacher=[[0.8, 0.2]], teacher_ref=[[0.5, 0.5]])
    expected = adpa.expected_advantage.of(at, hp)
    y_hat = view([[1]], 2, {adpa.expected_advantage: expected[None]})
    y_w = view([[1]], 1, policy=[[0.25]])
    assert_terms(
        adpa.loss(batch(chosen=y_w, student_rollout=y_hat), hp),
        sft=log(4),
        advantage=-(0.25 * log(8 / 5) + 0.75 * log(2 / 5)),
    )


def test_adpa_over_a_support_leaves_out_what_is_outside() -> None:
    """V = 3, two ids kept: pi = (1/2, 1/4), dpo = (1/2, 1/8), ref = (1/4, 1/2).

    1/2 ln 2 + 1/4 ln 1/4 = 0
    """
    at = chunk(policy=[[0.5, 0.25]], teacher=[[0.5, 0.125]], teacher_ref=[[0.25, 0.5]])
    found = adpa.expected_advantage.of(at, adpa.ADPA(gamma_beta=1.0))
    torch.testing.assert_close(found, torch.tensor([0.0]))
    assert not adpa.expected_advantage.rest
