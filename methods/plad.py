"""PLaD: distillation with pseudo-preference pairs (Zhang et al., Findings of ACL 2024, arXiv 2406.02886).

    L = max( 0, delta - lp_theta(y_T) + lp_theta(y_S) ) + sft_weight * L_SFT(y_T)

y_T is the teacher's response, y_S that of the frozen student; the teacher's is preferred by construction. lp
sums over the response. Pairs of identical responses are left out and counted.
Reduction: the hinge is a mean over the pairs of the optimizer step, L_SFT over its tokens. No code was
released; the paper's second loss, with a margin from an external score, is not here. The SFT term is ours: a
hinge on sums alone drifts.
"""

from dataclasses import dataclass

from methods.api import Method, Needs, NotNegative, Positive, Reads, Training, formula
from methods.batch import Batch, Terms, example_mean, seq_sum
from methods.formulas import nll


@dataclass(frozen=True)
class PLaD:
    """delta: margin in nats. sft_weight: of the likelihood of y_T. Both ours."""

    delta: Positive = 1.0
    sft_weight: NotNegative = 0.1


@formula("methods.plad.loss")
def loss(batch: Batch, hp: PLaD) -> Terms:
    y_t, y_s = batch.teacher_rollout, batch.student_rollout
    margin = seq_sum(y_t.logps("policy"), y_t) - seq_sum(y_s.logps("policy"), y_s)  # [B]
    return {
        "rank": example_mean((hp.delta - margin).clamp(min=0), batch),
        "sft": hp.sft_weight * nll(y_t),
    }


READS = Reads(logps=("policy",))

METHOD = Method(
    name="PLaD",
    paper="Zhang et al., Findings of ACL 2024 (arXiv 2406.02886)",
    hparams=PLaD(),
    training=Training(lr=5e-7),
    sources={
        "loss": "paper: PLaD; the SFT term is ours",
        "delta": "ours",
        "sft_weight": "ours",
        "teacher_rollout": "ours: greedy",
        "student_rollout": "ours: greedy",
    },
    needs=lambda hp: Needs({"teacher_rollout": READS, "student_rollout": READS}, distinct=True),
    loss=loss,
)
