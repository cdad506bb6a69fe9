"""SimPO: Simple Preference Optimization (Meng et al., 2024, arXiv 2405.14734, Eq. 6).

    L = - log sigmoid( beta * [ lp_theta(y_w) / |y_w| - lp_theta(y_l) / |y_l| ] - margin )

No reference model. The paper's gamma is called `margin` here.
Reduction: mean over the pairs of the optimizer step.

SimPO[release] writes the margin as the authors' trainer does, inside the bracket: beta * (gap - ratio). Both
are one loss where margin = beta * ratio; a number that is carried from one to the other means something else.
SimPO[PAD] is what PAD's trainer runs: beta 10 and ratio 0.3, whatever its configuration says.
"""

from dataclasses import dataclass, replace

from methods.api import Method, Needs, NotNegative, Positive, Reads, Training, formula
from methods.batch import Batch, Terms, example_mean
from methods.formulas import logistic, mean_logps
from methods.lazy_torch import Tensor


@dataclass(frozen=True)
class SimPO:
    """beta: scale of the gap. margin: what the scaled gap should exceed. Llama-3-Base of the
    paper's table: beta 2.0, margin / beta 0.5.
    """

    beta: Positive = 2.0
    margin: NotNegative = 1.0


@dataclass(frozen=True)
class SimPORelease:
    """beta: scale. ratio: gamma_beta_ratio, what the gap itself should exceed."""

    beta: Positive = 2.0
    ratio: NotNegative = 0.5


def gap(batch: Batch) -> Tensor:
    """Difference of the length-averaged log-probs. [B]"""
    return mean_logps(batch.chosen) - mean_logps(batch.rejected)


@formula("methods.simpo.loss")
def loss(batch: Batch, hp: SimPO) -> Terms:
    return {"simpo": example_mean(logistic(hp.beta * gap(batch) - hp.margin), batch)}


@formula("methods.simpo.release_loss")
def release_loss(batch: Batch, hp: SimPORelease) -> Terms:
    return {"simpo": example_mean(logistic(hp.beta * (gap(batch) - hp.ratio)), batch)}


READS = Reads(logps=("policy",))

METHOD = Method(
    name="SimPO",
    paper="Meng et al., NeurIPS 2024 (arXiv 2405.14734)",
    hparams=SimPO(),
    training=Training(lr=6e-7, epochs=1, batch_size=128, source="release: SimPO README"),
    sources={
        "loss": "paper: SimPO, Eq. 6",
        "beta": "release: SimPO README, Llama-3-Base",
        "margin": "release: SimPO README, Llama-3-Base",
    },
    needs=lambda hp: Needs({"chosen": READS, "rejected": READS}),
    loss=loss,
)
RELEASE = replace(
    METHOD,
    name="SimPO[release]",
    about="The margin as the authors' trainer writes it.",
    hparams=SimPORelease(),
    sources={
        "loss": "release: SimPO, simpo_trainer.py",
        "beta": "release: SimPO README, Llama-3-Base",
        "ratio": "release: SimPO README, Llama-3-Base",
    },
    loss=release_loss,
    kind="variant",
)
PAD = replace(
    RELEASE,
    name="SimPO[PAD]",
    about="The SimPO baseline of PAD's trainer.",
    hparams=SimPORelease(beta=10.0, ratio=0.3),
    sources={
        "loss": "other: PAD release, its trainer",
        "beta": "other: PAD release",
        "ratio": "other: PAD release, simpo_trainer.py",
    },
    training=Training(lr=8e-7, source="other: PAD release, simpo.log"),
)
