"""DistiLLM: skew divergences to the teacher (Ko et al., 2024, arXiv 2402.03898, Eq. 5-6).

    L = (1 - student_share) * D on y_w + student_share * D on y_hat
    DistiLLM        D = KL( p || a p + (1 - a) q )      skew forward KL, p the teacher, q the policy
    DistiLLM[SRKL]  D = KL( q || (1 - a) p + a q )      skew reverse KL

y_hat is the frozen student's response: the paper reuses its student's outputs from a buffer, by a share that
a validation loss adapts; here they are sampled once, at temperature 1 as in its release (jongwooko/distillm,
train_0.1B_1.5B.sh: do-sample, top-k 0, top-p 1), and the share is a setting. Reduction: token means over
the optimizer step, each view by its own count.
"""

from dataclasses import dataclass, replace

from methods.api import Method, Needs, OpenShare, Reads, Rollouts, Share, Training, formula
from methods.batch import Batch, Chunk, Statistic, Terms, statistic, token_mean
from methods.formulas import kl, mixture
from methods.lazy_torch import Tensor


@dataclass(frozen=True)
class DistiLLM:
    """skew: a (0.1 of the paper). student_share: ours."""

    skew: OpenShare = 0.1
    student_share: Share = 0.5


@statistic("teacher")
def skew_kl(at: Chunk, hp: DistiLLM) -> Tensor:
    """KL( p || a p + (1 - a) q ). [N]"""
    return kl(at.teacher, mixture(at.teacher, at.policy, hp.skew))


@statistic("teacher")
def skew_reverse_kl(at: Chunk, hp: DistiLLM) -> Tensor:
    """KL( q || (1 - a) p + a q ). [N]"""
    return kl(at.policy, mixture(at.policy, at.teacher, hp.skew))


def _terms(batch: Batch, hp: DistiLLM, divergence: Statistic) -> Terms:
    y_w, y_hat = batch.chosen, batch.student_rollout
    return {
        "kd": (1 - hp.student_share) * token_mean(y_w[divergence], y_w),
        "kd_rollout": hp.student_share * token_mean(y_hat[divergence], y_hat),
    }


@formula("methods.distillm.loss")
def loss(batch: Batch, hp: DistiLLM) -> Terms:
    return _terms(batch, hp, skew_kl)


@formula("methods.distillm.reverse_loss")
def reverse_loss(batch: Batch, hp: DistiLLM) -> Terms:
    return _terms(batch, hp, skew_reverse_kl)


def _needs(divergence: Statistic) -> Needs:
    reads = Reads((divergence,))
    return Needs({"chosen": reads, "student_rollout": reads}, rollouts=Rollouts(temperature=1.0))


METHOD = Method(
    name="DistiLLM",
    paper="Ko et al., ICML 2024 (arXiv 2402.03898)",
    hparams=DistiLLM(),
    training=Training(lr=5e-7),
    sources={
        "loss": "paper: DistiLLM, Eq. 5-6",
        "skew": "paper: DistiLLM",
        "student_share": "ours",
        "student_rollout": "release: DistiLLM, but no buffer",
    },
    needs=lambda hp: _needs(skew_kl),
    loss=loss,
)
REVERSE = replace(
    METHOD,
    name="DistiLLM[SRKL]",
    about="The skew reverse KL.",
    needs=lambda hp: _needs(skew_reverse_kl),
    loss=reverse_loss,
)
