"""IPO: Identity Preference Optimization (Azar et al., 2023, arXiv 2310.12036, Eq. 17).

    L = ( h - 1 / (2 beta) )^2,   h = [lp_theta(y_w) - lp_ref(y_w)] - [lp_theta(y_l) - lp_ref(y_l)]

beta is the paper's tau. lp sums over the response, as the paper writes it; IPO[mean] averages over it, as TRL
and the ADPA release's trainer do, where the same beta asks for a margin of 1 / (2 beta) nats per token.
Reduction: mean over the pairs of the optimizer step.
"""

from dataclasses import dataclass, replace

from methods.api import Method, Needs, Positive, Reads, Training, formula
from methods.batch import Batch, Terms, example_mean
from methods.formulas import log_ratio
from methods.lazy_torch import Tensor


@dataclass(frozen=True)
class IPO:
    """beta: 1 / (2 beta) is the margin that is asked for; ours."""

    beta: Positive = 0.1


def _squared(margin: Tensor, batch: Batch, hp: IPO) -> Terms:
    return {"ipo": example_mean((margin - 1 / (2 * hp.beta)) ** 2, batch)}


@formula("methods.ipo.loss")
def loss(batch: Batch, hp: IPO) -> Terms:
    return _squared(log_ratio(batch.chosen) - log_ratio(batch.rejected), batch, hp)


@formula("methods.ipo.mean_loss")
def mean_loss(batch: Batch, hp: IPO) -> Terms:
    y_w, y_l = batch.chosen, batch.rejected
    return _squared(log_ratio(y_w) / y_w.mask.sum(-1) - log_ratio(y_l) / y_l.mask.sum(-1), batch, hp)


READS = Reads(logps=("policy", "ref"))

METHOD = Method(
    name="IPO",
    paper="Azar et al., AISTATS 2024 (arXiv 2310.12036)",
    hparams=IPO(),
    training=Training(lr=5e-7),
    sources={"loss": "paper: IPO, Eq. 17", "beta": "ours"},
    needs=lambda hp: Needs({"chosen": READS, "rejected": READS}),
    loss=loss,
    at_start=lambda hp: {"ipo": 1 / (2 * hp.beta) ** 2},
)
MEAN = replace(
    METHOD,
    name="IPO[mean]",
    about="Log-probs averaged over the response.",
    sources={**METHOD.sources, "loss": "other: TRL, ADPA release"},
    loss=mean_loss,
)
