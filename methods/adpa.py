"""ADPA: Advantage-Guided Distillation for Preference Alignment (Gao et al., ICLR 2025, arXiv 2502.17927, Eq.
9-10).

    L = L_SFT(y_w) - gamma * sum_t sum_a pi_theta(a|s_t) A(a|s_t) / sum_t 1
    A(a|s) = beta * [ log pi_dpo(a|s) - log pi_ref(a|s) ]

s_t runs over y_hat, the response of the frozen model that training starts from (greedy, sampled once).
teacher is pi_dpo, teacher_ref is pi_ref, the SFT teacher. Only the product gamma * beta is identifiable: it
is one number here. Over a top-k support the sum runs over the teacher's ids and the realised one; the rest
adds nothing. Reduction: token means over the optimizer step. The slides sum over t; the released code
averages over a micro-batch of one sequence and clips A to [0, 1] (methods/adpa_release.py).

ADPA w/o reference teacher has A(a|s) = beta * log pi_dpo(a|s).
"""

from dataclasses import dataclass, replace

from methods.api import Method, Needs, NotNegative, Reads, Support, Training, formula
from methods.batch import Batch, Chunk, Statistic, StoredView, Terms, statistic, token_mean
from methods.formulas import nll
from methods.lazy_torch import Tensor


@dataclass(frozen=True)
class ADPA:
    """gamma_beta: weight of the advantage; ours (the release's 1.6 belongs to its clipped advantage).
    states: the view that s_t runs over.
    """

    gamma_beta: NotNegative = 0.1
    support: Support = "full"
    states: StoredView = "student_rollout"


@statistic("teacher", "teacher_ref")
def expected_advantage(at: Chunk, hp: ADPA) -> Tensor:
    """sum_a pi_theta(a) * gamma * A(a). [N]"""
    advantage = hp.gamma_beta * (at.teacher - at.teacher_ref)  # [N, S]
    return (at.policy.exp() * advantage).sum(-1)


@statistic("teacher")
def expected_logprob(at: Chunk, hp: ADPA) -> Tensor:
    """sum_a pi_theta(a) * gamma * A(a) without the reference teacher. [N]"""
    return (at.policy.exp() * hp.gamma_beta * at.teacher).sum(-1)


def _terms(batch: Batch, hp: ADPA, of_states: Statistic) -> Terms:
    y_hat = batch.view(hp.states)
    return {"sft": nll(batch.chosen), "advantage": -token_mean(y_hat[of_states], y_hat)}


@formula("methods.adpa.loss")
def loss(batch: Batch, hp: ADPA) -> Terms:
    return _terms(batch, hp, expected_advantage)


@formula("methods.adpa.loss_without_reference")
def loss_without_reference(batch: Batch, hp: ADPA) -> Terms:
    return _terms(batch, hp, expected_logprob)


def needs(hp: ADPA, of_states: Statistic = expected_advantage) -> Needs:
    if hp.states == "chosen":
        return Needs({"chosen": Reads((of_states,), ("policy",))}, hp.support)
    return Needs({"chosen": Reads(logps=("policy",)), hp.states: Reads((of_states,))}, hp.support)


METHOD = Method(
    name="ADPA",
    paper="Gao et al., ICLR 2025 (arXiv 2502.17927)",
    hparams=ADPA(),
    training=Training(lr=5e-7, epochs=3, batch_size=128, source="release: ADPA, student_adpa.yaml"),
    sources={
        "loss": "paper: ADPA, Eq. 9-10",
        "gamma_beta": "ours",
        "support": "ours: all of V, not 50",
        "states": "paper: ADPA, Algorithm 1",
        "student_rollout": "release: ADPA, vllm_generate.py, greedy",
    },
    needs=needs,
    loss=loss,
)
WITHOUT_REFERENCE = replace(
    METHOD,
    name="ADPA w/o reference teacher",
    sources={**METHOD.sources, "loss": "paper: ADPA, Table 2"},
    paper="Gao et al., ICLR 2025 (arXiv 2502.17927), Table 2",
    about="The log-probs of pi_dpo in place of the advantage: a reverse cross-entropy.",
    needs=lambda hp: needs(hp, expected_logprob),
    loss=loss_without_reference,
    kind="ablation",
)
