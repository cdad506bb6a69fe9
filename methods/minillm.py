"""MiniLLM: reverse KL on the policy's own responses, by policy gradient (Gu et al., 2023, arXiv 2306.08543,
Sec. 2.2).

    L = mean_t KL( q_theta(.|s_t) || p(.|s_t) )  -  mean_t min( w_t R_t, clip(w_t, 1 - clip, 1 + clip) R_t )
        + sft_weight * L_SFT(y_w)
    w_t = q_theta(y_t|s_t) / q_old(y_t|s_t)
    R_t = sum_{u > t} log[ p(y_u|s_u) / q_old(y_u|s_u) ] / (|y| - t),   0 at the last token

The first term is the paper's exact single-step part, the second its length-normalised long-term part, q_old
the policy that drew y. Differences from the paper: y is drawn from the policy alone, not mixed with the
teacher (share 0.2 there), so w_t has no mixing in it; L_SFT stands in for the pre-training loss.
Reduction: token means over the optimizer step.
"""

from dataclasses import dataclass

from methods.api import Count, Method, Needs, NotNegative, Online, Positive, Reads, Training, formula
from methods.batch import Batch, Terms, View, token_mean
from methods.formulas import clipped_gain, nll, reverse_kl
from methods.lazy_torch import Tensor, torch


@dataclass(frozen=True)
class MiniLLM:
    """clip: of the ratio (0.2). sft_weight: of the likelihood (1). batches, passes: optimizer steps that one
    sampling fills, and how often they are gone through (the paper's code: 4 passes).
    """

    clip: Positive = 0.2
    sft_weight: NotNegative = 1.0
    batches: Count = 1
    passes: Count = 4


def future_gain(y: View) -> Tensor:
    """R_t. [B, T]"""
    gain = torch.where(y.mask, y.logps("teacher") - y.logps("old"), 0)
    behind = gain.sum(-1, keepdim=True) - gain.cumsum(-1)
    left = y.mask.sum(-1, keepdim=True) - y.mask.cumsum(-1)  # |y| - t
    return behind / left.clamp(min=1)


@formula("methods.minillm.loss")
def loss(batch: Batch, hp: MiniLLM) -> Terms:
    y = batch.policy_rollout
    log_w = y.logps("policy") - y.logps("old")
    return {
        "single": token_mean(y[reverse_kl], y),
        "long": -token_mean(clipped_gain(log_w, future_gain(y), hp.clip), y),
        "sft": hp.sft_weight * nll(batch.chosen),
    }


METHOD = Method(
    name="MiniLLM",
    paper="Gu et al., ICLR 2024 (arXiv 2306.08543)",
    hparams=MiniLLM(),
    training=Training(lr=5e-6),
    sources={
        "loss": "paper: MiniLLM, Sec. 2.2",
        "clip": "release: MiniLLM",
        "sft_weight": "release: MiniLLM, --lm-coef",
        "batches": "ours",
        "passes": "release: MiniLLM, --ppo-epochs",
        "policy_rollout": "ours: no teacher mixed in",
        "lr": "release: MiniLLM",
    },
    needs=lambda hp: Needs(
        {
            "policy_rollout": Reads((reverse_kl,), ("policy", "old", "teacher")),
            "chosen": Reads(logps=("policy",)),
        },
        online=Online(hp.batches, hp.passes),
    ),
    loss=loss,
)
