"""DPO: Direct Preference Optimization (Rafailov et al., 2023, arXiv 2305.18290, Eq. 7).

    L = - log sigmoid( beta * ( [lp_theta(y_w) - lp_ref(y_w)] - [lp_theta(y_l) - lp_ref(y_l)] ) )

lp sums log-probs over the response. ref is the frozen model that training starts from.
Reduction: mean over the pairs of the optimizer step.
"""

from dataclasses import dataclass
from math import log

from methods.api import Method, Needs, Positive, Reads, Training, formula
from methods.batch import Batch, StoredView, Terms, example_mean
from methods.formulas import log_ratio, logistic


@dataclass(frozen=True)
class DPO:
    """beta: strength of the pull to ref; 0.01 is the ADPA recipe's (teacher_dpo.yaml). preferred,
    dispreferred: the views that are compared.
    """

    beta: Positive = 0.01
    preferred: StoredView = "chosen"
    dispreferred: StoredView = "rejected"

    def __post_init__(self) -> None:
        if self.preferred == self.dispreferred:
            raise ValueError(f"preferred and dispreferred are two views, not both {self.preferred}")


@formula("methods.dpo.loss")
def loss(batch: Batch, hp: DPO) -> Terms:
    margin = log_ratio(batch.view(hp.preferred)) - log_ratio(batch.view(hp.dispreferred))  # [B]
    return {"dpo": example_mean(logistic(hp.beta * margin), batch)}


def needs(hp: DPO) -> Needs:
    reads = Reads(logps=("policy", "ref"))
    sampled = (hp.preferred, hp.dispreferred) == ("teacher_rollout", "student_rollout")
    return Needs({hp.preferred: reads, hp.dispreferred: reads}, distinct=sampled)


METHOD = Method(
    name="DPO",
    paper="Rafailov et al., NeurIPS 2023 (arXiv 2305.18290)",
    hparams=DPO(),
    sources={
        "loss": "paper: DPO, Eq. 7",
        "beta": "release: ADPA, teacher_dpo.yaml",
        "preferred": "paper: DPO",
        "dispreferred": "paper: DPO",
    },
    training=Training(lr=5e-7, epochs=1, batch_size=128, source="release: ADPA, teacher_dpo.yaml"),
    needs=needs,
    loss=loss,
    at_start=lambda hp: {"dpo": log(2)},
)
