"""ORPO: Odds Ratio Preference Optimization (Hong et al., 2024, arXiv 2403.07691, Eq. 6-7).

    L = L_SFT(y_w) - weight * log sigmoid( log odds(y_w) - log odds(y_l) )
    odds(y) = p / (1 - p),   p = exp( lp_theta(y) / |y| )

No reference model. The paper trains a base model with it in one stage; here it starts from the Student, as
every row does. Reduction: L_SFT over the step's tokens, the odds ratio a mean over its pairs.
"""

from dataclasses import dataclass

from methods.api import Method, Needs, NotNegative, Reads, Training, formula
from methods.batch import Batch, Terms, View, example_mean
from methods.formulas import logistic, mean_logps, nll
from methods.lazy_torch import Tensor, torch

SURE = -1e-6  # an average log-prob nearer to 0 has no finite odds in float32


@dataclass(frozen=True)
class ORPO:
    """weight: lambda of the odds ratio (0.1 of the paper)."""

    weight: NotNegative = 0.1


def log_odds(view: View) -> Tensor:
    """log p - log(1 - p). [B]"""
    logp = mean_logps(view).clamp(max=SURE)
    return logp - torch.log(-torch.expm1(logp))


@formula("methods.orpo.loss")
def loss(batch: Batch, hp: ORPO) -> Terms:
    y_w, y_l = batch.chosen, batch.rejected
    ratio = logistic(log_odds(y_w) - log_odds(y_l))
    return {"sft": nll(y_w), "odds": hp.weight * example_mean(ratio, batch)}


READS = Reads(logps=("policy",))

METHOD = Method(
    name="ORPO",
    paper="Hong et al., EMNLP 2024 (arXiv 2403.07691)",
    hparams=ORPO(),
    training=Training(lr=8e-6),
    sources={
        "loss": "paper: ORPO, Eq. 6-7",
        "weight": "paper: ORPO",
        "lr": "paper: ORPO",
        "starts_from": "ours: the paper has a base model",
    },
    needs=lambda hp: Needs({"chosen": READS, "rejected": READS}),
    loss=loss,
)
