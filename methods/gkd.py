"""GKD: Generalized Knowledge Distillation (Agarwal et al., 2023, arXiv 2306.13649, Eq. 4 and Algorithm 1).

    L = (1 - student_share) * D on y_w + student_share * D on y,   y drawn from the policy as it trains
    D = JSD_b(p_T, p_S) = b KL(p_T || m) + (1 - b) KL(p_S || m),   m = b p_T + (1 - b) p_S

No gradient through the sampling. GKD[forward] has D = KL(p_T || p_S), GKD[reverse] D = KL(p_S || p_T), the
limits of JSD_b / b at b = 0 and of JSD_b / (1 - b) at b = 1. The paper draws which data a step is of; here
each step has both, by their shares. Reduction: token means over the optimizer step, each view by its own
count.
"""

from dataclasses import dataclass, replace

from methods.api import Count, Method, Needs, Online, OpenShare, Reads, Share, Training, formula
from methods.batch import Batch, Chunk, Statistic, Terms, statistic, token_mean
from methods.formulas import jsd, reverse_kl, teacher_kl
from methods.lazy_torch import Tensor


@dataclass(frozen=True)
class GKD:
    """student_share: 0.5 is the paper's mixed data. b: read by GKD alone (0.5). batches: optimizer steps
    between two samplings (1: the paper).
    """

    student_share: Share = 0.5
    b: OpenShare = 0.5
    batches: Count = 1


@statistic("teacher")
def teacher_jsd(at: Chunk, hp: GKD) -> Tensor:
    """JSD_b(p_T, p_S). [N]"""
    return jsd(at.teacher, at.policy, hp.b)


def _terms(batch: Batch, hp: GKD, divergence: Statistic) -> Terms:
    y_w, y = batch.chosen, batch.policy_rollout
    return {
        "kd": (1 - hp.student_share) * token_mean(y_w[divergence], y_w),
        "kd_on_policy": hp.student_share * token_mean(y[divergence], y),
    }


@formula("methods.gkd.jsd_loss")
def jsd_loss(batch: Batch, hp: GKD) -> Terms:
    return _terms(batch, hp, teacher_jsd)


@formula("methods.gkd.forward_loss")
def forward_loss(batch: Batch, hp: GKD) -> Terms:
    return _terms(batch, hp, teacher_kl)


@formula("methods.gkd.reverse_loss")
def reverse_loss(batch: Batch, hp: GKD) -> Terms:
    return _terms(batch, hp, reverse_kl)


def _needs(hp: GKD, divergence: Statistic) -> Needs:
    reads = Reads((divergence,))
    return Needs({"chosen": reads, "policy_rollout": reads}, online=Online(hp.batches))


METHOD = Method(
    name="GKD",
    paper="Agarwal et al., ICLR 2024 (arXiv 2306.13649)",
    hparams=GKD(),
    training=Training(lr=5e-7),
    sources={
        "loss": "paper: GKD, Eq. 4",
        "student_share": "paper: GKD, mixed data",
        "b": "paper: GKD",
        "batches": "paper: GKD, Algorithm 1",
        "policy_rollout": "paper: GKD, temperature 1",
    },
    needs=lambda hp: _needs(hp, teacher_jsd),
    loss=jsd_loss,
)
FORWARD = replace(
    METHOD,
    name="GKD[forward]",
    sources={**METHOD.sources, "loss": "paper: GKD, forward KL"},
    about="Forward KL in place of the JSD.",
    needs=lambda hp: _needs(hp, teacher_kl),
    loss=forward_loss,
)
REVERSE = replace(
    METHOD,
    name="GKD[reverse]",
    sources={**METHOD.sources, "loss": "paper: GKD, reverse KL"},
    about="Reverse KL in place of the JSD.",
    needs=lambda hp: _needs(hp, reverse_kl),
    loss=reverse_loss,
)
