"""Q-argmax KD and Q-softmax KD: distillation of the advantage (Gao et al., ICLR 2025, arXiv 2502.17927).

    Q-argmax   L = L_SFT(y_w) - gamma / |y_hat| sum_t log pi_theta( argmax_a A(a|s_t) | s_t )
    Q-softmax  L = L_SFT(y_w) + gamma / |y_hat| sum_t KL( softmax_a A(.|s_t) || pi_theta(.|s_t) )
    A(a|s) = beta * [ log pi_dpo(a|s) - log pi_ref(a|s) ]

s_t runs over y_hat, the frozen student's response. Among tokens that no teacher would say A is noise, and its
largest value is one of those: of the support (the teacher's k likeliest tokens and the realised one) min_prob
keeps the tokens that pi_dpo gives at least that probability, at least the likeliest. Softmax and KL are over
the tokens kept. beta and k are not published; min_prob is that of the released helper recover_margin_cd.
Where no token has 0.1, that helper asks for 0.01, then for 0.001; here the likeliest alone is kept. With 0.09
for one of 16 tokens, 0.91 / 15 for each other, and a uniform reference and policy, the KL of Q-softmax
is 2.773 here (one token) and 0.006 there (all of them); the argmax is over all of them there, too.
Reduction: L_SFT over the step's tokens; the second term a mean over each response, then over responses.
"""

from dataclasses import dataclass, replace
from math import log

from methods.api import Method, Needs, NotNegative, Positive, Reads, Share, Support, Training, formula
from methods.batch import Batch, Chunk, Statistic, Terms, example_mean, seq_mean, statistic
from methods.formulas import nll
from methods.lazy_torch import Tensor, torch


@dataclass(frozen=True)
class QKD:
    """gamma: weight. beta: inverse temperature of the softmax (the argmax does not depend on it). support: V
    or the teacher's top k. All ours, but for k = 50.
    """

    gamma: NotNegative = 1.0
    beta: Positive = 1.0
    min_prob: Share = 0.1
    support: Support = 50


def advantage(at: Chunk, hp: QKD) -> Tensor:
    """A, and -inf at tokens that are not plausible. [N, S]"""
    asked = log(hp.min_prob) if hp.min_prob > 0 else -torch.inf
    least = at.teacher.max(-1, keepdim=True).values.clamp(max=asked)
    return (hp.beta * (at.teacher - at.teacher_ref)).masked_fill(at.teacher < least, -torch.inf)


@statistic("teacher", "teacher_ref")
def argmax_nll(at: Chunk, hp: QKD) -> Tensor:
    """- log pi_theta( argmax_a A ). [N]"""
    best = advantage(at, hp).argmax(-1, keepdim=True)
    return -at.policy.gather(-1, best).squeeze(-1)


@statistic("teacher", "teacher_ref")
def softmax_kl(at: Chunk, hp: QKD) -> Tensor:
    """KL( softmax A || pi_theta ); 0 log 0 = 0. [N]"""
    target = advantage(at, hp).log_softmax(-1)
    return (target.exp() * (target.nan_to_num(neginf=0.0) - at.policy)).sum(-1)


def _terms(batch: Batch, hp: QKD, of_states: Statistic) -> Terms:
    y_hat = batch.student_rollout
    distilled = example_mean(seq_mean(y_hat[of_states], y_hat), batch)
    return {"sft": nll(batch.chosen), "q": hp.gamma * distilled}


@formula("methods.q_kd.argmax_loss")
def argmax_loss(batch: Batch, hp: QKD) -> Terms:
    return _terms(batch, hp, argmax_nll)


@formula("methods.q_kd.softmax_loss")
def softmax_loss(batch: Batch, hp: QKD) -> Terms:
    return _terms(batch, hp, softmax_kl)


def _needs(hp: QKD, of_states: Statistic) -> Needs:
    rollout = Reads((of_states,))
    return Needs({"chosen": Reads(logps=("policy",)), "student_rollout": rollout}, hp.support)


ARGMAX = Method(
    name="Q-argmax KD",
    paper="Gao et al., ICLR 2025 (arXiv 2502.17927), Q-variants",
    hparams=QKD(),
    training=Training(lr=5e-7, epochs=3, source="ours: as ADPA's"),
    sources={
        "loss": "paper: ADPA, Q-variants",
        "gamma": "ours",
        "beta": "ours",
        "min_prob": "release: ADPA, recover_margin_cd",
        "support": "paper: ADPA, Sec. 4.1",
        "student_rollout": "release: ADPA, vllm_generate.py, greedy",
    },
    needs=lambda hp: _needs(hp, argmax_nll),
    loss=argmax_loss,
    kind="ablation",
)
SOFTMAX = replace(ARGMAX, name="Q-softmax KD", needs=lambda hp: _needs(hp, softmax_kl), loss=softmax_loss)
