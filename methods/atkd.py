"""ATKD: adaptive teaching of easy and hard tokens (Zhong et al., ACL 2024, arXiv 2402.11890, Eq. 5-8).

    KL(p_T || p_S) = TKD + Unc * DKD    with the realised token g and Unc = 1 - p_T(g)
    TKD = KL( [p_T(g), 1 - p_T(g)] || [p_S(g), 1 - p_S(g)] )
    DKD = KL( p_T(.|not g) || p_S(.|not g) )

    L = lambda * mean_easy DKD + (1 - lambda) * mean_hard (TKD + DKD)

The easy tokens are the half (rounded down) of each response that the teacher is surest of, the hard ones the
rest (the authors' code: strictly below the median, one less where n is even); DKD is not multiplied by Unc.
Each mean is over the step's tokens of its own group. The authors' code splits at the median of a micro-batch,
which makes the loss depend on how a step is cut; here it is of each sequence, as in the ADPA authors' helper.
Of 4 tokens to which the teacher gives 0.9, 0.8, 0.6 and 0.4, and two others 2/3 and 1/3 of the rest, a
uniform policy has a loss of 0.120 here, with two easy tokens, and 0.221 with the authors' one.
Teacher and data of the ADPA table are not published: the DPO teacher on y_w. Over a top-k support the tokens
outside count as one.
"""

from dataclasses import dataclass

from methods.api import Method, Needs, Reads, Share, Support, Training, formula
from methods.batch import Batch, Chunk, Terms, View, statistic, token_mean
from methods.formulas import kl
from methods.lazy_torch import Tensor, torch


@dataclass(frozen=True)
class ATKD:
    """share: lambda, the weight of the easy tokens (0.2: the authors' code). support: V or the
    teacher's top k.
    """

    share: Share = 0.2
    support: Support = "full"


def split(logprobs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """log [p(g), 1 - p(g)], [N, 2], and log p(. | not g), [N, S - 1]. target [N] is the column of g."""
    columns = torch.arange(logprobs.shape[-1] - 1, device=logprobs.device)
    others = logprobs.gather(-1, columns + (columns >= target[:, None]).long())
    outside = others.logsumexp(-1, keepdim=True)
    return torch.cat([logprobs.gather(-1, target[:, None]), outside], -1), others - outside


@statistic("teacher", rest=True)
def target_kl(at: Chunk, hp: ATKD) -> Tensor:
    """TKD. [N]"""
    return kl(split(at.teacher, at.realised)[0], split(at.policy, at.realised)[0])


@statistic("teacher", rest=True)
def other_kl(at: Chunk, hp: ATKD) -> Tensor:
    """DKD. [N]"""
    return kl(split(at.teacher, at.realised)[1], split(at.policy, at.realised)[1])


def easy(view: View) -> Tensor:
    """The half of each response whose tokens are likeliest under the teacher. [B, T]"""
    sure = view.logps("teacher").masked_fill(~view.mask, -torch.inf)
    rank = sure.argsort(dim=-1, descending=True, stable=True).argsort(-1)
    return view.mask & (rank < view.mask.sum(-1, keepdim=True) // 2)


@formula("methods.atkd.loss")
def loss(batch: Batch, hp: ATKD) -> Terms:
    y_w = batch.chosen
    is_easy, share_easy = easy(y_w), batch.means["easy"]
    of_easy = y_w[other_kl].where(is_easy, 0)
    of_hard = (y_w[target_kl] + y_w[other_kl]).where(~is_easy, 0)
    return {
        "easy": hp.share * token_mean(of_easy, y_w) / share_easy.clamp(min=1e-9),
        "hard": (1 - hp.share) * token_mean(of_hard, y_w) / (1 - share_easy),
    }


METHOD = Method(
    name="ATKD",
    paper="Zhong et al., ACL 2024 (arXiv 2402.11890)",
    hparams=ATKD(),
    sources={
        "loss": "paper: ATKD, Eq. 5-8",
        "share": "release: ATKD, distill_trainer.py",
        "support": "release: ATKD, distill_trainer.py",
        "batch_size": "ours",
    },
    training=Training(lr=2e-5, epochs=3, warmup=0.03, source="release: ATKD"),
    needs=lambda hp: Needs({"chosen": Reads((target_kl, other_kl), ("teacher",))}, hp.support),
    loss=loss,
    step_stats=lambda batch, hp: {"easy": (easy(batch.chosen).sum(), batch.chosen.mask.sum())},
)
