"""SFT: maximum likelihood of the preferred response.

    L = - sum_t log pi_theta(y_w,t | s_t) / sum_t 1

Reduction: mean over the response tokens of the whole optimizer step.
"""

from dataclasses import dataclass

from methods.api import Method, Needs, Reads, Training, formula
from methods.batch import Batch, Terms
from methods.formulas import nll


@dataclass(frozen=True)
class SFT:
    """No hyper-parameters beside the optimizer's."""


@formula("methods.sft.loss")
def loss(batch: Batch, hp: SFT) -> Terms:
    return {"sft": nll(batch.chosen)}


METHOD = Method(
    name="SFT",
    paper="row SFT of Gao et al., ICLR 2025 (arXiv 2502.17927): the chosen responses after the SFT stage",
    hparams=SFT(),
    # The ADPA release gives 2e-5 for SFT on Deita; for this row nothing was published.
    training=Training(lr=2e-5, epochs=3, source="ours: as student_sft_init.yaml"),
    sources={"loss": "paper: ADPA, L_SFT"},
    needs=lambda hp: Needs({"chosen": Reads(logps=("policy",))}),
    loss=loss,
)
