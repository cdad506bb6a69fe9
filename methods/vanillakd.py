"""VanillaKD: word-level knowledge distillation on the preferred response (Hinton et al., 2015, arXiv
1503.02531).

    L = L_SFT(y_w) + alpha * sum_t KL( pi_teacher(.|s_t) || pi_theta(.|s_t) ) / sum_t 1

Forward KL at temperature 1; teacher is the DPO teacher. Which teacher and data the ADPA paper used is not
published. Reduction: mean over the response tokens of the optimizer step.
"""

from dataclasses import dataclass, replace

from methods.api import Method, Needs, NotNegative, Reads, Support, Training, formula
from methods.batch import Batch, Terms, token_mean
from methods.formulas import nll, teacher_kl


@dataclass(frozen=True)
class VanillaKD:
    """alpha: weight of the KL (0.1: the TVKD fork's vanilakd.yaml). support: V or the teacher's top k."""

    alpha: NotNegative = 0.1
    support: Support = "full"


@formula("methods.vanillakd.loss")
def loss(batch: Batch, hp: VanillaKD) -> Terms:
    y_w = batch.chosen
    return {"sft": nll(y_w), "kd": hp.alpha * token_mean(y_w[teacher_kl], y_w)}


METHOD = Method(
    name="VanillaKD",
    paper="Hinton et al., 2015 (arXiv 1503.02531)",
    hparams=VanillaKD(),
    training=Training(lr=5e-7, epochs=1, source="TVKD fork of the ADPA release, vanilakd.yaml"),
    needs=lambda hp: Needs({"chosen": Reads((teacher_kl,), ("policy",))}, hp.support),
    loss=loss,
)
DCKD_WITHOUT_DISPREFERRED = replace(
    METHOD,
    name="DCKD w/o dispreferred",
    paper="Gao et al., ICLR 2025 (arXiv 2502.17927), Table 2",
    about="DCKD without its KL on the dispreferred response: VanillaKD's loss at DCKD's setting.",
    training=Training(lr=5e-7, epochs=3, source="ADPA release, student_dckd.yaml"),
    kind="ablation",
)
