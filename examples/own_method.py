"""CPO: Contrastive Preference Optimization (Xu et al., ICML 2024, arXiv 2401.08417, Eq. 4-6).

    L = L_NLL(y_w) - log sigmoid( beta * [ lp_theta(y_w) - lp_theta(y_l) ] )

DPO without its reference, whose log-probs a uniform model would add as a constant, beside the likelihood of
the chosen response. Reduction: the likelihood over the step's tokens, the preference a mean over its pairs.
"""

from dataclasses import dataclass

from methods.api import Method, Needs, Positive, Reads, Training
from methods.batch import Batch, Terms, example_mean, seq_sum
from methods.formulas import logistic, nll


@dataclass(frozen=True)
class CPO:
    """beta: the inverse temperature of the preference."""

    beta: Positive = 0.1


def loss(batch: Batch, hp: CPO) -> Terms:
    y_w, y_l = batch.chosen, batch.rejected
    margin = seq_sum(y_w.logps("policy"), y_w) - seq_sum(y_l.logps("policy"), y_l)  # [B]
    return {"nll": nll(y_w), "preference": example_mean(logistic(hp.beta * margin), batch)}


READS = Reads(logps=("policy",))

METHOD = Method(
    name="CPO",
    paper="Xu et al., ICML 2024 (arXiv 2401.08417)",
    hparams=CPO(),
    training=Training(lr=1e-3, epochs=1, batch_size=16),
    needs=lambda hp: Needs({"chosen": READS, "rejected": READS}),
    loss=loss,
)
