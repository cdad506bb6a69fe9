"""Wrong formulas, which the comparison with the twins must not pass."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.api import Method
from methods.batch import Batch, Chunk, MissingSignal, Role, Statistic, View
from tests.methods.synthetic import (
    EVERYTHING,
    TOP,
    Gradient,
    batch_of,
    case_id,
    means_of,
    policy_for,
    step_of,
    world,
    written,
)
from tests.methods.test_twins import CASES, HALVES, agree, compare, every_case
from tests.methods.twins import Terms

# Mutants: what any method could have wrong


class Case:
    """A method's step, scored once: what is computed of it can be changed without another forward pass."""

    def __init__(self, method: Method, hp: Any, folder: Path) -> None:
        self.method, self.hp = method, hp
        self.policy = policy_for(method, hp, recompute=False)
        self.examples = written(world(), folder, method.needs(hp))
        with torch.no_grad():
            whole = batch_of(self.policy, self.examples, EVERYTHING, hp, EVERYTHING)
        means = means_of(method, hp, whole, self.examples.stored(EVERYTHING))
        self.parts = [batch_of(self.policy, self.examples, part, hp, EVERYTHING, means) for part in HALVES]

    def under(self, hp: Any) -> tuple[Terms, Gradient]:
        """Terms and gradient of the step at another setting."""
        return step_of(self.method, hp, self.policy, self.examples, HALVES)

    def of(self, loss: Callable[[Batch], Terms]) -> tuple[Terms, Gradient]:
        """Terms and gradient of a step under another loss."""
        found = [loss(part) for part in self.parts]
        terms = {name: sum(f[name] for f in found) for name in found[0]}
        named = dict(self.policy.named_parameters())
        total = torch.stack(list(terms.values())).sum()
        if not total.requires_grad:
            return terms, {n: torch.zeros_like(p) for n, p in named.items()}
        gradients = torch.autograd.grad(total, list(named.values()), retain_graph=True, allow_unused=True)
        pairs = zip(named.items(), gradients, strict=True)
        given = {n: torch.zeros_like(p) if g is None else g for (n, p), g in pairs}
        return {n: x.detach() for n, x in terms.items()}, given

    def survives(self, loss: Callable[[Batch], Terms]) -> bool:
        """Whether the comparison with the twin passes a changed loss."""
        try:
            agree(*self.of(loss), self.method.formula, self.hp)
        except AssertionError:
            return False
        return True


def shifted(view: View) -> View:
    """The mask one position early: from the prompt's last token to the last but one."""
    return replace(view, mask=view.mask.roll(-1, dims=-1))


def without_last(view: View) -> View:
    """The mask without the last token of each response, where there is another."""
    last = view.mask & (view.mask.flip(-1).cumsum(-1).flip(-1) == 1) & (view.mask.sum(-1, keepdim=True) > 1)
    return replace(view, mask=view.mask & ~last)


def without_gradient(stat: Statistic) -> Callable[[View], View]:
    return lambda v: replace(v, statistics={**v.statistics, stat: v.statistics[stat].detach()})


def with_logps(role: Any, of: Callable[[View], Tensor]) -> Callable[[View], View]:
    return lambda v: replace(v, token_logps={**v.token_logps, role: of(v)})


WATCHED = {"share_clipped"}  # told in tables, read by no loss
FROZEN = {"teacher_value"}  # a function of the teacher alone


def of_views(case: Case) -> Iterator[tuple[str, str, Callable[[View], View]]]:
    """What could be wrong with a view: (what, view, change)."""
    for name, reads in case.method.needs(case.hp).views.items():
        yield "mask one early", name, shifted
        yield "last token left out", name, without_last
        for stat in reads.stats:
            if stat.name not in WATCHED | FROZEN and case.parts[0].views[name].statistics[stat].requires_grad:
                yield f"{stat.name} without gradient", name, without_gradient(stat)
        for role in reads.logps:
            yield f"no log-probs of {role}", name, with_logps(role, lambda v: torch.zeros_like(v.mask * 1.0))
        if "policy" in reads.logps:
            detached = with_logps("policy", lambda v: v.logps("policy").detach())
            yield "log-probs without gradient", name, detached


# Weights that cannot be seen in the one step of the test world, and recipes that the world replaces.
NOT_IN_THE_LOSS = {
    "samples",
    "temperature",
    "top_p",
    "iterations",
    "batches",
    "passes",
    "value_lr",
    "value_alone",
    "support",
    "responses",
}
UNSEEN = {("Q-argmax KD", "beta")}  # an argmax does not depend on it


def of_settings(method: Method, hp: Any) -> Iterator[tuple[str, Any]]:
    """The settings with one number changed."""
    for field in fields(hp):
        value = getattr(hp, field.name)
        if field.name in NOT_IN_THE_LOSS or (method.name, field.name) in UNSEEN:
            continue
        if isinstance(value, bool):
            yield field.name, replace(hp, **{field.name: not value})
        elif isinstance(value, int | float):
            changed = value * 0.6 + (0.05 if isinstance(value, float) else 0)
            yield field.name, replace(hp, **{field.name: type(value)(changed)})


def survivors(case: Case) -> Iterator[str]:
    """The mutants that the comparison does not find."""
    loss, hp = case.method.loss, case.hp
    for name in case.of(lambda batch: loss(batch, hp))[0]:
        for what, change in {
            "dropped": lambda x: 0 * x,
            "with the wrong sign": lambda x: -x,
            "twice": lambda x: 2 * x,
            "without gradient": lambda x: x.detach() + 0 * x,
        }.items():
            if case.survives(
                lambda b, n=name, c=change: {k: c(x) if k == n else x for k, x in loss(b, hp).items()}
            ):
                yield f"{name} {what}"
    for what, name, change in of_views(case):
        changed = lambda b, n=name, c=change: replace(b, views={**b.views, n: c(b.views[n])})  # noqa: E731
        if case.survives(lambda b, c=changed: loss(c(b), hp)):
            yield f"{name}: {what}"
    for what, other in of_settings(case.method, hp):
        try:
            agree(*case.under(other), case.method.formula, hp)
        except (AssertionError, MissingSignal):
            continue
        yield f"another {what}"


# What is no mistake there: the weight of WPO and the term of TDPO on y_w have no gradient, z0 of KTO is a
# step mean that is not computed again for a changed view, and the limits of GKD have no b.
NO_MISTAKE = {
    "WPO": {f"{view}: log_expected_prob without gradient" for view in ("chosen", "rejected")},
    "TDPO": {"chosen: ref_kl without gradient"},
    "KTO": {
        f"mismatched: {what}"
        for what in (
            "mask one early",
            "last token left out",
            "no log-probs of policy",
            "no log-probs of ref",
            "log-probs without gradient",
        )
    },
    "GKD[forward]": {"another b"},
    "GKD[reverse]": {"another b"},
}


@every_case
def test_a_mistake_that_any_loss_could_contain_is_found(method: Method, hp: Any, tmp_path: Path) -> None:
    case = Case(method, hp, tmp_path)
    assert case.survives(lambda batch: method.loss(batch, hp)), "what is right must pass"
    assert set(survivors(case)) == NO_MISTAKE.get(method.name, set())


def exchanged(stat: Statistic, role: Role) -> Statistic:
    """The statistic with the policy and a frozen model in each other's place."""

    def of(at: Chunk, hp: Any) -> Tensor:
        turned = {**at.logprobs, "policy": at.logprobs[role], role: at.policy}
        return stat.of(replace(at, logprobs=turned), hp)

    return replace(stat, of=of)


def with_statistic(method: Method, old: Statistic, new: Statistic) -> Method:
    """The method with another statistic behind one of its own."""

    def needs(hp: Any) -> Any:
        declared = method.needs(hp)
        views = {
            name: replace(reads, stats=tuple(new if s == old else s for s in reads.stats))
            for name, reads in declared.views.items()
        }
        return replace(declared, views=views)

    def loss(batch: Batch, hp: Any) -> Terms:
        views = {
            name: replace(view, statistics={old if s == new else s: x for s, x in view.statistics.items()})
            for name, view in batch.views.items()
        }
        return method.loss(replace(batch, views=views), hp)

    return replace(method, needs=needs, loss=loss)


# A divergence at one half and the margin of DPKD[token] are the same both ways round; the watched share is no
# part of the loss.
BOTH_WAYS = {"teacher_jsd", "likeliest", "share_clipped"}
OF_STATISTICS = [
    (method, hp, stat, role)
    for method, hp in CASES
    for stat in dict.fromkeys(s for reads in method.needs(hp).views.values() for s in reads.stats)
    for role in stat.reads
    if stat.name not in BOTH_WAYS
]


@pytest.mark.parametrize(
    "method, hp, stat, role",
    OF_STATISTICS,
    ids=[f"{case_id(m, hp)}-{stat.name}-{role}" for m, hp, stat, role in OF_STATISTICS],
)
def test_a_statistic_with_two_models_exchanged_is_found(
    method: Method, hp: Any, stat: Statistic, role: Role, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError):
        compare(method.formula, with_statistic(method, stat, exchanged(stat, role)), hp, tmp_path)


@pytest.mark.parametrize(
    "method, hp, stat, role", [c for c in OF_STATISTICS if vars(c[1]).get("support") == TOP]
)
def test_a_mistake_about_the_rest_bucket_is_found(
    method: Method, hp: Any, stat: Statistic, role: Role, tmp_path: Path
) -> None:
    """KLs count it, expected advantages do not."""
    with pytest.raises(AssertionError):
        other = replace(stat, rest=not stat.rest)
        compare(method.formula, with_statistic(method, stat, other), hp, tmp_path)
