"""PRO: Preference Ranking Optimization (Song et al., AAAI 2024, arXiv 2306.17492, Eq. 7-9).

    L = sum_{k < n} - log [ e_kk / sum_{i >= k} e_ki ] + sft_weight * (n - 1)^2 * L_SFT(y_1)
    e_ki = exp( s_i (r_k - r_i) ) for i > k,   e_kk = exp( s_k (r_k - r_n) ),   s_i = lp_theta(y_i) / |y_i|

y_1 ... y_n are ranked by a reward, r_1 >= ... >= r_n. Its differences are the inverse temperatures of the
contrasts: what is much worse is pushed down hard, what is as good not at all. L_SFT is - lp_theta(y_1), a sum
over the response as in the released code (AlibabaResearch/DAMO-ConvAI, PRO/train/utils/process_manager.py at
64f4da7), which also adds 1e-10 inside the logarithm. No reference model. Reduction: both terms are means over
the prompts of the optimizer step.

There a reward model ranks the responses of a data set. Here they are those of PAD, whose table has PRO with
the teacher as the annotator: the n most different of `samples` student responses, ranked by the teacher's
score r = alpha * lp_teacher(y) / |y| + (1 - alpha) * log mean_j P(y chosen over y_j). What PAD's row took for
r and for its settings could not be verified: its release (EganGu/PAD at 89f2a91) has no PRO.
"""

from dataclasses import dataclass

from methods.api import Group, Method, Needs, NotNegative, Positive, Several, Share, TopP, Training, formula
from methods.batch import Batch, Terms, example_mean, seq_sum
from methods.formulas import Ranked, mean_logps
from methods.lazy_torch import Tensor, torch
from methods.teacher_ranking import scored_by_teacher, teacher_scores


@dataclass(frozen=True)
class PRO:
    """sft_weight: 0.05, the paper's and the release's. alpha, responses (n) and samples, at least n, drawn at
    temperature and top_p: as in PAD's recipe.
    """

    sft_weight: NotNegative = 0.05
    alpha: Share = 0.0
    responses: Ranked = 4
    samples: Several = 5
    temperature: Positive = 1.0
    top_p: TopP = 0.95

    def __post_init__(self) -> None:
        if self.responses > self.samples:
            raise ValueError(f"responses is at most samples ({self.samples}), not {self.responses}")


def contrasts(score: Tensor, reward: Tensor) -> Tensor:
    """The sum over k of y_k's contrast with all behind it, both in the ranking's order. [B, n] -> [B]"""
    gap = reward[:, :, None] - reward[:, None]  # r_k - r_i
    own = score * (reward - reward[:, -1:])
    against = (score[:, None] * gap).triu(1) + own.diag_embed()
    before = torch.ones_like(against, dtype=torch.bool).tril(-1)
    return (against.masked_fill(before, -torch.inf).logsumexp(-1) - own).sum(-1)  # the last of n adds 0


@formula("methods.pro.loss")
def loss(batch: Batch, hp: PRO) -> Terms:
    y, n = batch.group, hp.responses
    reward, best_first = teacher_scores(y, hp.alpha).view(-1, n).sort(dim=-1, descending=True, stable=True)
    score = mean_logps(y).view(-1, n).gather(-1, best_first)
    best = seq_sum(y.logps("policy"), y).view(-1, n).gather(-1, best_first[:, :1])[:, 0]
    return {
        "rank": example_mean(contrasts(score, reward), batch),
        "sft": -hp.sft_weight * (n - 1) ** 2 * example_mean(best, batch),
    }


def needs(hp: PRO) -> Needs:
    group = Group(hp.samples, hp.responses, hp.temperature, hp.top_p)
    return Needs({"group": scored_by_teacher(hp.alpha)}, group=group)


METHOD = Method(
    name="PRO",
    paper="Song et al., AAAI 2024 (arXiv 2306.17492)",
    hparams=PRO(),
    sources={
        "loss": "paper: PRO, Eq. 7-9",
        "sft_weight": "paper: PRO",
        "alpha": "ours: as PAD's",
        **dict.fromkeys(("responses", "samples", "temperature", "top_p"), "ours: as PAD's"),
        "max_grad_norm": "ours",
    },
    training=Training(
        lr=5e-6,
        epochs=2,
        batch_size=112,
        warmup=0.0,
        schedule="constant",
        weight_decay=1e-2,
        source="release: PRO, train_hh.sh, ds_config.yaml",
    ),
    needs=needs,
    loss=loss,
)
