"""TDPO: Token-level Direct Preference Optimization, TDPO2 (Zeng et al., 2024, arXiv 2404.11999, Eq. 17).

    L = - log sigmoid( beta * h - alpha * beta * [ D(y_l) - sg D(y_w) ] )
    h = [lp_theta(y_w) - lp_ref(y_w)] - [lp_theta(y_l) - lp_ref(y_l)]
    D(y) = sum_t KL( pi_ref(.|s_t) || pi_theta(.|s_t) )

sg stops the gradient. lp sums over the response. Reduction: mean over the pairs of the optimizer step.
"""

from dataclasses import dataclass
from math import log

from methods.api import Method, Needs, NotNegative, Positive, Reads, Training, formula
from methods.batch import Batch, Chunk, Terms, example_mean, seq_sum, statistic
from methods.formulas import kl, log_ratio, logistic
from methods.lazy_torch import Tensor


@dataclass(frozen=True)
class TDPO:
    """beta: 0.1. alpha: weight of the divergences (0.5). Both the paper's."""

    beta: Positive = 0.1
    alpha: NotNegative = 0.5


@statistic("ref")
def ref_kl(at: Chunk, hp: TDPO) -> Tensor:
    """KL( pi_ref || pi_theta ). [N]"""
    return kl(at.ref, at.policy)


@formula("methods.tdpo.loss")
def loss(batch: Batch, hp: TDPO) -> Terms:
    y_w, y_l = batch.chosen, batch.rejected
    drift = seq_sum(y_l[ref_kl], y_l) - seq_sum(y_w[ref_kl], y_w).detach()  # [B]
    margin = log_ratio(y_w) - log_ratio(y_l) - hp.alpha * drift
    return {"tdpo": example_mean(logistic(hp.beta * margin), batch)}


READS = Reads((ref_kl,), ("policy", "ref"))

METHOD = Method(
    name="TDPO",
    paper="Zeng et al., ICML 2024 (arXiv 2404.11999)",
    hparams=TDPO(),
    training=Training(lr=5e-7),
    sources={"loss": "paper: TDPO, Eq. 17", "beta": "paper: TDPO", "alpha": "paper: TDPO"},
    needs=lambda hp: Needs({"chosen": READS, "rejected": READS}),
    loss=loss,
    at_start=lambda hp: {"tdpo": log(2)},
)
