"""WPO: Weighted Preference Optimization (Zhou et al., 2024, arXiv 2406.11827, Eq. 5, "sampled alignment").

    L = - W * log sigmoid( beta * h ),   h as in DPO, log-probs summed
    W = min( 1, w(y_w) w(y_l) ), no gradient
    log w(y) = sum_t [ log pi_theta(y_t|s_t) - log sum_v pi_theta(v|s_t)^2 ] / |y|

A response as likely as the policy's own samples has weight 1. The product is cut at 1 as in the authors'
code, not each factor; TRL 1.16 does not cut it. Reduction: mean over the pairs of the optimizer step; the
weights are not normalised. The paper's hybrid setting adds pairs sampled from the policy; this is its
off-policy setting, on the fixed pairs.
"""

from dataclasses import dataclass
from math import log

from methods.api import Method, Needs, Positive, Reads, Training, formula
from methods.batch import Batch, Chunk, Terms, View, example_mean, seq_mean, statistic
from methods.formulas import log_ratio, logistic
from methods.lazy_torch import Tensor, torch


@dataclass(frozen=True)
class WPO:
    """beta: strength of the pull to ref (0.01: training_configs/mistral.yaml)."""

    beta: Positive = 0.01


@statistic()
def log_expected_prob(at: Chunk, hp: WPO) -> Tensor:
    """log sum_v pi(v)^2, the expected probability of a token that the policy draws. [N]"""
    return (2 * at.policy).logsumexp(-1)


def log_weight(view: View) -> Tensor:
    """log w(y). [B]"""
    return seq_mean(view.logps("policy") - view[log_expected_prob], view)


def weight(batch: Batch) -> Tensor:
    """W of each pair, no gradient. [B]"""
    return (log_weight(batch.chosen) + log_weight(batch.rejected)).clamp(max=0).exp().detach()


@formula("methods.wpo.loss")
def loss(batch: Batch, hp: WPO) -> Terms:
    y_w, y_l = batch.chosen, batch.rejected
    margin = log_ratio(y_w) - log_ratio(y_l)
    return {"wpo": example_mean(weight(batch) * logistic(hp.beta * margin), batch)}


def start(batch: Batch, hp: WPO) -> dict[str, tuple[Tensor, Tensor]]:
    """ln 2 times the mean weight, where h = 0."""
    of_pairs = log(2) * weight(batch)
    return {"wpo": (of_pairs.sum(), torch.ones_like(of_pairs).sum())}


READS = Reads((log_expected_prob,), ("policy", "ref"))

METHOD = Method(
    name="WPO",
    paper="Zhou et al., EMNLP 2024 (arXiv 2406.11827)",
    hparams=WPO(),
    sources={"loss": "paper: WPO, Eq. 5", "beta": "release: WPO, mistral.yaml"},
    training=Training(lr=5e-7, epochs=1, batch_size=128, source="release: WPO, mistral.yaml"),
    needs=lambda hp: Needs({"chosen": READS, "rejected": READS}),
    loss=loss,
    start_stats=start,
)
