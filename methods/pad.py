"""PAD: Preference-Aligned Distillation (Gu et al., Findings of ACL 2025, arXiv 2502.14272, Eq. 7-12).

    P(tau|s) = prod_k exp(beta s_tau(k)) / sum_{l >= k} exp(beta s_tau(l)),   tau a ranking of n responses
    s_i = lp_theta(y_i) / |y_i|                                                                       student
    s_i = alpha * lp_teacher(y_i) / |y_i| + (1 - alpha) * log mean_j P(y_i chosen over y_j)           teacher

    PAD       L = JSD(p, q) = 1/2 KL(p || m) + 1/2 KL(q || m)    p, q: P of teacher and student (PPD)
    PAD[VPD]  L = - log q(tau),   tau the teacher's ranking

The y_i are the n most different (greedy max-min edit distance of tokens) of `samples` student responses.
P(y_i chosen over y_j): the teacher's answer to "which is better, A or B?", the mean of both orders. All n!
rankings are summed, so n <= 6. With iterations > 1 (the decomposing strategy) the stage is run that often,
sampling again from what it has trained. Reduction: mean over the prompts of the optimizer step.

PAD[release] has 1/2 KL(m || p) + 1/2 KL(m || q), F.kl_div's arguments the other way round: it has no bound.
alpha = 0 is its configuration's. That code does what no entry does: m is mixed over a micro-batch; prompts
weigh by their tokens (losses 1 and 2 of 20 and 60 tokens: 1.75, here 1.5); the choice begins with the first
text, by characters (of "a b c", "d", "a b c d e f" the first and third, here the last two); a letter's mass
is that of all tokens of at most 2 characters with it (A 0.6, " A" 0.1: 0.7, here 0.6; 0.15 nats, times beta).
"""

from dataclasses import dataclass

from methods.api import Count, Group, Method, Needs, Positive, Several, Share, TopP, Training, formula
from methods.batch import Batch, Terms, example_mean
from methods.formulas import Ranked, jsd, kl, mean_logps, mixture, plackett_luce, ranking_logprobs
from methods.lazy_torch import Tensor
from methods.teacher_ranking import scored_by_teacher, teacher_scores


@dataclass(frozen=True)
class PAD:
    """responses: n. samples: at least n, drawn at temperature and top_p."""

    beta: Positive = 10.0
    alpha: Share = 0.0
    responses: Ranked = 4
    samples: Several = 5
    temperature: Positive = 1.0
    top_p: TopP = 0.95
    iterations: Count = 1

    def __post_init__(self) -> None:
        if self.responses > self.samples:
            raise ValueError(f"responses is at most samples ({self.samples}), not {self.responses}")


def scores(batch: Batch, hp: PAD) -> tuple[Tensor, Tensor]:
    """beta times the teacher's and the student's scores. [B, n] each"""
    teacher, student = teacher_scores(batch.group, hp.alpha), mean_logps(batch.group)
    return hp.beta * teacher.view(-1, hp.responses), hp.beta * student.view(-1, hp.responses)


@formula("methods.pad.loss")
def loss(batch: Batch, hp: PAD) -> Terms:
    teacher, student = map(ranking_logprobs, scores(batch, hp))
    return {"ppd": example_mean(jsd(teacher, student), batch)}


@formula("methods.pad.release_loss")
def release_loss(batch: Batch, hp: PAD) -> Terms:
    teacher, student = map(ranking_logprobs, scores(batch, hp))
    m = mixture(teacher, student, 0.5)
    return {"ppd": example_mean((kl(m, teacher) + kl(m, student)) / 2, batch)}


@formula("methods.pad.vpd_loss")
def vpd_loss(batch: Batch, hp: PAD) -> Terms:
    teacher, student = scores(batch, hp)
    ranked = student.gather(-1, teacher.argsort(dim=-1, descending=True, stable=True))
    return {"vpd": -example_mean(plackett_luce(ranked), batch)}


def needs(hp: PAD) -> Needs:
    group = Group(hp.samples, hp.responses, hp.temperature, hp.top_p)
    return Needs({"group": scored_by_teacher(hp.alpha)}, group=group, rounds=hp.iterations)


METHOD = Method(
    name="PAD",
    paper="Gu et al., Findings of ACL 2025 (arXiv 2502.14272)",
    hparams=PAD(),
    sources={
        "loss": "paper: PAD, Eq. 7-12",
        "beta": "release: PAD, gemma-2-2b-it-pd.yaml",
        "alpha": "release: PAD, gemma-2-2b-it-pd.yaml",
        "responses": "release: PAD, pipeline_n4_gemma.sh",
        "samples": "release: PAD, sampling.sh",
        "temperature": "release: PAD, sampling.sh",
        "top_p": "release: PAD, sampling.sh",
        "iterations": "paper: PAD, Sec. 4.4",
        "data": "paper: PAD, Sec. 4.1",
        "starts_from": "paper: PAD, Sec. 4.1",
        "selection": "release: PAD, the last checkpoint",
        "evaluation": "release: PAD, README",
    },
    training=Training(lr=8e-7, epochs=1, batch_size=128, source="release: PAD, gemma-2-2b-it-pd.yaml"),
    needs=needs,
    loss=loss,
)
