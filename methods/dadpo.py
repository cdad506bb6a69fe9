"""daDPO: distribution-aware DPO (Zhang et al., 2025, arXiv 2506.15717, Eq. 10).

    L = - log sigmoid( m(y_T) - m(y_S) )
    m(y) = beta_ref * [lp_theta(y) - lp_ref(y)] + beta_teacher * [lp_theta(y) - lp_teacher(y)]

y_T is the teacher's response, y_S that of the frozen student; identical ones are left out and counted. lp
sums over the response. It is DPO under two KL constraints, whose optimum is

    pi(y) ~ ref(y)^(beta_ref / b) teacher(y)^(beta_teacher / b) exp( r(y) / b ),   b = beta_ref + beta_teacher

Of the paper only quotations were at hand: both constraints, ref and teacher to the power of their betas in
both ratios, the part of log[ teacher / ref ] in the gradient, responses that are sampled once. The weight b
of lp_theta follows from these. There, ref is the student after SFT on the teacher's responses; here it is the
student that training starts from. Reduction: mean over the pairs of the optimizer step.
"""

from dataclasses import dataclass

from methods.api import Method, Needs, Positive, Reads, Training, formula
from methods.batch import Batch, Terms, View, example_mean
from methods.formulas import log_ratio, logistic
from methods.lazy_torch import Tensor


@dataclass(frozen=True)
class DaDPO:
    """beta_ref, beta_teacher: strengths of the pulls to ref and teacher. Both ours."""

    beta_ref: Positive = 0.1
    beta_teacher: Positive = 0.1


def reward(y: View, hp: DaDPO) -> Tensor:
    """m(y). [B]"""
    return hp.beta_ref * log_ratio(y) + hp.beta_teacher * log_ratio(y, "teacher")


@formula("methods.dadpo.loss")
def loss(batch: Batch, hp: DaDPO) -> Terms:
    margin = reward(batch.teacher_rollout, hp) - reward(batch.student_rollout, hp)
    return {"dadpo": example_mean(logistic(margin), batch)}


READS = Reads(logps=("policy", "ref", "teacher"))

METHOD = Method(
    name="daDPO",
    paper="Zhang et al., Findings of ACL 2025 (arXiv 2506.15717)",
    hparams=DaDPO(),
    sources={
        "loss": "paper: daDPO, Eq. 10, as quoted",
        **dict.fromkeys(("beta_ref", "beta_teacher"), "ours"),
        "starts_from": "ours: the paper has SFT on y_T",
        **dict.fromkeys(("teacher_rollout", "student_rollout"), "ours: greedy"),
    },
    training=Training(lr=5e-7),
    needs=lambda hp: Needs({"teacher_rollout": READS, "student_rollout": READS}, distinct=True),
    loss=loss,
)
