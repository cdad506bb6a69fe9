"""Losses of a --method-file on a made-up batch, before any work: what raises there would after hours."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from harness.common.text import cut
from harness.run.checks import loss_checks
from harness.store.step import Step
from harness.suite.extension_file import ended, told, tried_apart
from harness.suite.method_file import method_of
from harness.train.costs import TrainSettings
from methods.api import Method, Needs, Reads
from methods.batch import Batch, Chunk, Role, Statistic, View

EXAMPLES, TOKENS, VOCAB = 2, 5, 11
TF32 = "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"


def check(missing: Sequence[Step]) -> None:
    """ValueError for a loss that raises, returns what is no loss, is NaN or has no gradient, and for one that
    ends its process or never returns.
    """
    calls = _calls(missing)
    tried_apart(attempt, calls, [f"{name} on a made-up batch" for _, name, _ in calls])


def notes(missing: Sequence[Step]) -> Iterator[str]:
    """What is to be told of losses that train all the same (loss_checks.py)."""
    for path, name, settings in _calls(missing):
        try:
            tried_apart(compare, [(path, name, settings)], [f"{name} once more on a made-up batch"])
        except ValueError as note:
            yield str(note)


def _calls(missing: Sequence[Step]) -> list[tuple[str, str, dict[str, Any]]]:
    """The file, name and settings of each method of a file that is to be trained."""
    calls = dict[tuple[str, str], tuple[str, str, dict[str, Any]]]()
    for step in missing:
        settings, file = step.settings, step.context.get("method_file")
        if isinstance(settings, TrainSettings) and settings.file is not None:
            name = step.context["method"]
            calls[name, repr(settings.hp)] = str(file), name, dict(settings.hp)
    return [*calls.values()]


def attempt(path: str, name: str, settings: dict[str, Any]) -> None:
    """One optimizer step of a method of a file, with its settings, of a batch of random numbers; ValueError
    for what is wrong with it.
    """
    method, folder = method_of(name, path), os.getcwd()
    try:
        with ended(path, f"{name} on a made-up batch"):
            _try(method, _settings(method, settings, path), path)
            _check_defaults(path)
    except torch.OutOfMemoryError as error:  # which is left to whoever computes
        raise ValueError(f"{path}: {name} on a made-up batch: {cut(repr(error))}") from error
    if os.getcwd() != folder:
        raise ValueError(f"{path}: {name}'s loss goes to another folder, where the run's paths lead nowhere")


def compare(path: str, name: str, settings: dict[str, Any]) -> None:
    """ValueError for a loss of a file that is another the next time, or of other micro-batches."""
    method = method_of(name, path)
    hp = _settings(method, settings, path)
    weights, given, _ = _made_up(method, hp, path)
    loss_checks.check(f"{path}: {name}", method.loss, hp, given, weights)


def _settings(method: Method, settings: dict[str, Any], path: str) -> Any:
    with told(path, f"{method.name}'s settings"):
        return type(method.hparams)(**settings)


def _check_defaults(path: str) -> None:
    """ValueError where the file's code has changed by what everybody's tensors are made."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    if dtype != torch.float32 or device.type != "cpu":
        told_why = "others compute by them; give dtype and device to each tensor of its own"
        raise ValueError(f"{path}: it changes torch's defaults to {dtype} and {device}: {told_why}")
    # NVIDIA's containers have their products rounded by this variable.
    rounds = "high" if os.environ.get(TF32) == "1" else "highest"
    if (given := torch.get_float32_matmul_precision()) not in (rounds, "highest"):
        told_why = "all other rows would be rounded so too, and no id would say it"
        raise ValueError(f"{path}: it changes torch's float32_matmul_precision to {given}: {told_why}")


def _try(method: Method, hp: Any, path: str) -> None:
    """One optimizer step of a batch of random numbers."""
    weights, given, means = _made_up(method, hp, path)
    before = _versions(given)
    terms = method.loss(given, hp)
    if changed := [what for what, version in _versions(given).items() if version != before[what]]:
        told_why = "what else reads it would see other numbers; have a copy (x.mul(2), not x.mul_(2))"
        raise ValueError(f"{path}: {method.name}'s loss changes the batch in place, {changed[0]}: {told_why}")
    if (again := [*method.loss(given, hp)]) != [*terms]:
        raise ValueError(f"{path}: {method.name}'s loss names other terms each time: {[*terms]}, {again}")
    _check_named(method, hp, means, [*terms], path)
    loss = torch.stack([value.float() for value in terms.values()]).sum()
    if not loss.isfinite():
        told_terms = {name: value.item() for name, value in terms.items()}
        found = "NaN" if loss.isnan() else "infinite"
        raise ValueError(f"{path}: {method.name}'s loss is {found} on a made-up batch: {told_terms}")
    with told(path, f"{method.name}'s backward pass"):
        torch.autograd.backward(loss)
    if weights.grad is None:
        raise ValueError(f"{path}: {method.name}'s loss has no gradient: nothing of it comes from the policy")
    if weights.grad.isnan().any():
        raise ValueError(f"{path}: {method.name}'s loss has a gradient of NaN on a made-up batch")


def _made_up(method: Method, hp: Any, path: str) -> tuple[Tensor, Batch, Mapping[str, Mapping[str, Tensor]]]:
    """Random numbers, the batch of an optimizer step that is made of them, and what is counted over it."""
    weights = torch.randn(EXAMPLES, TOKENS, VOCAB, generator=_generator(), requires_grad=True)
    batch = _batch(method.needs(hp), hp, weights, path)
    means = _means(method, batch, hp, path)
    return weights, replace(batch, means={**means["set_stats"], **means["step_stats"]}), means


def _means(method: Method, batch: Batch, hp: Any, path: str) -> dict[str, dict[str, Tensor]]:
    """What a method counts over a batch, by the part of `Method` that declares it."""
    parts = {
        "set_stats": method.set_stats,
        "step_stats": method.step_stats,
        "watch": method.watch,
        "start_stats": method.start_stats,
    }
    found = dict[str, dict[str, Tensor]]()
    for part, stats in parts.items():
        # As in a training, where those of the whole set are there first.
        known = replace(batch, means=found.get("set_stats", {}))
        with told(path, f"{method.name}'s {part}"), torch.no_grad():
            counted = stats(known, hp) if stats else {}
            found[part] = {name: _mean(name, *pair) for name, pair in counted.items()}
    return found


def _mean(name: str, total: Tensor, count: Tensor) -> Tensor:
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise ValueError(f"the name {cut(repr(name))}; a printable text")
    for value in (total, count):
        if not isinstance(value, Tensor) or value.shape or value.is_complex():
            given = cut(repr(value), 60)
            raise ValueError(f"{name}: given {given}; a sum and a count, both scalar tensors")
    return total / count


def _check_named(
    method: Method, hp: Any, means: Mapping[str, Mapping[str, Tensor]], terms: Sequence[str], path: str
) -> None:
    """ValueError for a part of a method that names a term or a watched mean which is none."""
    fault, expected = f"{path}: {method.name}'s", method.at_start(hp) if method.at_start else {}
    if not isinstance(expected, Mapping):
        raise ValueError(f"{fault} at_start returns {cut(repr(expected))}; values of terms by their names")
    for name, value in expected.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{fault} at_start: {name}: given {cut(repr(value))}; a finite number")
    watched = [*means["watch"]]
    named = {"maximises": [method.maximises] if method.maximises else [], "limits": [*method.limits]}
    for what, names, allowed, kind in (
        ("at_start", [*expected], terms, "terms"),
        ("start_stats", [*means["start_stats"]], terms, "terms"),
        *((part, held, watched, "watched means") for part, held in named.items()),
    ):
        if unknown := [name for name in names if name not in allowed]:
            raise ValueError(
                f"{fault} {what} names {cut(repr(unknown[0]))}; its {kind}: {cut(repr(allowed))}"
            )


def _versions(batch: Batch) -> dict[str, int]:
    """How often each tensor of a batch was written to, which torch counts."""
    found = dict[str, int]()
    for name, view in batch.views.items():
        parts = {"mask": view.mask}
        parts |= {f"log-probs of {role}": logps for role, logps in view.token_logps.items()}
        parts |= {f"values of {role}": values for role, values in view.state_values.items()}
        parts |= {f"scores {of}": scores for of, scores in view.sequence_scores.items()}
        parts |= {f"statistic {stat.name}": values for stat, values in view.statistics.items()}
        found |= {f"{name}'s {part}": tensor._version for part, tensor in parts.items()}
    return found


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _batch(needs: Needs, hp: Any, weights: Tensor, path: str) -> Batch:
    """What a loss declares, of random distributions; examples of 5 and 2 tokens."""
    draw = _generator()
    views = {}
    for name, reads in needs.views.items():
        rows = EXAMPLES * (needs.group.keep if name == "group" and needs.group else 1)
        logits = weights.repeat(rows // EXAMPLES, 1, 1) + torch.randn(rows, TOKENS, VOCAB, generator=draw)
        views[name] = _view(reads, needs, hp, logits.log_softmax(-1), draw, path)
    return Batch(views, EXAMPLES, {})


def _view(reads: Reads, needs: Needs, hp: Any, policy: Tensor, draw: torch.Generator, path: str) -> View:
    rows = len(policy)
    mask = torch.tensor([[True] * TOKENS, [True] * 2 + [False] * (TOKENS - 2)]).repeat(rows // EXAMPLES, 1)
    said = {role: _distribution(role, policy, draw) for role in _roles(reads)}
    ids = torch.randint(VOCAB, (rows, TOKENS), generator=draw)
    statistics = {}
    for stat in reads.stats:
        with told(path, f"the statistic {stat.name}"):
            values = stat.of(_chunk(stat, needs, said, ids, mask), hp)
            if list(values.shape) != [int(mask.sum())]:
                raise ValueError(f"it has the shape {list(values.shape)}; one number per response token")
            statistics[stat] = policy.new_zeros(rows, TOKENS).masked_scatter(mask, values)
    # As in a training, where no token stands there is 0.
    logps = {
        role: torch.where(mask, said[role].gather(-1, ids[..., None])[..., 0], 0) for role in reads.logps
    }
    own = torch.where(mask, policy.mean(-1), 0)
    states = {role: own if role == "policy" else own.detach() for role in reads.values}
    scores = {name: -torch.rand(rows, generator=draw) for name in reads.scores}
    return View(mask, int(mask.sum()), statistics, logps, states, scores)


def _roles(reads: Reads) -> Iterator[Role]:
    yield from {"policy", *reads.logps, *(role for stat in reads.stats for role in stat.reads)}


def _distribution(role: Role, policy: Tensor, draw: torch.Generator) -> Tensor:
    """Log-probs of a model, [rows, TOKENS, VOCAB]; frozen models differ from the policy a little."""
    if role == "policy":
        return policy
    return (policy.detach() + torch.randn(policy.shape, generator=draw) / 4).log_softmax(-1)


def _chunk(stat: Statistic, needs: Needs, said: Mapping[Role, Tensor], ids: Tensor, mask: Tensor) -> Chunk:
    """The response tokens of a view over the support that a statistic has, its rest behind it."""
    roles: tuple[Role, ...] = ("policy", *stat.reads)
    rows = {role: said[role][mask] for role in roles}
    if needs.support == "full" or not stat.reads:
        return Chunk(ids[mask], rows)
    k = min(needs.support, VOCAB - 1)
    if stat.rest:
        behind = {role: row[:, k:].logsumexp(-1, keepdim=True) for role, row in rows.items()}
        return Chunk(
            ids[mask] % k, {role: torch.cat([row[:, :k], behind[role]], -1) for role, row in rows.items()}
        )
    return Chunk(ids[mask] % k, {role: row[:, :k] for role, row in rows.items()})
