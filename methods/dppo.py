"""DPPO: PPO on the DPO teacher's implicit reward (Gao et al., ICLR 2025, arXiv 2502.17927, Table 3).

    r_t = beta * log[ pi_dpo(y_t|s_t) / pi_ref(y_t|s_t) ]       sequence-level: their sum, at the last token
    r'_t = r_t - kl * log[ pi_old(y_t|s_t) / pi_0(y_t|s_t) ]
    A_t = sum_{u >= t} (discount * trace)^(u-t) (r'_u + discount * V_old(s_u+1) - V_old(s_u))     GAE
    L = - mean_t min( w_t A_t, clip(w_t, 1 +- clip) A_t )
        + value_weight / 2 * mean_t max( (V - G_t)^2, (V_old + clip(V - V_old, +- value_clip) - G_t)^2 )
    w_t = pi_theta(y_t|s_t) / pi_old(y_t|s_t),   G_t = A_t + V_old(s_t)

y is drawn from the policy; pi_old, V_old: policy and value as they were then; pi_0: the student's start; V: a
linear head on the policy's states, 0 at first. `whiten`: the first term's A_t has mean 0 and variance 1 over
the step. PPO: arXiv 1707.06347, Eq. 7, 9; GAE: arXiv 1506.02438, Eq. 16. Reduction: token means of the step.
"""

from dataclasses import dataclass, replace
from functools import partial

from methods.api import Count, Method, Needs, NotNegative, Online, Positive, Reads, Share, Training, formula
from methods.batch import Batch, Terms, View, token_mean
from methods.formulas import clipped_error, clipped_gain, generalised_advantage, last_token, teacher_reward
from methods.lazy_torch import Tensor, torch


@dataclass(frozen=True)
class DPPO:
    """The formula's letters by their names; batches, passes, value_lr, value_alone: api.Online."""

    beta: Positive = 1.0
    discount: Share = 1.0
    trace: Share = 0.95
    clip: Positive = 0.2
    value_clip: Positive = 0.2
    value_weight: NotNegative = 0.1
    kl: NotNegative = 0.05
    whiten: bool = True
    batches: Count = 1
    passes: Count = 4
    value_lr: Positive = 1e-3
    value_alone: Share = 0.1


def advantage(y: View, hp: DPPO, per_token: bool) -> Tensor:
    """A_t, 0 off the mask. [B, T]"""
    at_end = teacher_reward(y)[:, None] * last_token(y)
    reward = y.logps("teacher") - y.logps("teacher_ref") if per_token else at_end
    reward = hp.beta * reward - hp.kl * (y.logps("old") - y.logps("ref"))
    return generalised_advantage(reward, y.values("old"), y.mask, hp.discount, hp.trace)


@formula("methods.dppo.loss")
def loss(batch: Batch, hp: DPPO, per_token: bool = True) -> Terms:
    y = batch.policy_rollout
    a, mean = advantage(y, hp, per_token), batch.means["mean"]
    spread = (batch.means["squared"] - mean**2).clamp(min=1e-8).sqrt()
    gain = clipped_gain(y.logps("policy") - y.logps("old"), (a - mean) / spread if hp.whiten else a, hp.clip)
    error = clipped_error(y.values("policy"), y.values("old"), a + y.values("old"), hp.value_clip)
    return {"policy": -token_mean(gain, y), "value": hp.value_weight / 2 * token_mean(error, y)}


def moments(batch: Batch, hp: DPPO, per_token: bool = True) -> dict[str, tuple[Tensor, Tensor]]:
    a, count = advantage(batch.policy_rollout, hp, per_token), batch.policy_rollout.mask.sum()
    return {"mean": (a.sum(), count), "squared": ((a**2).sum(), count)}


@formula("methods.dppo.sequence_loss")
def sequence_loss(batch: Batch, hp: DPPO) -> Terms:
    return loss(batch, hp, per_token=False)


def reward(batch: Batch, hp: DPPO) -> dict[str, tuple[Tensor, Tensor]]:
    found = teacher_reward(batch.policy_rollout)
    return {"reward": (found.sum(), torch.ones_like(found).sum())}


READS = Reads(logps=("policy", "old", "ref", "teacher", "teacher_ref"), values=("policy", "old"))
TOKEN = Method(
    name="DPPO[token]",
    paper="Gao et al., ICLR 2025 (arXiv 2502.17927), Table 3",
    hparams=DPPO(),
    training=Training(lr=5e-7, epochs=3, batch_size=128, source="ours: as ADPA's"),
    sources={
        "loss": "paper: PPO, Eq. 7, 9; GAE, Eq. 16",
        "beta": "ours: not in the paper",
        **dict.fromkeys(
            ("discount", "trace", "clip", "value_clip", "value_weight", "kl", "batches", "passes"),
            "other: TRL 0.19, PPOConfig",
        ),
        "whiten": "other: TRL 0.19, PPOTrainer",
        "value_lr": "ours: open-instruct 2e-5",
        "value_alone": "ours: OpenRLHF can, too",
        "policy_rollout": "ours: temperature 1 (TRL 0.7)",
        "epochs": "other: TRL 0.19, 3 of the prompts",
    },
    needs=lambda hp: Needs(
        {"policy_rollout": READS},
        online=Online(hp.batches, hp.passes, value_lr=hp.value_lr, value_alone=hp.value_alone),
    ),
    loss=loss,
    kind="ablation",
    step_stats=moments,
    watch=reward,
    maximises="reward",
)
END = partial(moments, per_token=False)
AT_END = replace(TOKEN, name="DPPO[sequence]", hparams=DPPO(trace=1.0), loss=sequence_loss, step_stats=END)
SEQUENCE = replace(AT_END, sources={**TOKEN.sources, "trace": "other: open-instruct, ppo_fast.py, lam"})
