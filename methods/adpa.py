"""ADPA: Advantage-Guided Distillation for Preference Alignment (Gao et al., ICLR 2025, arXiv 2502.17927, Eq.
9-10).

    L = L_SFT(y_w) - gamma * sum_t sum_a pi_theta(a|s_t) A(a|s_t) / sum_t 1
    A(a|s) = beta * [ log pi_dpo(a|s) - log pi_ref(a|s) ]

s_t runs over y_hat, the response of the frozen model that training starts from (greedy, sampled once).
teacher is pi_dpo, teacher_ref is pi_ref, the SFT teacher. Only the product gamma * beta is identifiable: it
is one number here. Over a top-k support the sum runs over the teacher's ids; what lies outside adds nothing.
Reduction: token means over the optimizer step. The slides sum over t; the released code averages over a
micro-batch of one sequence and clips A to [0, 1].
"""

from dataclasses import dataclass

from torch import Tensor

from methods.api import Batch, Chunk, Method, Needs, Reads, Support, Terms, Training, statistic, token_mean


@dataclass(frozen=True)
class ADPA:
    """gamma_beta: weight of the advantage, >= 0; ours (the release's 1.6 belongs to its clipped
    advantage).
    """

    gamma_beta: float = 0.1
    support: Support = "full"


@statistic("teacher", "teacher_ref")
def expected_advantage(at: Chunk, hp: ADPA) -> Tensor:
    """sum_a pi_theta(a) * gamma * A(a). [N]"""
    advantage = hp.gamma_beta * (at.teacher - at.teacher_ref)  # [N, S]
    return (at.policy.exp() * advantage).sum(-1)


def loss(batch: Batch, hp: ADPA) -> Terms:
    y_w, y_hat = batch.chosen, batch.student_rollout
    return {
        "sft": -token_mean(y_w.logps("policy"), y_w),
        "advantage": -token_mean(y_hat[expected_advantage], y_hat),
    }


METHOD = Method(
    name="ADPA",
    paper="Gao et al., ICLR 2025 (arXiv 2502.17927)",
    hparams=ADPA(),
    training=Training(lr=5e-7, epochs=3, batch_size=128, source="ADPA release, student_adpa.yaml"),
    needs=lambda hp: Needs(
        {"chosen": Reads(logps=("policy",)), "student_rollout": Reads((expected_advantage,))}, hp.support
    ),
    loss=loss,
)
