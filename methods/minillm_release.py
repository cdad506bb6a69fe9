"""MiniLLM as its authors' code trains it (microsoft/LMOps, minillm/minillm/losses.py and sampler.py).

    L = mean_t KL( q_theta(.|s_t) || p(.|s_t) )  -  mean_t min( w_t A_t, clip(w_t, 1 - clip, 1 + clip) A_t )
        + lm_weight * mean_t [ - (1 - kd_share) log q_theta(y_w,t) + kd_share KL( p || q_theta ) ]
    r_t = clip( log[ p(y_t|s_t) / q_old(y_t|s_t) ] / reward_scale, +- reward_clip )
    R_t = sum_{u >= t} discount^(u - t) r_u / (|y| - t + 1)
    A_t = (R_t - mean R) / sqrt( var R + 1e-8 ),   w_t = q_theta(y_t|s_t) / q_old(y_t|s_t)

In methods/minillm.py, the paper's form, R_t has neither the token y_t nor a discount, scale or clip, and is
not whitened: on the tests' world the gradients of the second terms have a cosine of 0.41, those of the whole
losses of 0.62. Whitened, `reward_scale` acts through the clip alone. Differences from the release: y is drawn
from the policy alone, not mixed with the teacher (share 0.2 there); mean and variance run over the step's
tokens, there over a batch's padding too; y_w stands in for a pre-training corpus; gradients are clipped, and
AdamW's second beta is 0.999 (0.95 there). Reduction: token means over the optimizer step.
"""

from dataclasses import dataclass

from methods.api import Count, Method, Needs, NotNegative, Online, Positive, Reads, Share, Training, formula
from methods.batch import Batch, Terms, View, token_mean
from methods.formulas import clipped_gain, generalised_advantage, nll, reverse_kl, teacher_kl
from methods.lazy_torch import Tensor, torch


@dataclass(frozen=True)
class MiniLLMRelease:
    """The formula's letters by their names; batches, passes: api.Online."""

    clip: Positive = 0.2
    discount: Share = 0.95
    reward_scale: Positive = 0.5
    reward_clip: Positive = 100.0
    lm_weight: NotNegative = 1.0
    kd_share: Share = 0.5
    batches: Count = 4
    passes: Count = 4


def mean_gain(y: View, hp: MiniLLMRelease) -> Tensor:
    """R_t, 0 off the mask. [B, T]"""
    reward = (y.logps("teacher") - y.logps("old")) / hp.reward_scale
    reward = reward.clamp(-hp.reward_clip, hp.reward_clip)
    to_come = generalised_advantage(reward, torch.zeros_like(reward), y.mask, hp.discount, 1.0)
    left = y.mask.sum(-1, keepdim=True) - y.mask.cumsum(-1) + 1  # |y| - t + 1
    return to_come / left


@formula("methods.minillm_release.loss")
def loss(batch: Batch, hp: MiniLLMRelease) -> Terms:
    y, y_w, mean = batch.policy_rollout, batch.chosen, batch.means["mean"]
    spread = ((batch.means["squared"] - mean**2).clamp(min=0) + 1e-8).sqrt()
    gain = clipped_gain(y.logps("policy") - y.logps("old"), (mean_gain(y, hp) - mean) / spread, hp.clip)
    return {
        "single": token_mean(y[reverse_kl], y),
        "long": -token_mean(gain, y),
        "sft": hp.lm_weight * (1 - hp.kd_share) * nll(y_w),
        "kd": hp.lm_weight * hp.kd_share * token_mean(y_w[teacher_kl], y_w),
    }


def moments(batch: Batch, hp: MiniLLMRelease) -> dict[str, tuple[Tensor, Tensor]]:
    gain, count = mean_gain(batch.policy_rollout, hp), batch.policy_rollout.mask.sum()
    return {"mean": (gain.sum(), count), "squared": ((gain**2).sum(), count)}


RELEASE = Method(
    name="MiniLLM[release]",
    paper="Gu et al., ICLR 2024 (arXiv 2306.08543)",
    hparams=MiniLLMRelease(),
    training=Training(
        lr=5e-6,
        epochs=6.4,
        batch_size=64,
        warmup=0.02,
        weight_decay=1e-6,
        source="release: MiniLLM, train_7B_13B.sh",
    ),
    sources={
        "loss": "release: MiniLLM, losses.py",
        **dict.fromkeys(("clip", "discount", "lm_weight"), "release: MiniLLM, arguments.py"),
        **dict.fromkeys(("reward_scale", "reward_clip", "kd_share"), "release: MiniLLM, train_7B_13B.sh"),
        "batches": "release: MiniLLM, 256 of 64 a step",
        "passes": "release: MiniLLM, train_7B_13B.sh",
        "policy_rollout": "ours: no teacher mixed in",
        "epochs": "ours: 5,000 steps, on Dolly",
        "weight_decay": "release: MiniLLM, trainer.py",
        "max_grad_norm": "ours: none there",
    },
    needs=lambda hp: Needs(
        {
            "policy_rollout": Reads((reverse_kl,), ("policy", "old", "teacher")),
            "chosen": Reads((teacher_kl,), ("policy",)),
        },
        online=Online(hp.batches, hp.passes),
    ),
    loss=loss,
    kind="variant",
    step_stats=moments,
)
