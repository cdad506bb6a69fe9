"""AlignDistil: distillation from an extrapolated DPO model (Zhang et al., 2025, arXiv 2503.02832, Eq. 16-19).

    L = mean_y mean_t (beta / a_t) * KL( q_theta(.|s_t) || softmax( z_dpo + a_t (z_dpo - z_rev) ) )
    a_t = reach * 1/2 sum_v |p_dpo(v|s_t) - p_rev(v|s_t)| + 0.001
    AlignDistil[theorem 1]: KL( q_theta || softmax( weight * z_dpo + (1 - weight) * z_ref ) ), Eq. 10-11

p_dpo is the aligned teacher, p_rev (in the role teacher_ref) the SFT teacher after the same DPO with chosen
and rejected exchanged, z_ref the SFT teacher's. The authors' code (songmzhang/AlignDistil) leaves out the
1/2: its beta2 of 15 on and 10 off policy are a reach of 30 and 20. Its models are of one size; here the
distilled ones are the teacher's. Theorem 1 lacks its factor beta. Means over tokens, then responses.
"""

from dataclasses import dataclass, replace
from typing import Literal

from methods.api import Count, Method, Needs, Online, Positive, Reads, Training, formula
from methods.batch import Batch, Chunk, Statistic, StoredView, Terms, example_mean, seq_mean, statistic
from methods.formulas import kl
from methods.lazy_torch import Tensor

States = StoredView | Literal["policy_rollout"]


@dataclass(frozen=True)
class AlignDistil:
    """beta: of DPO's reward. reach: beyond p_dpo. states: of which view. batches: steps between samplings."""

    beta: Positive = 0.1
    reach: Positive = 30.0
    states: States = "policy_rollout"
    batches: Count = 1


@dataclass(frozen=True)
class Theorem:
    """weight: of DPO's reward, beta_0 / beta (ours). states, batches: as AlignDistil's."""

    weight: Positive = 2.0
    states: States = "policy_rollout"
    batches: Count = 1


@statistic("teacher", "teacher_ref")
def adaptive_kl(at: Chunk, hp: AlignDistil) -> Tensor:
    """(beta / a_t) * KL( q || softmax(z*_t) ). [N]"""
    a = hp.reach * (at.teacher.exp() - at.teacher_ref.exp()).abs().sum(-1) / 2 + 0.001
    target = (at.teacher + a[:, None] * (at.teacher - at.teacher_ref)).log_softmax(-1)
    return hp.beta / a * kl(at.policy, target)


@statistic("teacher", "teacher_ref")
def mixed_kl(at: Chunk, hp: Theorem) -> Tensor:
    """KL( q || softmax( weight * z_dpo + (1 - weight) * z_ref ) ). [N]"""
    return kl(at.policy, (hp.weight * at.teacher + (1 - hp.weight) * at.teacher_ref).log_softmax(-1))


@formula("methods.align_distil.loss")
def loss(batch: Batch, hp: AlignDistil) -> Terms:
    y = batch.view(hp.states)
    return {"kd": example_mean(seq_mean(y[adaptive_kl], y), batch)}


@formula("methods.align_distil.theorem_loss")
def theorem_loss(batch: Batch, hp: Theorem) -> Terms:
    y = batch.view(hp.states)
    return {"kd": example_mean(seq_mean(y[mixed_kl], y), batch)}


def needs(hp: AlignDistil | Theorem, divergence: Statistic = adaptive_kl) -> Needs:
    online = Online(hp.batches) if hp.states == "policy_rollout" else None
    return Needs({hp.states: Reads((divergence,))}, online=online)


METHOD = Method(
    name="AlignDistil",
    paper="Zhang et al., ACL 2025 (arXiv 2503.02832)",
    hparams=AlignDistil(),
    sources={
        "loss": "paper: Eq. 16-19",
        "beta": "release: train_scripts",
        "reach": "release: train_scripts, twice their beta2",
        **dict.fromkeys(("states", "batches"), "paper: Sec. 4.3"),
        "policy_rollout": "release: train_scripts",
        "schedule": "ours: there it ends at lr / 10",
    },
    training=Training(lr=1e-6, epochs=1, batch_size=128, source="release: AlignDistil, Qwen2.5-1.5B"),
    needs=needs,
    loss=loss,
    roles={"teacher_ref": "reverse_teacher"},
)
THEOREM = replace(
    METHOD,
    name="AlignDistil[theorem 1]",
    about="One weight for all tokens, without the reverse DPO model.",
    sources={
        "loss": "paper: Eq. 10-11",
        "weight": "ours",
        **dict.fromkeys(("states", "batches"), "paper: Sec. 4.3"),
        "policy_rollout": "release: train_scripts",
        "schedule": METHOD.sources["schedule"],
    },
    hparams=Theorem(),
    needs=lambda hp: needs(hp, mixed_kl),
    loss=theorem_loss,
    roles={},
)
