"""cDPO and rDPO: DPO where a share of the labels is wrong.

    h = [lp_theta(y_w) - lp_ref(y_w)] - [lp_theta(y_l) - lp_ref(y_l)]

    cDPO  L = - (1 - eps) log sigmoid(beta h) - eps log sigmoid(-beta h)
    rDPO  L = [ - (1 - eps) log sigmoid(beta h) + eps log sigmoid(-beta h) ] / (1 - 2 eps)

cDPO is conservative DPO (Mitchell, 2023, ericmitchell.ai/cdpo.pdf), rDPO the estimate that flipped labels
leave unbiased (Chowdhury et al., 2024, arXiv 2403.00409, Eq. 12). lp sums over the response.
Reduction: mean over the pairs of the optimizer step.
"""

from dataclasses import dataclass, replace
from math import log
from typing import Annotated

from annotated_types import Ge, Lt

from methods.api import Method, Needs, Positive, Reads, Training, formula
from methods.batch import Batch, Terms, example_mean
from methods.formulas import log_ratio, logistic
from methods.lazy_torch import Tensor


@dataclass(frozen=True)
class SmoothedDPO:
    """beta: strength of the pull to ref. eps: share of wrong labels; ours."""

    beta: Positive = 0.01
    eps: Annotated[float, Ge(0), Lt(0.5)] = 0.1


def _as_labelled_and_flipped(batch: Batch, hp: SmoothedDPO) -> tuple[Tensor, Tensor]:
    """DPO's loss with the label as it is, and with the label turned round. [B]"""
    margin = hp.beta * (log_ratio(batch.chosen) - log_ratio(batch.rejected))
    return logistic(margin), logistic(-margin)


@formula("methods.smoothed_dpo.cdpo_loss")
def cdpo_loss(batch: Batch, hp: SmoothedDPO) -> Terms:
    kept, flipped = _as_labelled_and_flipped(batch, hp)
    return {"cdpo": example_mean((1 - hp.eps) * kept + hp.eps * flipped, batch)}


@formula("methods.smoothed_dpo.rdpo_loss")
def rdpo_loss(batch: Batch, hp: SmoothedDPO) -> Terms:
    kept, flipped = _as_labelled_and_flipped(batch, hp)
    return {"rdpo": example_mean(((1 - hp.eps) * kept - hp.eps * flipped) / (1 - 2 * hp.eps), batch)}


READS = Reads(logps=("policy", "ref"))

CDPO = Method(
    name="cDPO",
    paper="Mitchell, 2023 (ericmitchell.ai/cdpo.pdf)",
    hparams=SmoothedDPO(),
    training=Training(lr=5e-7, source="ours: as DPO's"),
    sources={"loss": "paper: Mitchell, 2023", "beta": "ours: as DPO's", "eps": "ours"},
    needs=lambda hp: Needs({"chosen": READS, "rejected": READS}),
    loss=cdpo_loss,
    at_start=lambda hp: {"cdpo": log(2)},
)
RDPO = replace(
    CDPO,
    name="rDPO",
    sources={**CDPO.sources, "loss": "paper: Chowdhury, Eq. 12"},
    paper="Chowdhury et al., ICML 2024 (arXiv 2403.00409)",
    loss=rdpo_loss,
    at_start=lambda hp: {"rdpo": log(2)},
)
