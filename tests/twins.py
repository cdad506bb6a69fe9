"""Twins of the losses: each formula once more, naive, dense and in float64, from the model's own logits.

A twin takes nothing from `methods`: log-softmax, masks, sums and means are loops of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from synthetic import TOP, VOCAB, Gradient, World, gradient_of, tiny_policy, world
from torch import Tensor

from harness.models import Model

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Token:
    """One response token, as a twin sees it. All log-probs float64 [VOCAB]."""

    id: int
    policy: Tensor
    ref: Tensor
    teacher: Tensor
    teacher_ref: Tensor
    kept: list[int]  # the ids of the support


def responses(data: World, model: Model, view: Any, top: bool) -> Iterator[list[Token]]:
    """The tokens of each response: each sequence alone, without padding, through the model's own forward."""
    for i, (prompt, answer) in enumerate(zip(data.prompts[view], data.answers[view], strict=True)):
        logits = model(torch.tensor([[*prompt, *answer]])).logits[0, :, :VOCAB]
        frozen = [data.dense(view, role, i) for role in ("ref", "teacher", "teacher_ref")]
        kept = data.top(view, i) if top else [list(range(VOCAB))] * len(answer)
        tokens = []
        for t, token in enumerate(answer):
            z = logits[len(prompt) + t - 1]
            policy = z - z.max() - (z - z.max()).exp().sum().log()
            tokens.append(Token(token, policy, *(f[t] for f in frozen), kept[t]))
        yield tokens


def nll(data: World, model: Model, view: Any) -> Tensor:
    every = [-t.policy[t.id] for tokens in responses(data, model, view, False) for t in tokens]
    return sum(every) / len(every)


def divergence(data: World, model: Model, view: Any, top: bool) -> Tensor:
    """Forward KL, and over a support that of the ids and one bucket of all the rest."""
    every = []
    for t in (t for tokens in responses(data, model, view, top) for t in tokens):
        teacher, policy = t.teacher.exp(), t.policy.exp()
        value = sum(teacher[a] * (teacher[a] / policy[a]).log() for a in t.kept)
        if left := [a for a in range(VOCAB) if a not in t.kept]:
            value = value + teacher[left].sum() * (teacher[left].sum() / policy[left].sum()).log()
        every.append(value)
    return sum(every) / len(every)


def twin_sft(data: World, model: Model, hp: Any, top: bool) -> Terms:
    return {"sft": nll(data, model, "chosen")}


def twin_seqkd(data: World, model: Model, hp: Any, top: bool) -> Terms:
    return {"seqkd": nll(data, model, "teacher_rollout")}


def twin_dpo(data: World, model: Model, hp: Any, top: bool) -> Terms:
    pairs = zip(responses(data, model, "chosen", top), responses(data, model, "rejected", top), strict=True)
    every = []
    for chosen, rejected in pairs:
        h = sum(t.policy[t.id] - t.ref[t.id] for t in chosen) - sum(
            t.policy[t.id] - t.ref[t.id] for t in rejected
        )
        every.append((1 + (-hp.beta * h).exp()).log())
    return {"dpo": sum(every) / len(every)}


def twin_vanillakd(data: World, model: Model, hp: Any, top: bool) -> Terms:
    return {"sft": nll(data, model, "chosen"), "kd": hp.alpha * divergence(data, model, "chosen", top)}


def twin_dckd(data: World, model: Model, hp: Any, top: bool) -> Terms:
    return {
        "sft": nll(data, model, "chosen"),
        "kd_chosen": hp.alpha * divergence(data, model, "chosen", top),
        "kd_rejected": hp.alpha * divergence(data, model, "rejected", top),
    }


def twin_adpa(data: World, model: Model, hp: Any, top: bool) -> Terms:
    every = [
        sum(t.policy[a].exp() * hp.gamma_beta * (t.teacher[a] - t.teacher_ref[a]) for a in t.kept)
        for tokens in responses(data, model, "student_rollout", top)
        for t in tokens
    ]
    return {"sft": nll(data, model, "chosen"), "advantage": -sum(every) / len(every)}


TWINS: dict[str, Callable[[World, Model, Any, bool], Terms]] = {
    "SFT": twin_sft,
    "DPO": twin_dpo,
    "VanillaKD": twin_vanillakd,
    "SeqKD": twin_seqkd,
    "DCKD": twin_dckd,
    "ADPA": twin_adpa,
    "ADPA+": twin_adpa,
}


@cache
def twin_of(name: str, hp: Any) -> tuple[Terms, Gradient]:
    """Terms and gradient of a method's twin, computed once for all comparisons."""
    policy = tiny_policy()
    terms = TWINS[name](world(), policy.model, hp, getattr(hp, "support", "full") == TOP)
    sum(terms.values()).backward()
    return {n: x.detach() for n, x in terms.items()}, gradient_of(policy)
