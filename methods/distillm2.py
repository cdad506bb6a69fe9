"""DistiLLM-2: a skew divergence for each kind of response (Ko et al., ICML 2025, arXiv 2503.07067).

    L = (2 - b) * KL( p || a p + (1 - a) q ) on y_T + b * KL( q || (1 - a) p + a sg(q) ) on y_S
    b = 1 + rise * min(1, 2 * progress),   progress: the share of the optimizer steps that are done

p is the teacher, q the policy; y_T is the teacher's response and y_S that of the frozen student. sg stops the
gradient. Reduction: means over each response's tokens, then over the pairs of the optimizer step.

Read in the released code (jongwooko/distillm-2 at fe4cf9b, src/distillm_trainer.py): the divergences, a and
sg. The curriculum, a weight of the student's responses that grows over the first half, is the paper's (its
equations could not be verified) in the code's form, `gradual_beta`, off there: DistiLLM-2[release], rise = 0.
No entry has its `update_alpha`, off as well: an a for each response, between 0.01 and 0.1 by how far p and q
are apart on it, where a statistic of ours sees single tokens. Held-out losses have b = 1. The release trains
adapters (`lora: {r: 16, alpha: 128}` at lr 5e-5); its responses are drawn at temperature 0.8, top_p 0.95.
"""

from dataclasses import dataclass, replace

from methods.api import Method, Needs, OpenShare, Reads, Rollouts, Share, Training, formula
from methods.batch import Batch, Chunk, Terms, example_mean, seq_mean, statistic
from methods.formulas import kl, mixture
from methods.lazy_torch import Tensor


@dataclass(frozen=True)
class DistiLLM2:
    """skew: a. rise: how far b climbs from 1 by the middle of the training. Both the release's."""

    skew: OpenShare = 0.1
    rise: Share = 0.5


@statistic("teacher")
def skew_kl(at: Chunk, hp: DistiLLM2) -> Tensor:
    """KL( p || a p + (1 - a) q ). [N]"""
    return kl(at.teacher, mixture(at.teacher, at.policy, hp.skew))


@statistic("teacher")
def skew_reverse_kl(at: Chunk, hp: DistiLLM2) -> Tensor:
    """KL( q || (1 - a) p + a sg(q) ). [N]"""
    return kl(at.policy, mixture(at.policy.detach(), at.teacher, hp.skew))


@formula("methods.distillm2.loss")
def loss(batch: Batch, hp: DistiLLM2) -> Terms:
    y_t, y_s, b = batch.teacher_rollout, batch.student_rollout, 1 + hp.rise * min(1.0, 2 * batch.progress)
    return {
        "kd_teacher": (2 - b) * example_mean(seq_mean(y_t[skew_kl], y_t), batch),
        "kd_student": b * example_mean(seq_mean(y_s[skew_reverse_kl], y_s), batch),
    }


METHOD = Method(
    name="DistiLLM-2",
    paper="Ko et al., ICML 2025 (arXiv 2503.07067)",
    hparams=DistiLLM2(),
    sources={
        "loss": "release: distillm_trainer.py",
        "skew": "release: distillm_trainer.py",
        "rise": "release: distillm_trainer.py, gradual_beta",
        **dict.fromkeys(("teacher_rollout", "student_rollout"), "release: generate/"),
        "lr": "ours: of all weights",
    },
    training=Training(lr=5e-7, epochs=1, batch_size=32, source="release: qwen2.5-1.5b yaml"),
    needs=lambda hp: Needs(
        {"teacher_rollout": Reads((skew_kl,)), "student_rollout": Reads((skew_reverse_kl,))},
        rollouts=Rollouts(temperature=0.8, top_p=0.95),
    ),
    loss=loss,
)
RELEASE = replace(
    METHOD,
    name="DistiLLM-2[release]",
    about="Without the curriculum, as the release ships.",
    hparams=DistiLLM2(rise=0.0),
    sources={**METHOD.sources, "rise": "release: qwen2.5-1.5b yaml"},
)
