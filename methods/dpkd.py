"""DPKD: Direct Preference Knowledge Distillation (Li et al., 2024, arXiv 2406.19774).

    L = - log sigmoid( beta * ( alr(y_T) - alr(y_S) ) ) + sft_weight * L_SFT(y_w)
    alr(y) = [ lp_theta(y) - lp_teacher(y) ] / |y|

The teacher is the reference model: y_T is its response, y_S that of the frozen student; identical ones are
left out and counted. Reduction: mean over pairs, L_SFT over the step's tokens. The SFT term is ours. The
authors' code computes another objective (methods/dpkd_token.py).
"""

from dataclasses import dataclass

from methods.api import Method, Needs, NotNegative, Positive, Reads, Training, formula
from methods.batch import Batch, Terms, View, example_mean, seq_mean
from methods.formulas import logistic, nll
from methods.lazy_torch import Tensor


@dataclass(frozen=True)
class DPKD:
    """beta: scale of the margin in nats per token. sft_weight: of the likelihood. Both ours."""

    beta: Positive = 0.1
    sft_weight: NotNegative = 1.0


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
