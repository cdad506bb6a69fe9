"""Forward KL alone, on stored responses, as TRL's GKD computes it with lmbda 0: a method file."""

from dataclasses import dataclass

from methods.api import Method, Needs, Reads, Training
from methods.batch import Batch, Terms, token_mean
from methods.formulas import teacher_kl


@dataclass(frozen=True)
class ForwardKD:
    """No hyper-parameters beside the optimizer's."""


def loss(batch: Batch, hp: ForwardKD) -> Terms:
    return {"kd": token_mean(batch.chosen[teacher_kl], batch.chosen)}


METHOD = Method(
    name="ForwardKD",
    paper="Agarwal et al., ICLR 2024 (arXiv 2306.13649), the supervised limit",
    hparams=ForwardKD(),
    training=Training(lr=1e-4),
    needs=lambda hp: Needs({"chosen": Reads((teacher_kl,))}),
    loss=loss,
)
