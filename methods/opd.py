"""OPD: on-policy distillation, reverse KL to the teacher on the policy's own responses at every step (Qwen3,
2025, arXiv 2505.09388, Sec. 4.5; Thinking Machines, 2025, thinkingmachines.ai/blog/on-policy-distillation).

    OPD             L = mean_t KL( q_theta(.|s_t) || p(.|s_t) )          over the vocabulary
    OPD[sampled]    L = - mean_t w_t A_t,    w_t = q_theta(y_t|s_t) / q_old(y_t|s_t)
                    A_t = sum_{u >= t} discount^(u - t) log[ p(y_u|s_u) / q_old(y_u|s_u) ]

y is drawn from q_old, the policy as it was; p is the teacher. No gradient through the sampling. The second is
tinker-cookbook's (distillation/train_on_policy.py, loss importance_sampling): at w_t = 1 its gradient is in
expectation that of the first (discount 0) or that of the KL of whole responses (discount 1). Differences from
there: its loss sums over tokens, it draws four responses a prompt, and trains LoRA at a learning rate of
1e-4. Qwen3 aligns logits by a KL on the student's responses and does not say which way round. Reduction:
token means over the optimizer step.
"""

from dataclasses import dataclass, replace

from methods.api import Count, Method, Needs, Online, Reads, Share, Training, formula
from methods.batch import Batch, Terms, View, token_mean
from methods.formulas import generalised_advantage, importance_weight, reverse_kl
from methods.lazy_torch import Tensor, torch


@dataclass(frozen=True)
class OPD:
    """batches: optimizer steps between two samplings (1: on-policy)."""

    batches: Count = 1


@dataclass(frozen=True)
class SampledOPD:
    """discount: of what later tokens gain (kl_discount_factor, 0). batches: as OPD's."""

    discount: Share = 0.0
    batches: Count = 1


@formula("methods.opd.loss")
def loss(batch: Batch, hp: OPD) -> Terms:
    y = batch.policy_rollout
    return {"kd": token_mean(y[reverse_kl], y)}


def advantage(y: View, discount: float) -> Tensor:
    """A_t, 0 off the mask. [B, T]"""
    gain = y.logps("teacher") - y.logps("old")
    return generalised_advantage(gain, torch.zeros_like(gain), y.mask, discount, trace=1.0)


@formula("methods.opd.sampled_loss")
def sampled_loss(batch: Batch, hp: SampledOPD) -> Terms:
    y = batch.policy_rollout
    weight = importance_weight(y.logps("policy") - y.logps("old"))
    return {"policy": -token_mean(weight * advantage(y, hp.discount), y)}


METHOD = Method(
    name="OPD",
    paper="Qwen3, 2025 (arXiv 2505.09388); Thinking Machines, 2025 (thinkingmachines.ai/blog)",
    hparams=OPD(),
    sources={
        "loss": "paper: Qwen3, Sec. 4.5",
        "batches": "paper: Thinking Machines",
        "policy_rollout": "release: tinker-cookbook",
    },
    training=Training(lr=5e-7),
    needs=lambda hp: Needs({"policy_rollout": Reads((reverse_kl,))}, online=Online(hp.batches)),
    loss=loss,
)
SAMPLED = replace(
    METHOD,
    name="OPD[sampled]",
    about="The KL estimated at the sampled tokens, by policy gradient.",
    sources={
        **METHOD.sources,
        "loss": "release: tinker-cookbook",
        "discount": "release: tinker-cookbook",
    },
    hparams=SampledOPD(),
    needs=lambda hp: Needs(
        {"policy_rollout": Reads(logps=("policy", "old", "teacher"))}, online=Online(hp.batches)
    ),
    loss=sampled_loss,
)
