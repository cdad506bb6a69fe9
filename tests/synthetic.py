"""A tiny policy, and frozen models that are nothing but their tensors: what the losses are tested on.

Every role has its own width and head; sequences are of uneven length, some answers are one token long.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from harness import sequences
from harness.examples import Examples
from harness.flat import FlatWriter
from harness.models import Model
from harness.policy import Policy
from harness.signals import Signals
from methods.api import Batch, Method, Needs, Role, ViewName
from methods.ops import Head

VOCAB, ROWS = 61, 64  # tokens, and rows of the policy's embedding: three of them are padding
WIDTHS: dict[Role, int] = {"ref": 12, "teacher": 24, "teacher_ref": 20}
ANSWERS = [1, 6, 2, 5, 3, 1, 4, 2]  # response tokens of the eight examples, turned by one from view to view
EVERYTHING = list(range(len(ANSWERS)))
TOP = 7  # support of the top-k cases

Gradient = dict[str, Tensor]


def tiny_llama(dtype: torch.dtype = torch.float64) -> Model:
    """Two layers, 16 wide, with distributions that are far from uniform. In float64 only what runs over the
    vocabulary is rounded to float32.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=ROWS,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(config).to(dtype).eval()


def tiny_policy(dtype: torch.dtype = torch.float64, chunk: int = 5, recompute: bool = True) -> Policy:
    """The tiny Llama as a method trains it; chunks end inside sequences."""
    return Policy(tiny_llama(dtype), VOCAB, chunk, recompute)


@dataclass(frozen=True)
class World:
    """Eight examples: per view and example token ids, and what each frozen model says of the response."""

    prompts: dict[ViewName, list[list[int]]]
    answers: dict[ViewName, list[list[int]]]
    states: dict[tuple[ViewName, Role], list[Tensor]]  # final hidden states of each response, [n, d]
    heads: dict[Role, Tensor]  # [VOCAB, d]

    def dense(self, view: ViewName, role: Role, i: int) -> Tensor:
        """log p(. | s_t) of a frozen model along response i, float64. [n, VOCAB]"""
        logits = self.states[view, role][i].double() @ self.heads[role].double().T
        return logits - logits.logsumexp(-1, keepdim=True)

    def top(self, view: ViewName, i: int) -> list[list[int]]:
        """The teacher's TOP ids at each token of response i; the realised one is always among them."""
        found = []
        for token, row in zip(self.answers[view][i], self.dense(view, "teacher", i).tolist(), strict=True):
            ids = sorted(range(VOCAB), key=lambda a, row=row: -row[a])[:TOP]
            found.append(ids if token in ids else [*ids[:-1], token])
        return found


def world(scale: float = 1.0) -> World:
    """The one world of these tests; `scale` multiplies what the frozen models' logits are."""
    draw = torch.Generator().manual_seed(7)

    def tokens(n: int) -> list[int]:
        return torch.randint(VOCAB, (n,), generator=draw).tolist()

    views: tuple[ViewName, ...] = get_args(ViewName)
    lengths = {view: ANSWERS[turn:] + ANSWERS[:turn] for turn, view in enumerate(views)}
    return World(
        prompts={view: [tokens(1 + i % 4) for i in EVERYTHING] for view in views},
        answers={view: [tokens(n) for n in lengths[view]] for view in views},
        states={
            (view, role): [scale * torch.randn(n, width, generator=draw) for n in lengths[view]]
            for view in views
            for role, width in WIDTHS.items()
        },
        heads={role: torch.randn(VOCAB, width, generator=draw) / 3 for role, width in WIDTHS.items()},
    )


def written(data: World, folder: Path, needs: Needs) -> Examples:
    """The world as a training step finds it on disk: hidden states, or top-k where `needs` says so, and the
    sequences of every view in an order of its own.
    """
    views, at_all, signals = {}, {}, {}
    for turn, (view, reads) in enumerate(needs.views.items()):
        order = [*EVERYTHING[3 * turn + 2 :], *EVERYTHING[: 3 * turn + 2]]
        at_all[view] = np.argsort(order)
        read = (sequences.response(i, data.prompts[view][i], data.answers[view][i]) for i in order)
        sequences.write(folder / view, read)
        views[view] = sequences.Sequences(folder / view)
        for role in reads.signal_roles():
            at = folder / f"{view}.{role}"
            at.mkdir()
            for name, (dtype, width, rows) in _arrays(data, view, role, needs.support != "full").items():
                with FlatWriter(at, name, dtype, width) as file:
                    file.append(torch.cat([rows[i] for i in order]).numpy())
            signals[view, role] = Signals(at, views[view], Head(data.heads[role], None, VOCAB))
    return Examples(needs, views, at_all, signals, torch.device("cpu"))


def _arrays(data: World, view: ViewName, role: Role, top: bool) -> dict[str, tuple[str, int, list[Tensor]]]:
    """Array name -> dtype, width and the rows of each response."""
    dense = [data.dense(view, role, i) for i in EVERYTHING]
    realised = [torch.tensor(answer)[:, None] for answer in data.answers[view]]
    logps = [d.gather(-1, r)[:, 0] for d, r in zip(dense, realised, strict=True)]
    if not top:
        return {
            "logps": ("float32", 0, logps),
            "hidden": ("float32", WIDTHS[role], data.states[view, role]),
        }
    ids = [torch.tensor(data.top(view, i)) for i in EVERYTHING]
    kept = [d.gather(-1, at) for d, at in zip(dense, ids, strict=True)]
    rest = [d.scatter(-1, at, -torch.inf).logsumexp(-1) for d, at in zip(dense, ids, strict=True)]
    return {
        "logps": ("float32", 0, logps),
        "ids": ("int32", TOP, ids),
        "top": ("float32", TOP, kept),
        "rest": ("float32", 0, rest),
    }


def supports(method: Method) -> Iterator[Any]:
    """The method's hyper-parameters with every form of teacher signal that it can run on."""
    yield method.hparams
    if any(f.name == "support" for f in fields(method.hparams)):
        yield replace(method.hparams, support=TOP)


def batch_of(policy: Policy, examples: Examples, part: Sequence[int], hp: Any, step: Sequence[int]) -> Batch:
    """What a loss sees of some examples of an optimizer step."""
    return examples.batch(part, policy(examples.inputs(part), hp), step)


def step_of(
    method: Method, hp: Any, policy: Policy, examples: Examples, parts: Sequence[Sequence[int]]
) -> tuple[dict[str, Tensor], Gradient]:
    """Terms and gradient of one optimizer step, accumulated over micro-batches."""
    policy.zero_grad()
    terms: dict[str, Tensor] = {}
    step = [i for part in parts for i in part]
    for part in parts:
        found = method.loss(batch_of(policy, examples, part, hp, step), hp)
        torch.stack(list(found.values())).sum().backward()
        terms = {name: terms.get(name, 0) + value.detach() for name, value in found.items()}
    return terms, gradient_of(policy)


def gradient_of(policy: torch.nn.Module) -> Gradient:
    """The gradient that stands at the parameters, which every one of them must have."""
    return {name: p.grad.clone() for name, p in policy.named_parameters()}


def assert_same_gradient(ours: Gradient, theirs: Gradient, tolerance: float) -> None:
    """Equal within `tolerance` of each value plus `tolerance` of the largest: sums that cancel lose that."""
    assert ours.keys() == theirs.keys()
    largest = max(float(g.abs().max()) for g in theirs.values())
    assert largest > 0
    for name, gradient in theirs.items():
        torch.testing.assert_close(
            ours[name].double(),
            gradient.double(),
            rtol=tolerance,
            atol=tolerance * largest,
            msg=lambda text, name=name: f"{name}: {text}",
        )
