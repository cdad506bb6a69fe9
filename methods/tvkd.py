"""TVKD: Teacher Value-based Knowledge Distillation (Kwon et al., NeurIPS 2025, arXiv 2509.16965).

    L = - log sigmoid( R(y_w) - R(y_l) ),   R(y) = sum_t [ log pi_theta(y_t|s_t) - gamma * V(s_t+1) ]
    TVKD           V(s) = tau * log sum_a pi_dpo(a|s)^(alpha / tau)       the aligned teacher's soft value
    TVKD[entropy]  V(s) = - sum_a pi_theta(a|s) log pi_theta(a|s)         what the released recipe computes

V is 0 behind the last token, and everywhere at alpha = tau. The teacher's moves the margin at which a pair
counts as told apart, the student's has a gradient as well. No reference model, and no beta: R is a sum.
Reduction: mean over the pairs of the optimizer step.

Read in the released code, a fork of ADPA's (kaist-siit-lab/StarLab_Preference-Distillation-via-Value-based-
Reinforcement-Learning at 92fd496, scripts/run_distill_dpo.py): `qadapter_loss_type: dpo`, alpha, tau, gamma
as TVKD.yaml has them, the soft value "sum", the default. TVKD.yaml sets "entropy", the student's, so that the
teacher enters by its 50 ids alone; TVKD[entropy] is over all of V. There V runs over those 50 and one bucket
of the rest (support: 50), R leaves the end-of-turn token out, V behind the last token is a constant where
padding follows, and training starts from a `dpo_student` (README: the SFT student, as here). The paper's
equations could not be verified; its abstract has potential-based reward shaping by the teacher's value.
"""

from dataclasses import dataclass, replace

from methods.api import Method, Needs, Positive, Reads, Share, Support, Training, formula
from methods.batch import Batch, Chunk, Statistic, Terms, View, example_mean, seq_sum, statistic
from methods.formulas import first_token, logistic
from methods.lazy_torch import Tensor, torch


@dataclass(frozen=True)
class TVKD:
    """alpha: 0.7. tau: a temperature. gamma: a discount. All TVKD.yaml's. support: V or the top k (50)."""

    alpha: Positive = 0.7
    tau: Positive = 1.0
    gamma: Share = 1.0
    support: Support = "full"


@dataclass(frozen=True)
class EntropyTVKD:
    """gamma: discount (1, the release's default)."""

    gamma: Share = 1.0


@statistic("teacher", rest=True)
def teacher_value(at: Chunk, hp: TVKD) -> Tensor:
    """tau * log sum_a pi_dpo(a)^(alpha / tau). [N]"""
    return hp.tau * (hp.alpha / hp.tau * at.teacher).logsumexp(-1)


@statistic()
def entropy(at: Chunk, hp: EntropyTVKD) -> Tensor:
    """- sum_a pi_theta(a) log pi_theta(a). [N]"""
    return -(at.policy.exp() * at.policy).sum(-1)


def _shaped(batch: Batch, value: Statistic, gamma: float) -> Terms:
    def reward(y: View) -> Tensor:
        following = torch.where(first_token(y), 0, y[value])  # V(s_2) ... V(s_n): s_1 follows no token
        return seq_sum(y.logps("policy") - gamma * following, y)

    return {"tvkd": example_mean(logistic(reward(batch.chosen) - reward(batch.rejected)), batch)}


@formula("methods.tvkd.loss")
def loss(batch: Batch, hp: TVKD) -> Terms:
    return _shaped(batch, teacher_value, hp.gamma)


@formula("methods.tvkd.entropy_loss")
def entropy_loss(batch: Batch, hp: EntropyTVKD) -> Terms:
    return _shaped(batch, entropy, hp.gamma)


READS, OWN = Reads((teacher_value,), ("policy",)), Reads((entropy,), ("policy",))

METHOD = Method(
    name="TVKD",
    paper="Kwon et al., NeurIPS 2025 (arXiv 2509.16965)",
    hparams=TVKD(),
    sources={
        "loss": "release: TVKD, run_distill_dpo.py",
        **dict.fromkeys(("alpha", "tau", "gamma"), "release: TVKD, TVKD.yaml"),
        "support": "ours: the exact value",
    },
    training=Training(lr=5e-7, epochs=5, batch_size=64, source="release: TVKD, TVKD.yaml"),
    needs=lambda hp: Needs({"chosen": READS, "rejected": READS}, hp.support),
    loss=loss,
)
ENTROPY = replace(
    METHOD,
    name="TVKD[entropy]",
    about="The value of the recipe as it was released, the entropy of the student's own distribution.",
    hparams=EntropyTVKD(),
    sources={"loss": METHOD.sources["loss"], "gamma": METHOD.sources["gamma"]},
    needs=lambda hp: Needs({"chosen": OWN, "rejected": OWN}),
    loss=entropy_loss,
)
