"""Formulas that several methods use; each stands here once."""

from itertools import permutations
from math import log, log1p
from typing import Annotated

from annotated_types import Ge, Le

from methods.batch import Chunk, Role, View, seq_mean, seq_sum, statistic, token_mean
from methods.lazy_torch import Tensor, torch

# Of distributions: finite log-probs [..., S]


def kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) = sum_a p(a) log(p(a) / q(a)); the direction is the argument order."""
    return (p.exp() * (p - q)).sum(-1)


def mixture(p: Tensor, q: Tensor, share: float) -> Tensor:
    """log( share * p + (1 - share) * q ), 0 < share < 1."""
    return torch.logaddexp(p + log(share), q + log1p(-share))


def jsd(p: Tensor, q: Tensor, share: float = 0.5) -> Tensor:
    """Generalised Jensen-Shannon divergence: share * KL(p || m) + (1 - share) * KL(q || m), with m = share *
    p + (1 - share) * q. At one half at most ln 2.
    """
    m = mixture(p, q, share)
    return share * kl(p, m) + (1 - share) * kl(q, m)


@statistic("teacher", rest=True)
def teacher_kl(at: Chunk, hp: object) -> Tensor:
    """Forward KL(teacher || policy) of each next-token distribution; over a top-k support a lower bound of
    it. [N]
    """
    return kl(at.teacher, at.policy)


@statistic("teacher", rest=True)
def reverse_kl(at: Chunk, hp: object) -> Tensor:
    """Reverse KL(policy || teacher); over a top-k support a lower bound of it. [N]"""
    return kl(at.policy, at.teacher)


# Of responses


def nll(view: View) -> Tensor:
    """- sum_t log pi_theta(y_t | s_t) / sum_t 1, the mean over the step's response tokens."""
    return -token_mean(view.logps("policy"), view)


def mean_logps(view: View) -> Tensor:
    """lp_theta(y) / |y|: the policy's length-averaged log-prob of each response. [B]"""
    return seq_mean(view.logps("policy"), view)


def log_ratio(view: View, to: Role = "ref") -> Tensor:
    """lp_theta(y) - lp_ref(y): log-probs summed over the response, policy against the student's start, or
    another model. [B]
    """
    return seq_sum(view.logps("policy") - view.logps(to), view)


def teacher_reward(view: View) -> Tensor:
    """lp_teacher(y) - lp_teacher_ref(y), the aligned teacher's implicit reward over its beta. [B]"""
    return seq_sum(view.logps("teacher") - view.logps("teacher_ref"), view)


def first_token(view: View) -> Tensor:
    """True at each response's first token. [B, T]"""
    return view.mask & (view.mask.cumsum(-1) == 1)


def last_token(view: View) -> Tensor:
    """True at each response's last token. [B, T]"""
    return view.mask & (view.mask.flip(-1).cumsum(-1).flip(-1) == 1)


# Of margins


def logistic(margin: Tensor) -> Tensor:
    """-log sigmoid(margin)."""
    return -torch.nn.functional.logsigmoid(margin)


# Of rankings


def plackett_luce(ranked: Tensor) -> Tensor:
    """log P of a ranking, prod_k exp(s_k) / sum_{l >= k} exp(s_l), of scores in its order. [..., n]"""
    return (ranked - ranked.flip(-1).logcumsumexp(-1).flip(-1)).sum(-1)


Ranked = Annotated[int, Ge(2), Le(6)]  # responses of which all n! rankings are summed


def ranking_logprobs(scores: Tensor) -> Tensor:
    """log P of all n! rankings of scores [B, n]. [B, n!]"""
    every = list(permutations(range(scores.shape[-1])))
    return plackett_luce(scores[:, torch.tensor(every, device=scores.device)])


# Of policy gradients

LARGEST_LOG_WEIGHT = 20.0  # an importance weight of 5e8, beyond which float32 sums lose all else


def importance_weight(log_weight: Tensor) -> Tensor:
    """w = exp(log_weight), as far as float32 sums can hold it; any shape."""
    return log_weight.clamp(max=LARGEST_LOG_WEIGHT).exp()


def clipped_gain(log_weight: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """PPO's surrogate min( w A, clip(w, 1 - clip, 1 + clip) A ), w = exp(log_weight); any shape.

    Schulman et al., 2017 (arXiv 1707.06347), Eq. 7.
    """
    weight = importance_weight(log_weight)
    return torch.minimum(weight * advantage, weight.clamp(1 - clip, 1 + clip) * advantage)


def clipped_error(value: Tensor, old: Tensor, goal: Tensor, clip: float) -> Tensor:
    """PPO's value loss max( (V - G)^2, (V_old + clip(V - V_old, -clip, clip) - G)^2 ); any shape."""
    near = old + (value - old).clamp(-clip, clip)
    return torch.maximum((value - goal) ** 2, (near - goal) ** 2)


def generalised_advantage(
    reward: Tensor, values: Tensor, mask: Tensor, discount: float, trace: float
) -> Tensor:
    """A_t = sum_{u >= t} (discount * trace)^(u - t) delta_u over each response, delta_t = r_t + discount *
    V(s_t+1) - V(s_t), V = 0 behind the last token. All [B, T]; 0 off the mask, whose tokens are contiguous.

    Schulman et al., 2015 (arXiv 1506.02438), Eq. 16.
    """
    reward, values = torch.where(mask, reward, 0), torch.where(mask, values, 0)
    found = torch.zeros_like(reward)
    following = torch.zeros_like(reward[:, 0])  # A_t+1
    for t in reversed(range(reward.shape[1])):
        value_after = values[:, t + 1] if t + 1 < reward.shape[1] else torch.zeros_like(following)
        delta = reward[:, t] + discount * value_after - values[:, t]
        following = torch.where(mask[:, t], delta + discount * trace * following, 0)
        found[:, t] = following
    return found
