"""ADPA[release]: what the code released with ADPA computes (github.com/gaoshiping/ADPA, run_distill_dpo.py).

    L = L_SFT(y_w) - weight * mean_t sum_{a in K_t} pi_theta(a|s_t) A(a|s_t)
    A(a|s) = clip( log[ max(pi_dpo(a), 1e-7) / max(p_ref(a), 1e-7) ], 1e-8, 1 - 1e-8 )
    p_ref(a) = pi_ref(a) where a is among the k likeliest of pi_ref, else min_{b in K_t} pi_dpo(b)

K_t holds the k likeliest tokens of pi_dpo at s_t. Differences from the paper's formula (methods/adpa.py):

- the advantage is clipped to [0, 1]; the weight 1.6 belongs to this form, without beta;
- a token that pi_ref does not list is given the smallest listed probability of pi_dpo;
- the end of turn has no advantage, but counts in the mean over t (here: the last token, even if cut);
- means are over each sequence, then over sequences.

Not reproduced: LLaMA's second BOS, fp16 teachers, the README's command that takes the student for the
reference teacher. The one released recipe, student_adpa.yaml, starts from and samples with the student of its
DCKD stage: that is ADPA+[release]. ADPA[release] starts where ADPA does.
"""

from dataclasses import dataclass
from math import log

from methods.api import Count, Method, Needs, NotNegative, Reads, Training, formula
from methods.batch import Batch, Chunk, Terms, example_mean, seq_mean, statistic
from methods.formulas import last_token
from methods.lazy_torch import Tensor, torch

FLOOR, EDGE = log(1e-7), 1e-8


@dataclass(frozen=True)
class ADPARelease:
    """weight: adpa_weight. k: listed tokens of each teacher, at most V."""

    weight: NotNegative = 1.6
    k: Count = 50


def margin(at: Chunk, hp: ADPARelease) -> tuple[Tensor, Tensor]:
    """log pi_dpo / p_ref before the clip, and the ids K_t. [N, k]"""
    k = min(hp.k, at.teacher.shape[-1])
    listed, ids = at.teacher.topk(k)
    least = at.teacher_ref.topk(k).values[:, -1:]
    ref = at.teacher_ref.gather(-1, ids)
    ref = torch.where(ref >= least, ref, listed[:, -1:])
    return listed.clamp(min=FLOOR) - ref.clamp(min=FLOOR), ids


@statistic("teacher", "teacher_ref")
def clipped_advantage(at: Chunk, hp: ADPARelease) -> Tensor:
    """sum_{a in K} pi_theta(a) A(a). [N]"""
    advantage, ids = margin(at, hp)
    return (at.policy.gather(-1, ids).exp() * advantage.clamp(EDGE, 1 - EDGE)).sum(-1)


@statistic("teacher", "teacher_ref")
def share_clipped(at: Chunk, hp: ADPARelease) -> Tensor:
    """The share of the k advantages that the clip changes. [N]"""
    advantage, _ = margin(at, hp)
    return ((advantage < EDGE) | (advantage > 1 - EDGE)).float().mean(-1)


@formula("methods.adpa_release.loss")
def loss(batch: Batch, hp: ADPARelease) -> Terms:
    y_w, y_hat = batch.chosen, batch.student_rollout
    gain = seq_mean(y_hat[clipped_advantage].where(~last_token(y_hat), 0), y_hat)
    return {
        "sft": -example_mean(seq_mean(y_w.logps("policy"), y_w), batch),
        "advantage": -hp.weight * example_mean(gain, batch),
    }


def clipped(batch: Batch, hp: ADPARelease) -> dict[str, tuple[Tensor, Tensor]]:
    y_hat = batch.student_rollout
    read = y_hat.mask & ~last_token(y_hat)
    return {"advantages clipped": (y_hat[share_clipped][read].sum(), read.sum().clamp(min=1))}


ADVANTAGE = Reads((clipped_advantage, share_clipped))

RELEASE = Method(
    name="ADPA[release]",
    paper="Gao et al., ICLR 2025 (arXiv 2502.17927), released code",
    hparams=ADPARelease(),
    training=Training(lr=5e-7, epochs=3, batch_size=128, source="release: ADPA, student_adpa.yaml"),
    sources={
        "loss": "release: ADPA, run_distill_dpo.py",
        "weight": "release: ADPA, student_adpa.yaml",
        "k": "paper: ADPA, Sec. 4.1",
        "starts_from": "ours: the release has DCKD's",
        "student_rollout": "release: ADPA, vllm_generate.py, greedy",
    },
    needs=lambda hp: Needs({"chosen": Reads(logps=("policy",)), "student_rollout": ADVANTAGE}),
    loss=loss,
    kind="variant",
    watch=clipped,
    limits={"advantages clipped": 0.5},
)
