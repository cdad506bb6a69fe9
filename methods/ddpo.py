"""DDPO: distilled DPO, regression on the teacher's reward (Fisch et al., 2024, arXiv 2405.19316, Eq. 7).

    L = ( scale * [r(y_w) - r(y_l)] - beta * h )^2
    h = [lp_theta(y_w) - lp_ref(y_w)] - [lp_theta(y_l) - lp_ref(y_l)]
    r(y) = lp_teacher(y) - lp_teacher_ref(y),   the teacher's implicit reward

lp sums over the response. The labels are not used. In DDPO, scale = reward_scale / (root mean square of r's
margin over the training set): a teacher trained at beta 0.01 has margins of any size, and the squared error
is theirs. It is not centred, which would turn small margins round. DDPO[unscaled] has scale =
reward_scale. Reduction: mean over the pairs of the optimizer step.

Which DDPO the ADPA table means is not published. DDPO[zephyr] is Zephyr's dDPO (Tunstall et al., 2023, arXiv
2310.16944), DPO on AI-feedback pairs, and DDPO[teacher_vs_student] is DPO with the teacher's response against
the student's (the name as daDPO uses it, arXiv 2506.15717); both have the formula of methods/dpo.py.
"""

from dataclasses import dataclass, replace

from methods.api import Method, Needs, Positive, Reads, Training, formula
from methods.batch import Batch, Terms, example_mean
from methods.formulas import log_ratio, teacher_reward
from methods.lazy_torch import Tensor, torch


@dataclass(frozen=True)
class DDPO:
    """beta: of the student's implicit reward. reward_scale: of the teacher's margin. Both ours."""

    beta: Positive = 0.1
    reward_scale: Positive = 1.0


def reward_margin(batch: Batch) -> Tensor:
    """r(y_w) - r(y_l). [B]"""
    return teacher_reward(batch.chosen) - teacher_reward(batch.rejected)


def _regression(batch: Batch, hp: DDPO, scale: Tensor | float) -> Terms:
    margin = log_ratio(batch.chosen) - log_ratio(batch.rejected)
    return {"ddpo": example_mean((scale * reward_margin(batch) - hp.beta * margin) ** 2, batch)}


def _scale(batch: Batch, hp: DDPO) -> Tensor:
    return hp.reward_scale / batch.means["squared_margin"].sqrt()


@formula("methods.ddpo.loss")
def loss(batch: Batch, hp: DDPO) -> Terms:
    return _regression(batch, hp, _scale(batch, hp))


@formula("methods.ddpo.unscaled_loss")
def unscaled_loss(batch: Batch, hp: DDPO) -> Terms:
    return _regression(batch, hp, hp.reward_scale)


def squared_margin(batch: Batch, hp: DDPO) -> dict[str, tuple[Tensor, Tensor]]:
    margin = reward_margin(batch)
    return {"squared_margin": ((margin**2).sum(), torch.tensor(len(margin), device=margin.device))}


def _start(batch: Batch, scale: Tensor | float) -> dict[str, tuple[Tensor, Tensor]]:
    """The mean square of the label, where h = 0."""
    squared = (scale * reward_margin(batch)) ** 2
    return {"ddpo": (squared.sum(), torch.ones_like(squared).sum())}


READS = Reads(logps=("policy", "ref", "teacher", "teacher_ref"))

METHOD = Method(
    name="DDPO",
    paper="Fisch et al., TMLR 2025 (arXiv 2405.19316)",
    hparams=DDPO(),
    training=Training(lr=5e-7),
    sources={"loss": "paper: Fisch, Eq. 7; the scale is ours", "beta": "ours", "reward_scale": "ours"},
    needs=lambda hp: Needs({"chosen": READS, "rejected": READS}),
    loss=loss,
    set_stats=squared_margin,
    start_stats=lambda batch, hp: _start(batch, _scale(batch, hp)),
)
UNSCALED = replace(
    METHOD,
    name="DDPO[unscaled]",
    sources={**METHOD.sources, "loss": "paper: Fisch, Eq. 7"},
    about="The regression on the reward as it is.",
    loss=unscaled_loss,
    set_stats=None,
    start_stats=lambda batch, hp: _start(batch, hp.reward_scale),
    kind="variant",
)
