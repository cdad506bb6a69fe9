"""DCKD: Dual-Constrained Knowledge Distillation (Gao et al., ICLR 2025, arXiv 2502.17927, Sec. 3.2).

    L = L_SFT(y_w) + alpha * (KLD_w + KLD_l)
    KLD = sum_t KL( pi_dpo(.|s_t) || pi_theta(.|s_t) ) / sum_t 1,   on y_w and on y_l

The student imitates the aligned teacher on the dispreferred prefix too; it does not push that response down.
Reduction: token means over the optimizer step, each view by its own count (the paper writes sums over t, the
released code takes token means). In the released code the end of turn has no teacher term, but counts: n - 1
of n tokens' KL (DCKD[release], methods/dckd_release.py, with an example in numbers).
"""

from dataclasses import dataclass, replace

from methods.api import Method, Needs, NotNegative, Reads, Support, Training, formula
from methods.batch import Batch, Terms, token_mean
from methods.formulas import nll, teacher_kl


@dataclass(frozen=True)
class DCKD:
    """alpha: weight of each KL (0.1: student_dckd.yaml). support: V or the teacher's top k (release:
    50).
    """

    alpha: NotNegative = 0.1
    support: Support = "full"


@formula("methods.dckd.loss")
def loss(batch: Batch, hp: DCKD) -> Terms:
    y_w, y_l = batch.chosen, batch.rejected
    return {
        "sft": nll(y_w),
        "kd_chosen": hp.alpha * token_mean(y_w[teacher_kl], y_w),
        "kd_rejected": hp.alpha * token_mean(y_l[teacher_kl], y_l),
    }


METHOD = Method(
    name="DCKD",
    paper="Gao et al., ICLR 2025 (arXiv 2502.17927)",
    hparams=DCKD(),
    sources={
        "loss": "paper: ADPA, Sec. 3.2",
        "alpha": "release: ADPA, student_dckd.yaml",
        "support": "ours: all of V, not 50",
    },
    training=Training(lr=5e-7, epochs=3, batch_size=128, source="release: ADPA, student_dckd.yaml"),
    needs=lambda hp: Needs(
        {"chosen": Reads((teacher_kl,), ("policy",)), "rejected": Reads((teacher_kl,))}, hp.support
    ),
    loss=loss,
)
WITHOUT_DPO_TEACHER = replace(
    METHOD,
    name="DCKD w/o DPO teacher",
    sources={**METHOD.sources, "loss": "paper: ADPA, Table 2"},
    paper="Gao et al., ICLR 2025 (arXiv 2502.17927), Table 2",
    about="The SFT teacher pi_ref in both KLs, in place of pi_dpo.",
    roles={"teacher": "teacher_ref"},
    kind="ablation",
)
