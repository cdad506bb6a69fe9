"""DPKD[token]: what the code released with DPKD computes (github.com/microsoft/LMOps, dpkd/main.py).

At every token of y_w, with a_T and a_S the likeliest tokens of teacher p and student q,

    h_t = [log q(a_T) - log q(a_S)] - [log p(a_T) - log p(a_S)]
    L = (1 - kd_ratio) * L_SFT(y_w) + kd_ratio * mean_t - log sigmoid( beta * h_t )

ln 2 without gradient wherever both agree. Reduction: token means over the optimizer step. The recipe is that
of scripts/dpkd-gpt2_base_runner.sh. --db-tmax sets CosineAnnealingLR's T_max to 20 epochs of 30: the learning
rate falls over 20 and rises again over 10, to half of what it was; Training.cycles says so. Differences:

- no pre-training term (--lm-coef 0.5 there);
- the rate's least is 0, there 1e-7: a difference of at most 1e-7, 0.02 % of the highest;
- biases and layer norms decay as all weights do, there not: lr * 1e-2, at most 5e-6 of a weight a step;
- log-softmax in float32; in bfloat16, as there, 8 bits of a log-prob of 10 nats leave steps of 0.06;
- its data are a folder "pseudo-eval-new", by its name the teacher's responses: not verified.
"""

from dataclasses import dataclass

from methods.api import Method, Needs, Positive, Reads, Share, Training, formula
from methods.batch import Batch, Chunk, Terms, statistic, token_mean
from methods.formulas import logistic, nll
from methods.lazy_torch import Tensor


@dataclass(frozen=True)
class TokenDPKD:
    """beta: --dpo-beta (0.1). kd_ratio: share of the preference term (0.5)."""

    beta: Positive = 0.1
    kd_ratio: Share = 0.5


@statistic("teacher")
def likeliest(at: Chunk, hp: TokenDPKD) -> Tensor:
    """- log sigmoid( beta * h_t ). [N]"""
    a_t, a_s = at.teacher.argmax(-1, keepdim=True), at.policy.argmax(-1, keepdim=True)
    ratio = at.policy - at.teacher
    return logistic(hp.beta * (ratio.gather(-1, a_t) - ratio.gather(-1, a_s)).squeeze(-1))


@formula("methods.dpkd.token_loss")
def loss(batch: Batch, hp: TokenDPKD) -> Terms:
    y_w = batch.chosen
    return {"sft": (1 - hp.kd_ratio) * nll(y_w), "dpkd": hp.kd_ratio * token_mean(y_w[likeliest], y_w)}


METHOD = Method(
    name="DPKD[token]",
    paper="Li et al., 2024 (arXiv 2406.19774), released code",
    hparams=TokenDPKD(),
    sources={
        "loss": "release: LMOps dpkd, main.py",
        "beta": "release: LMOps dpkd, --dpo-beta",
        "kd_ratio": "release: LMOps dpkd, --kd-ratio",
        "selection": "ours: the release has ROUGE-L",
    },
    training=Training(
        lr=5e-4,
        epochs=30,
        batch_size=8,
        warmup=0.0,
        weight_decay=1e-2,
        cycles=0.75,
        source="release: LMOps dpkd, GPT-2 base",
    ),
    needs=lambda hp: Needs({"chosen": Reads((likeliest,), ("policy",))}),
    loss=loss,
    kind="variant",
)
