"""VanillaKD: word-level knowledge distillation on the preferred response (Hinton et al., 2015, arXiv
1503.02531).

    VanillaKD        L = alpha * sum_t KL( pi_teacher(.|s_t) || pi_theta(.|s_t) ) / sum_t 1
    VanillaKD[SFT]   L = L_SFT(y_w) + the same

Forward KL at temperature 1; the teacher is the DPO teacher. Reduction: mean over the response tokens of the
optimizer step.

Which of the two the row in ADPA's table is, its paper does not say, and its released trainer runs either
(`chosen_distil_weight` with or without `sft_on_chosen`). The one published recipe, vanilakd.yaml in the TVKD
authors' fork of that trainer, is the KL alone: sft_on_chosen 0, weight 0.1, sequences of 2,048 tokens (here
the suite's `max_length`). It is the likelier reading too: with the likelihood, the row would be the paper's
own ablation "DCKD w/o dispreferred" under another name. No number decides it, since Table 2 has that ablation
for other pairs of models. Alone, alpha only scales the loss, so that AdamW takes the same steps but where the
gradient is clipped; beside a likelihood of weight 1, an alpha of 0.1 is mostly SFT.
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


@formula("methods.vanillakd.kl_loss")
def kl_loss(batch: Batch, hp: VanillaKD) -> Terms:
    y_w = batch.chosen
    return {"kd": hp.alpha * token_mean(y_w[teacher_kl], y_w)}


@formula("methods.vanillakd.loss")
def loss(batch: Batch, hp: VanillaKD) -> Terms:
    return {"sft": nll(batch.chosen), **kl_loss(batch, hp)}


METHOD = Method(
    name="VanillaKD",
    paper="Hinton et al., 2015 (arXiv 1503.02531)",
    about="The KL alone, as in its one published recipe.",
    hparams=VanillaKD(),
    sources={
        "loss": "paper: Hinton et al.",
        "alpha": "other: TVKD fork, vanilakd.yaml",
        "support": "paper: Hinton et al.",
    },
    training=Training(lr=5e-7, epochs=1, source="other: TVKD fork, vanilakd.yaml"),
    needs=lambda hp: Needs({"chosen": Reads((teacher_kl,))}, hp.support),
    loss=kl_loss,
)
WITH_SFT = replace(
    METHOD,
    name="VanillaKD[SFT]",
    about="VanillaKD's KL beside the likelihood of the preferred response.",
    sources={**METHOD.sources, "loss": "paper: Hinton; the SFT term is ours"},
    needs=lambda hp: Needs({"chosen": Reads((teacher_kl,), ("policy",))}, hp.support),
    loss=loss,
    kind="variant",
)
DCKD_WITHOUT_DISPREFERRED = replace(
    WITH_SFT,
    name="DCKD w/o dispreferred",
    sources={
        "loss": "paper: ADPA, Table 2",
        "alpha": "release: ADPA, student_dckd.yaml",
        "support": "ours: all of V, not 50",
    },
    paper="Gao et al., ICLR 2025 (arXiv 2502.17927), Table 2",
    about="DCKD without its KL on the dispreferred response: VanillaKD[SFT]'s loss at DCKD's setting.",
    training=Training(lr=5e-7, epochs=3, source="release: ADPA, student_dckd.yaml"),
    kind="ablation",
)
