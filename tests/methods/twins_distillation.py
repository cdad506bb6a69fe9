"""Twins of the losses over next-token distributions."""

from math import log
from typing import Any

import torch
from torch import Tensor

from tests.methods.synthetic import PROGRESS, VOCAB
from tests.methods.twins import Said, Terms, Token, buckets, kl, mean, nll, per_token


def forward(t: Token) -> Tensor:
    return kl(buckets(t, t.teacher), buckets(t, t.policy))


def reverse(t: Token) -> Tensor:
    return kl(buckets(t, t.policy), buckets(t, t.teacher))


def sft(said: Said, hp: Any) -> Terms:
    return {"sft": nll(said.view("chosen"))}


def seqkd(said: Said, hp: Any) -> Terms:
    return {"seqkd": nll(said.view("teacher_rollout"))}


def vanillakd(said: Said, hp: Any) -> Terms:
    return {"kd": hp.alpha * per_token(said.view("chosen"), forward)}


def vanillakd_sft(said: Said, hp: Any) -> Terms:
    y_w = said.view("chosen")
    return {"sft": nll(y_w), "kd": hp.alpha * per_token(y_w, forward)}


def dckd(said: Said, hp: Any) -> Terms:
    y_w, y_l = said.view("chosen"), said.view("rejected")
    return {
        "sft": nll(y_w),
        "kd_chosen": hp.alpha * per_token(y_w, forward),
        "kd_rejected": hp.alpha * per_token(y_l, forward),
    }


def split(t: Token) -> tuple[Tensor, Tensor]:
    """TKD and DKD, over the support's ids and one bucket of the rest."""
    at = t.kept.index(t.id)
    parts = []
    for p in (buckets(t, t.teacher), buckets(t, t.policy)):
        others = [x for a, x in enumerate(p) if a != at]
        parts.append(([p[at], sum(others)], [x / sum(others) for x in others]))
    (both_t, rest_t), (both_s, rest_s) = parts
    return kl(both_t, both_s), kl(rest_t, rest_s)


def atkd(said: Said, hp: Any) -> Terms:
    easy, hard = [], []
    for y in said.view("chosen"):
        surest = sorted(range(len(y)), key=lambda i, y=y: -float(y[i].teacher[y[i].id]))
        for place, i in enumerate(surest):
            target, other = split(y[i])
            if place < len(y) // 2:
                easy.append(other)
            else:
                hard.append(target + other)
    return {"easy": hp.share * mean(easy), "hard": (1 - hp.share) * mean(hard)}


def adpa(said: Said, hp: Any) -> Terms:
    def gain(t: Token) -> Tensor:
        return sum(t.policy[a].exp() * hp.gamma_beta * (t.teacher[a] - t.teacher_ref[a]) for a in t.kept)

    return {"sft": nll(said.view("chosen")), "advantage": -per_token(said.view(hp.states), gain)}


def adpa_without_reference(said: Said, hp: Any) -> Terms:
    def gain(t: Token) -> Tensor:
        return sum(t.policy[a].exp() * hp.gamma_beta * t.teacher[a] for a in t.kept)

    return {"sft": nll(said.view("chosen")), "advantage": -per_token(said.view(hp.states), gain)}


def dckd_release(said: Said, hp: Any) -> Terms:
    def listed(t: Token) -> Tensor:
        ids = sorted(range(VOCAB), key=lambda a: -float(t.teacher[a]))[: hp.k]
        p, q = ([of[a].exp() for a in ids] for of in (t.teacher, t.policy))
        return kl([*p, 1 - sum(p)], [*q, 1 - sum(q)])

    def distilled(name: str) -> Tensor:
        return hp.alpha * mean([sum(map(listed, y[:-1])) / len(y) for y in said.view(name)])

    nlls = [mean([-t.policy[t.id] for t in y]) for y in said.view("chosen")]
    return {"sft": mean(nlls), "kd_chosen": distilled("chosen"), "kd_rejected": distilled("rejected")}


def adpa_release(said: Said, hp: Any) -> Terms:
    def gain(t: Token) -> Tensor:
        teacher, ref = t.teacher.exp(), t.teacher_ref.exp()
        listed = sorted(range(VOCAB), key=lambda a: -float(teacher[a]))[: hp.k]
        of_ref = sorted(range(VOCAB), key=lambda a: -float(ref[a]))[: hp.k]
        total = torch.zeros((), dtype=torch.float64)
        for a in listed:
            p_ref = ref[a] if a in of_ref else min(teacher[b] for b in listed)
            margin = log(max(float(teacher[a]), 1e-7) / max(float(p_ref), 1e-7))
            total = total + t.policy[a].exp() * min(max(margin, 1e-8), 1 - 1e-8)
        return total

    gains = [sum(gain(t) for t in y[:-1]) / len(y) for y in said.view("student_rollout")]
    nlls = [mean([-t.policy[t.id] for t in y]) for y in said.view("chosen")]
    return {"sft": mean(nlls), "advantage": -hp.weight * mean(gains)}


def plausible(t: Token, hp: Any) -> tuple[list[int], list[float]]:
    """The ids that are kept, and A at them."""
    best = max(float(t.teacher[a].exp()) for a in t.kept)
    ids = [a for a in t.kept if float(t.teacher[a].exp()) >= min(hp.min_prob, best)]
    return ids, [hp.beta * float(t.teacher[a] - t.teacher_ref[a]) for a in ids]


def q_argmax(said: Said, hp: Any) -> Terms:
    def target(t: Token) -> Tensor:
        ids, advantage = plausible(t, hp)
        return -t.policy[ids[advantage.index(max(advantage))]]

    every = [mean([target(t) for t in y]) for y in said.view("student_rollout")]
    return {"sft": nll(said.view("chosen")), "q": hp.gamma * mean(every)}


def q_softmax(said: Said, hp: Any) -> Terms:
    def divergence(t: Token) -> Tensor:
        ids, advantage = plausible(t, hp)
        p = torch.tensor(advantage, dtype=torch.float64).exp()
        p = p / p.sum()
        return sum(p[i] * (p[i].log() - t.policy[a]) for i, a in enumerate(ids))

    every = [mean([divergence(t) for t in y]) for y in said.view("student_rollout")]
    return {"sft": nll(said.view("chosen")), "q": hp.gamma * mean(every)}


def _gkd(said: Said, hp: Any, divergence: Any) -> Terms:
    data, own = said.view("chosen"), said.view("policy_rollout")
    return {
        "kd": (1 - hp.student_share) * per_token(data, divergence),
        "kd_on_policy": hp.student_share * per_token(own, divergence),
    }


def gkd(said: Said, hp: Any) -> Terms:
    def jsd(t: Token) -> Tensor:
        p, q = t.teacher.exp(), t.policy.exp()
        m = hp.b * p + (1 - hp.b) * q
        return hp.b * kl(p, m) + (1 - hp.b) * kl(q, m)

    return _gkd(said, hp, jsd)


def _distillm(said: Said, hp: Any, divergence: Any) -> Terms:
    data, own = said.view("chosen"), said.view("student_rollout")
    return {
        "kd": (1 - hp.student_share) * per_token(data, divergence),
        "kd_rollout": hp.student_share * per_token(own, divergence),
    }


def distillm(said: Said, hp: Any) -> Terms:
    def skewed(t: Token) -> Tensor:
        p, q = t.teacher.exp(), t.policy.exp()
        return kl(p, hp.skew * p + (1 - hp.skew) * q)

    return _distillm(said, hp, skewed)


def distillm_reverse(said: Said, hp: Any) -> Terms:
    def skewed(t: Token) -> Tensor:
        p, q = t.teacher.exp(), t.policy.exp()
        return kl(q, (1 - hp.skew) * p + hp.skew * q)

    return _distillm(said, hp, skewed)


def distillm2(said: Said, hp: Any) -> Terms:
    def over(view: str, divergence: Any) -> Tensor:
        return mean([mean([divergence(t.teacher.exp(), t.policy.exp()) for t in y]) for y in said.view(view)])

    def forward(p: Tensor, q: Tensor) -> Tensor:
        return kl(p, hp.skew * p + (1 - hp.skew) * q)

    def reverse(p: Tensor, q: Tensor) -> Tensor:
        return kl(q, (1 - hp.skew) * p + hp.skew * q.detach())

    b = 1 + hp.rise * min(1.0, PROGRESS / 0.5)
    return {
        "kd_teacher": (2 - b) * over("teacher_rollout", forward),
        "kd_student": b * over("student_rollout", reverse),
    }


def align_distil(said: Said, hp: Any) -> Terms:
    def weighted(t: Token) -> Tensor:
        p, r = t.teacher.exp(), t.teacher_ref.exp()
        a = hp.reach * sum(abs(float(x) - float(y)) for x, y in zip(p, r, strict=True)) / 2 + 0.001
        extrapolated = p * (p / r) ** a
        return hp.beta / a * kl(t.policy.exp(), extrapolated / extrapolated.sum())

    return {"kd": mean([per_token([y], weighted) for y in said.view(hp.states)])}


def align_distil_theorem(said: Said, hp: Any) -> Terms:
    def mixed(t: Token) -> Tensor:
        target = t.teacher.exp() ** hp.weight / t.teacher_ref.exp() ** (hp.weight - 1)
        return kl(t.policy.exp(), target / target.sum())

    return {"kd": mean([per_token([y], mixed) for y in said.view(hp.states)])}


TWINS = {
    "methods.sft.loss": sft,
    "methods.seqkd.loss": seqkd,
    "methods.vanillakd.kl_loss": vanillakd,
    "methods.vanillakd.loss": vanillakd_sft,
    "methods.dckd.loss": dckd,
    "methods.dckd_release.loss": dckd_release,
    "methods.atkd.loss": atkd,
    "methods.adpa.loss": adpa,
    "methods.adpa.loss_without_reference": adpa_without_reference,
    "methods.adpa_release.loss": adpa_release,
    "methods.align_distil.loss": align_distil,
    "methods.align_distil.theorem_loss": align_distil_theorem,
    "methods.q_kd.argmax_loss": q_argmax,
    "methods.q_kd.softmax_loss": q_softmax,
    "methods.gkd.jsd_loss": gkd,
    "methods.gkd.forward_loss": lambda said, hp: _gkd(said, hp, forward),
    "methods.gkd.reverse_loss": lambda said, hp: _gkd(said, hp, reverse),
    "methods.distillm.loss": distillm,
    "methods.distillm.reverse_loss": distillm_reverse,
    "methods.distillm2.loss": distillm2,
}
