"""Formulas that several methods use; each stands here once."""

import torch.nn.functional as F
from torch import Tensor

from methods.api import Chunk, View, seq_sum, statistic


def kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) = sum_a p(a) log(p(a) / q(a)) of finite log-probs p, q [..., S]; the direction is the
    argument order.
    """
    return (p.exp() * (p - q)).sum(-1)


@statistic("teacher", rest=True)
def teacher_kl(at: Chunk, hp: object) -> Tensor:
    """Forward KL(teacher || policy) of each next-token distribution; over a top-k support a lower bound of
    it. [N]
    """
    return kl(at.teacher, at.policy)


def logistic(margin: Tensor) -> Tensor:
    """-log sigmoid(margin)."""
    return -F.logsigmoid(margin)


def log_ratio(view: View) -> Tensor:
    """lp_theta(y) - lp_ref(y): log-probs summed over the response, policy against the student's start. [B]"""
    return seq_sum(view.logps("policy") - view.logps("ref"), view)
