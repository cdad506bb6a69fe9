"""KTO: Kahneman-Tversky Optimization (Ethayarajh et al., 2024, arXiv 2402.01306, Eq. 7-8).

    L = [ lambda_D (1 - sigmoid(beta * (r(y_w) - z0))) + lambda_U (1 - sigmoid(beta * (z0 - r(y_l)))) ] / 2
    r(y) = lp_theta(y) - lp_ref(y),   z0 = max(0, mean of r over mismatched responses), no gradient

Unpaired in the paper; here the preferred responses of the pairs are desirable and the others are not. z0
estimates KL(pi_theta || pi_ref) from responses to other prompts, over the whole optimizer step (the authors'
code: over a micro-batch). Which response is set to which prompt is fixed by the data set, not by the batch.
Reduction: mean over the 2 B responses of the optimizer step.
"""

from dataclasses import dataclass

from methods.api import Method, Needs, Positive, Reads, Training, formula
from methods.batch import Batch, Terms, example_mean
from methods.formulas import log_ratio
from methods.lazy_torch import Tensor, torch


@dataclass(frozen=True)
class KTO:
    """beta: the paper's 0.1. desirable, undesirable: lambda_D and lambda_U (1 where both are as many)."""

    beta: Positive = 0.1
    desirable: Positive = 1.0
    undesirable: Positive = 1.0


@formula("methods.kto.loss")
def loss(batch: Batch, hp: KTO) -> Terms:
    z0 = batch.means["kl"].clamp(min=0)
    gain = torch.sigmoid(hp.beta * (log_ratio(batch.chosen) - z0))  # [B]
    relief = torch.sigmoid(hp.beta * (z0 - log_ratio(batch.rejected)))
    return {
        "desirable": hp.desirable * example_mean(1 - gain, batch) / 2,
        "undesirable": hp.undesirable * example_mean(1 - relief, batch) / 2,
    }


def mismatch(batch: Batch, hp: KTO) -> dict[str, tuple[Tensor, Tensor]]:
    ratio = log_ratio(batch.mismatched)
    return {"kl": (ratio.sum(), torch.tensor(len(ratio), device=ratio.device))}


READS = Reads(logps=("policy", "ref"))

METHOD = Method(
    name="KTO",
    paper="Ethayarajh et al., ICML 2024 (arXiv 2402.01306)",
    hparams=KTO(),
    training=Training(lr=5e-7),
    sources={
        "loss": "paper: KTO, Eq. 7-8",
        "beta": "paper: KTO",
        "desirable": "paper: KTO",
        "undesirable": "paper: KTO",
        "data": "ours: the pairs' two sides",
        "lr": "paper: KTO",
    },
    needs=lambda hp: Needs({"chosen": READS, "rejected": READS, "mismatched": READS}),
    loss=loss,
    step_stats=mismatch,
    at_start=lambda hp: {"desirable": hp.desirable / 4, "undesirable": hp.undesirable / 4},
)
