"""DCKD[release]: what the code released with ADPA computes in its DCKD stage (github.com/gaoshiping/ADPA,
run_distill_dpo.py; utils/compress_logits.py).

    L = L_SFT(y_w) + alpha * (KLD_w + KLD_l)
    KLD = mean_t sum_{a in K_t + rest} p(a) log( p(a) / q(a) ),   on y_w and on y_l

K_t holds the k likeliest tokens of p = pi_dpo at s_t, q = pi_theta, and the rest is one more column. p is
kept within [1e-8, 1 - 1e-8], q above 1e-7. Differences from the paper's formula (methods/dckd.py):

- a micro-batch of one: means are over each sequence, then over sequences;
- the end of turn has no teacher term, but counts in the mean over t (here: the last token, even if cut; there
  its columns are 1e-8 on both sides, which is -1e-6 of a KL without a gradient);
- k tokens, whether or not the realised one is among them: DCKD at `support: 50` always has it.

What the end of turn makes: where teacher (3/4, 1/4) and policy (1/2, 1/2) differ alike at a response's one
token and at its end, KLD is 0.131 in DCKD and 0.065 here; of a response of n such tokens it is (n - 1) / n of
DCKD's. Nothing but L_SFT(y_w) teaches the student to end.

Not reproduced: LLaMA's second BOS, fp16 teachers, rows left out since their teacher list is empty.
"""

from dataclasses import dataclass

from methods.api import Count, Method, Needs, NotNegative, Reads, Training, formula
from methods.batch import Batch, Chunk, Terms, View, example_mean, seq_mean, statistic
from methods.formulas import last_token, mean_logps
from methods.lazy_torch import Tensor, torch

FLOOR, EDGE = 1e-7, 1e-8


@dataclass(frozen=True)
class DCKDRelease:
    """alpha: chosen_distil_weight and rejected_distil_weight. k: listed tokens of the teacher, at most V."""

    alpha: NotNegative = 0.1
    k: Count = 50


def with_rest(listed: Tensor) -> Tensor:
    """Probabilities [N, k], and what they leave as one more column. [N, k + 1]"""
    return torch.cat([listed, 1 - listed.sum(-1, keepdim=True)], -1)


@statistic("teacher")
def listed_kl(at: Chunk, hp: DCKDRelease) -> Tensor:
    """KL(teacher || policy) over K_t and the rest. [N]"""
    listed, ids = at.teacher.topk(min(hp.k, at.teacher.shape[-1]))
    p = with_rest(listed.exp()).clamp(EDGE, 1 - EDGE)
    q = with_rest(at.policy.gather(-1, ids).exp()).clamp(FLOOR, 1 - EDGE)
    return (p * (p.log() - q.log())).sum(-1)


def distilled(view: View, batch: Batch) -> Tensor:
    """The mean over responses of each one's mean KL, to which its last token adds nothing."""
    return example_mean(seq_mean(view[listed_kl].where(~last_token(view), 0), view), batch)


@formula("methods.dckd_release.loss")
def loss(batch: Batch, hp: DCKDRelease) -> Terms:
    y_w, y_l = batch.chosen, batch.rejected
    return {
        "sft": -example_mean(mean_logps(y_w), batch),
        "kd_chosen": hp.alpha * distilled(y_w, batch),
        "kd_rejected": hp.alpha * distilled(y_l, batch),
    }


RELEASE = Method(
    name="DCKD[release]",
    paper="Gao et al., ICLR 2025 (arXiv 2502.17927), released code",
    hparams=DCKDRelease(),
    sources={
        "loss": "release: ADPA, run_distill_dpo.py",
        "alpha": "release: ADPA, student_dckd.yaml",
        "k": "release: ADPA, compress_logits.py",
    },
    training=Training(lr=5e-7, epochs=3, batch_size=128, source="release: ADPA, student_dckd.yaml"),
    needs=lambda hp: Needs({"chosen": Reads((listed_kl,), ("policy",)), "rejected": Reads((listed_kl,))}),
    loss=loss,
    kind="variant",
)
