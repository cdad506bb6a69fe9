"""DPKD: Direct Preference Knowledge Distillation (Li et al., 2024, arXiv 2406.19774).

    L = - log sigmoid( beta * ( alr(y_T) - alr(y_S) ) ) + sft_weight * L_SFT(y_w)
    alr(y) = [ lp_theta(y) - lp_teacher(y) ] / |y|

The teacher is the reference model: y_T is its response, y_S that of the frozen student; identical ones are
left out and counted. Reduction: mean over pairs, L_SFT over the step's tokens. The SFT term is ours.

DPKD[token] is what the authors' code computes (LMOps, dpkd/main.py), another objective: at every token of
y_w, with a_T and a_S the likeliest tokens of teacher p and student q,

    h_t = [log q(a_T) - log q(a_S)] - [log p(a_T) - log p(a_S)]
    L = (1 - kd_ratio) * L_SFT(y_w) + kd_ratio * mean_t - log sigmoid( beta * h_t )

ln 2 without gradient wherever both agree. Its pre-training term (lm-coef) is not here.
"""

from dataclasses import dataclass, replace

from methods.api import Method, Needs, NotNegative, Positive, Reads, Share, Training, formula
from methods.batch import Batch, Chunk, Terms, View, example_mean, seq_mean, statistic, token_mean
from methods.formulas import logistic, nll
from methods.lazy_torch import Tensor


@dataclass(frozen=True)
class DPKD:
    """beta: scale of the margin in nats per token. sft_weight: of the likelihood. Both ours."""

    beta: Positive = 0.1
    sft_weight: NotNegative = 1.0


@dataclass(frozen=True)
class TokenDPKD:
    """beta: --dpo-beta (0.1). kd_ratio: share of the preference term (0.5)."""

    beta: Positive = 0.1
    kd_ratio: Share = 0.5


def over_teacher(view: View) -> Tensor:
    """alr(y). [B]"""
    return seq_mean(view.logps("policy") - view.logps("teacher"), view)


@formula("methods.dpkd.loss")
def loss(batch: Batch, hp: DPKD) -> Terms:
    margin = over_teacher(batch.teacher_rollout) - over_teacher(batch.student_rollout)
    return {
        "dpkd": example_mean(logistic(hp.beta * margin), batch),
        "sft": hp.sft_weight * nll(batch.chosen),
    }


@statistic("teacher")
def likeliest(at: Chunk, hp: TokenDPKD) -> Tensor:
    """- log sigmoid( beta * h_t ). [N]"""
    a_t, a_s = at.teacher.argmax(-1, keepdim=True), at.policy.argmax(-1, keepdim=True)
    ratio = at.policy - at.teacher
    return logistic(hp.beta * (ratio.gather(-1, a_t) - ratio.gather(-1, a_s)).squeeze(-1))


@formula("methods.dpkd.token_loss")
def token_loss(batch: Batch, hp: TokenDPKD) -> Terms:
    y_w = batch.chosen
    return {"sft": (1 - hp.kd_ratio) * nll(y_w), "dpkd": hp.kd_ratio * token_mean(y_w[likeliest], y_w)}


SAMPLED, LABELLED = Reads(logps=("policy", "teacher")), Reads(logps=("policy",))

METHOD = Method(
    name="DPKD",
    paper="Li et al., 2024 (arXiv 2406.19774)",
    hparams=DPKD(),
    training=Training(lr=5e-7),
    sources={
        "loss": "paper: DPKD; the SFT term is ours",
        "beta": "ours",
        "sft_weight": "ours",
        "teacher_rollout": "ours: greedy",
        "student_rollout": "ours: greedy",
    },
    needs=lambda hp: Needs(
        {"teacher_rollout": SAMPLED, "student_rollout": SAMPLED, "chosen": LABELLED}, distinct=True
    ),
    loss=loss,
)
TOKEN = replace(
    METHOD,
    name="DPKD[token]",
    sources={
        "loss": "release: LMOps dpkd, main.py",
        "beta": "release: LMOps dpkd, --dpo-beta",
        "kd_ratio": "release: LMOps dpkd, --kd-ratio",
        "warmup": "ours",
        "schedule": "ours",
        "weight_decay": "ours",
    },
    about="The objective of the authors' code, per token.",
    hparams=TokenDPKD(),
    training=Training(lr=5e-4, epochs=30, batch_size=8, source="release: LMOps dpkd, GPT-2 base"),
    needs=lambda hp: Needs({"chosen": Reads((likeliest,), ("policy",))}),
    loss=token_loss,
    kind="variant",
)
