"""Twins of the losses over rankings of sampled responses, and of the policy gradients."""

from itertools import permutations
from typing import Any

import torch
from torch import Tensor

from tests.methods.twins import Response, Said, Terms, lp, mean, nll, per_token
from tests.methods.twins_distillation import forward, reverse

# Rankings


def ranking(scores: list[Tensor], order: tuple[int, ...]) -> Tensor:
    """P of an order, best first: each in turn against those that are left."""
    p = torch.ones((), dtype=torch.float64)
    for k in range(len(order)):
        p = p * scores[order[k]].exp() / sum(scores[i].exp() for i in order[k:])
    return p


def judged(said: Said, hp: Any) -> list[list[tuple[Tensor, Response]]]:
    """Each example's responses behind the teacher's scores of them."""
    n = hp.responses
    group = said.view("group", n)
    copies = len(said.data.selection) // (len(group) // n)
    found = []
    for e in range(len(group) // n):
        own = group[e * n : (e + 1) * n]
        told = [said.data.selection[e * copies + i].double() for i in range(n)]
        found.append(
            [
                (hp.alpha * lp(y, "teacher") / len(y) + (1 - hp.alpha) * s, y)
                for y, s in zip(own, told, strict=True)
            ]
        )
    return found


def scored(said: Said, hp: Any) -> list[tuple[list[Tensor], list[Tensor]]]:
    """beta times the teacher's and the student's scores of each example's responses."""
    return [
        ([hp.beta * score for score, _ in own], [hp.beta * lp(y, "policy") / len(y) for _, y in own])
        for own in judged(said, hp)
    ]


def distributions(said: Said, hp: Any) -> list[tuple[list[Tensor], list[Tensor]]]:
    orders = list(permutations(range(hp.responses)))
    return [([ranking(t, o) for o in orders], [ranking(s, o) for o in orders]) for t, s in scored(said, hp)]


def pad(said: Said, hp: Any) -> Terms:
    every = []
    for p, q in distributions(said, hp):
        m = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
        every.append(sum(a * (a / c).log() + b * (b / c).log() for a, b, c in zip(p, q, m, strict=True)) / 2)
    return {"ppd": mean(every)}


def pad_release(said: Said, hp: Any) -> Terms:
    every = []
    for p, q in distributions(said, hp):
        m = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
        every.append(sum(c * (c / a).log() + c * (c / b).log() for a, b, c in zip(p, q, m, strict=True)) / 2)
    return {"ppd": mean(every)}


def pad_vpd(said: Said, hp: Any) -> Terms:
    every = []
    for teacher, student in scored(said, hp):
        best_first = tuple(sorted(range(hp.responses), key=lambda i, t=teacher: -float(t[i])))
        every.append(-ranking(student, best_first).log())
    return {"vpd": mean(every)}


def pro(said: Said, hp: Any) -> Terms:
    ranks, best = [], []
    for own in judged(said, hp):
        ranked = sorted(own, key=lambda pair: -float(pair[0]))
        total = torch.zeros((), dtype=torch.float64)
        for k in range(len(ranked) - 1):
            reward, y = ranked[k]
            behind = [(reward - r, lp(z, "policy") / len(z)) for r, z in ranked[k + 1 :]]
            first = (max(gap for gap, _ in behind) * lp(y, "policy") / len(y)).exp()
            total = total - (first / (first + sum((gap * s).exp() for gap, s in behind))).log()
        ranks.append(total)
        best.append(-lp(ranked[0][1], "policy"))
    return {"rank": mean(ranks), "sft": hp.sft_weight * (hp.responses - 1) ** 2 * mean(best)}


# Policy gradients


def surrogate(w: Tensor, a: float, clip: float) -> Tensor:
    return torch.minimum(w * a, w.clamp(1 - clip, 1 + clip) * a)


def minillm(said: Said, hp: Any) -> Terms:
    y = said.view("policy_rollout")
    old = said.data.old_logps
    gains = []
    for i, response in enumerate(y):
        told = [float(t.teacher[t.id]) - float(old[i][n]) for n, t in enumerate(response)]
        for n, t in enumerate(response):
            later = told[n + 1 :]
            future = sum(later) / len(later) if later else 0.0
            gains.append(surrogate((t.policy[t.id] - old[i][n].double()).exp(), future, hp.clip))
    return {
        "single": per_token(y, reverse),
        "long": -mean(gains),
        "sft": hp.sft_weight * nll(said.view("chosen")),
    }


def minillm_release(said: Said, hp: Any) -> Terms:
    """Rewards, their discounted means to the end and what whitens them, as sums over lists."""
    y, y_w = said.view("policy_rollout"), said.view("chosen")
    found, weights = [], []
    for i, response in enumerate(y):
        rewards = []
        for n, t in enumerate(response):
            reward = (float(t.teacher[t.id]) - float(said.data.old_logps[i][n])) / hp.reward_scale
            rewards.append(min(max(reward, -hp.reward_clip), hp.reward_clip))
            weights.append((t.policy[t.id] - said.data.old_logps[i][n].double()).exp())
        for n in range(len(rewards)):
            later = [hp.discount**k * reward for k, reward in enumerate(rewards[n:])]
            found.append(sum(later) / len(later))
    centre = sum(found) / len(found)
    variance = sum((gain - centre) ** 2 for gain in found) / len(found)
    whitened = [(gain - centre) / (variance + 1e-8) ** 0.5 for gain in found]
    return {
        "single": per_token(y, reverse),
        "long": -mean([surrogate(w, a, hp.clip) for w, a in zip(weights, whitened, strict=True)]),
        "sft": hp.lm_weight * (1 - hp.kd_share) * nll(y_w),
        "kd": hp.lm_weight * hp.kd_share * per_token(y_w, forward),
    }


def advantages(y: Response, hp: Any, per_token_reward: bool) -> list[float]:
    """The double sum of the formula, not its recursion."""
    rewards = [float(t.teacher[t.id] - t.teacher_ref[t.id]) for t in y]
    if not per_token_reward:
        rewards = [0.0] * (len(y) - 1) + [sum(rewards)]
    shaped = [hp.beta * r - hp.kl * float(t.old_logp - t.ref[t.id]) for r, t in zip(rewards, y, strict=True)]
    values = [float(t.old_value) for t in y] + [0.0]
    delta = [shaped[u] + hp.discount * values[u + 1] - values[u] for u in range(len(y))]
    decay = hp.discount * hp.trace
    return [sum(decay ** (u - t) * delta[u] for u in range(t, len(y))) for t in range(len(y))]


def _dppo(said: Said, hp: Any, per_token_reward: bool) -> Terms:
    responses = said.view("policy_rollout")
    tokens = [t for y in responses for t in y]
    found = [a for y in responses for a in advantages(y, hp, per_token_reward)]
    centre = sum(found) / len(found)
    spread = (sum((a - centre) ** 2 for a in found) / len(found)) ** 0.5
    gains, errors = [], []
    for t, a in zip(tokens, found, strict=True):
        whitened = (a - centre) / spread if hp.whiten else a
        gains.append(surrogate((t.policy[t.id] - t.old_logp).exp(), whitened, hp.clip))
        goal = a + t.old_value
        near = t.old_value + (t.value - t.old_value).clamp(-hp.value_clip, hp.value_clip)
        errors.append(torch.maximum((t.value - goal) ** 2, (near - goal) ** 2))
    return {"policy": -mean(gains), "value": hp.value_weight / 2 * mean(errors)}


def opd(said: Said, hp: Any) -> Terms:
    return {"kd": per_token(said.view("policy_rollout"), reverse)}


def opd_sampled(said: Said, hp: Any) -> Terms:
    gains = []
    for response, old in zip(said.view("policy_rollout"), said.data.old_logps, strict=True):
        told = [float(t.teacher[t.id]) - float(was) for t, was in zip(response, old, strict=True)]
        for n, t in enumerate(response):
            to_come = sum(hp.discount ** (u - n) * told[u] for u in range(n, len(told)))
            gains.append((t.policy[t.id] - old[n].double()).exp() * to_come)
    return {"policy": -mean(gains)}


TWINS = {
    "methods.pad.loss": pad,
    "methods.pad.release_loss": pad_release,
    "methods.pad.vpd_loss": pad_vpd,
    "methods.pro.loss": pro,
    "methods.minillm.loss": minillm,
    "methods.minillm_release.loss": minillm_release,
    "methods.opd.loss": opd,
    "methods.opd.sampled_loss": opd_sampled,
    "methods.dppo.loss": lambda said, hp: _dppo(said, hp, True),
    "methods.dppo.sequence_loss": lambda said, hp: _dppo(said, hp, False),
}
