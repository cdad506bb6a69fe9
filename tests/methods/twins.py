"""Twins of the losses: each formula once more, naive, dense and in float64, from the model's own logits.

A twin takes nothing from `methods`: log-softmax, masks, sums and means are loops of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from harness.models.loading import body
from harness.models.policy import Policy
from tests.methods.synthetic import GROUP, VOCAB, Gradient, World, gradient_of, tiny_policy, world

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Token:
    """One response token, as a twin sees it. All log-probs float64 [VOCAB]; the rest single numbers."""

    id: int
    policy: Tensor
    ref: Tensor
    teacher: Tensor
    teacher_ref: Tensor
    kept: list[int]  # the ids of the support
    value: Tensor | None = None
    old_logp: Tensor | None = None
    old_value: Tensor | None = None


Response = list[Token]


class Said:
    """What all models say of the world's responses: each sequence alone, without padding, through the
    policy's own forward.
    """

    def __init__(self, data: World, policy: Policy, k: int | None) -> None:
        self.data, self.policy, self.k = data, policy, k
        self._known: dict[tuple[str, int], list[Response]] = {}

    def view(self, view: Any, copies: int = 1) -> list[Response]:
        """The responses of a view; of a group the first `copies` of each example."""
        if (view, copies) not in self._known:
            every = range(len(self.data.answers[view]))
            wanted = [i for i in every if view != "group" or i % GROUP < copies]
            self._known[view, copies] = [self._response(view, i) for i in wanted]
        return self._known[view, copies]

    def _response(self, view: Any, i: int) -> Response:
        data, prompt, answer = self.data, self.data.prompts[view][i], self.data.answers[view][i]
        hidden = body(self.policy.model, torch.tensor([[*prompt, *answer]]))[0]
        logits = hidden @ self.policy.model.get_output_embeddings().weight[:VOCAB].T
        frozen = [data.dense(view, role, i) for role in ("ref", "teacher", "teacher_ref")]
        kept = data.top(view, i, self.k) if self.k else [list(range(VOCAB))] * len(answer)
        tokens = []
        for t, token in enumerate(answer):
            state = len(prompt) + t - 1
            z = logits[state] - logits[state].max()
            more: dict[str, Tensor] = {}
            if self.policy.value is not None and view == "policy_rollout":
                more = {
                    "value": self.policy.value(hidden[state])[0],
                    "old_logp": data.old_logps[i][t].double(),
                    "old_value": data.old_values[i][t].double(),
                }
            tokens.append(Token(token, z - z.exp().sum().log(), *(f[t] for f in frozen), kept[t], **more))
        return tokens


def mean(values: Sequence[Any]) -> Tensor:
    return sum(values) / len(values)


def lp(response: Response, who: str) -> Tensor:
    """Summed log-prob of a response."""
    return sum(getattr(t, who)[t.id] for t in response)


def nll(responses: Sequence[Response]) -> Tensor:
    return mean([-t.policy[t.id] for response in responses for t in response])


def per_token(responses: Sequence[Response], of: Any) -> Tensor:
    """Mean of a function over all tokens."""
    return mean([of(t) for response in responses for t in response])


def buckets(t: Token, logprobs: Tensor) -> list[Tensor]:
    """Probabilities of the support's ids, and of all the rest where there is any."""
    left = [a for a in range(VOCAB) if a not in t.kept]
    rest = [logprobs[left].exp().sum()] if left else []
    return [*(logprobs[a].exp() for a in t.kept), *rest]


def kl(p: Sequence[Tensor], q: Sequence[Tensor]) -> Tensor:
    return sum(a * (a / b).log() for a, b in zip(p, q, strict=True))


def softplus(x: Tensor) -> Tensor:
    """-log sigmoid(-x)."""
    return (1 + x.exp()).log()


@cache
def twin_of(formula: str, hp: Any) -> tuple[Terms, Gradient]:
    """Terms and gradient of a formula's twin, computed once for all comparisons."""
    from tests.methods import twins_distillation, twins_pairs, twins_sampled

    known = {**twins_pairs.TWINS, **twins_distillation.TWINS, **twins_sampled.TWINS}
    policy = tiny_policy(valued="dppo" in formula)
    support = getattr(hp, "support", "full")
    terms = known[formula](Said(world(), policy, None if support == "full" else support), hp)
    sum(terms.values()).backward()
    return {n: x.detach() for n, x in terms.items()}, gradient_of(policy)
