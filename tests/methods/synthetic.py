"""A tiny policy, and frozen models that are nothing but their tensors: what the losses are tested on.

Every role has its own width and head; sequences are of uneven length, some answers are one token long, and
some are the policy's likeliest. What the policy was when it drew its rollouts is it now, with noise.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

import methods
from harness.data import token_sequences
from harness.models.loading import Model, body
from harness.models.policy import Policy
from harness.signals.live import OldPolicy, SignalSource
from harness.signals.stored import Signals
from harness.store.array_file import ArrayFileWriter
from harness.train.examples import Examples
from methods.api import Method, Needs
from methods.batch import Batch, Role, ViewName
from methods.kernels.token_statistics import Head
from methods.pad import PAD
from methods.pro import PRO
from tests.methods.kernels.memory_budgets import small_budget

VOCAB, ROWS = 61, 64  # tokens, and rows of the policy's embedding: three of them are padding
WIDTHS: dict[Role, int] = {"ref": 12, "teacher": 24, "teacher_ref": 20}
ANSWERS = [1, 6, 2, 5, 3, 1, 4, 2]  # response tokens of the eight examples, turned by one from view to view
EVERYTHING = list(range(len(ANSWERS)))
LIKELY = (0, 2, 5)  # sequences whose answer is the policy's likeliest
GROUP = 4  # sequences of an example in the view `group`
PROGRESS = 0.125  # of the training
TOP = 7  # support of the top-k cases
NOISE = (
    0.3  # of what the policy was when it drew its rollouts, beyond the clips of 0.2 about half of the time
)
VIEWS: tuple[ViewName, ...] = get_args(ViewName)

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


def tiny_policy(
    dtype: torch.dtype = torch.float64, chunk: int = 5, recompute: bool = True, valued: bool = False
) -> Policy:
    """The tiny Llama as a method trains it; chunks end inside sequences. A scalar head is not 0."""
    policy = Policy(tiny_llama(dtype), VOCAB, small_budget(chunk, VOCAB, recompute), valued)
    if policy.value is not None:
        draw = torch.Generator().manual_seed(3)
        policy.value.weight.data = torch.randn(1, 16, generator=draw) / 4
        policy.value.bias.data = torch.full((1,), 0.2)
    return policy.to(dtype)


def policy_for(method: Method, hp: Any, dtype: torch.dtype = torch.float64, **how: Any) -> Policy:
    """The tiny policy, with a scalar head for a method that reads one."""
    valued = any("policy" in reads.values for reads in method.needs(hp).views.values())
    return tiny_policy(dtype, valued=valued, **how)


@dataclass(frozen=True)
class World:
    """Eight examples: per view and sequence token ids, and what each frozen model says of the response."""

    prompts: Mapping[ViewName, list[list[int]]]
    answers: Mapping[ViewName, list[list[int]]]
    states: Mapping[tuple[ViewName, Role], list[Tensor]]  # final hidden states of each response, [n, d]
    heads: Mapping[Role, Tensor]  # [VOCAB, d]
    selection: Tensor  # of each sequence of the group, in (-inf, 0]
    old_logps: list[Tensor]  # of the policy's rollouts, [n] each
    old_values: list[Tensor]

    def dense(self, view: ViewName, role: Role, i: int) -> Tensor:
        """log p(. | s_t) of a frozen model along response i, float64. [n, VOCAB]"""
        logits = self.states[view, role][i].double() @ self.heads[role].double().T
        return logits - logits.logsumexp(-1, keepdim=True)

    def top(self, view: ViewName, i: int, k: int) -> list[list[int]]:
        """The teacher's k ids at each token of response i; the realised one is always among them."""
        found = []
        for token, row in zip(self.answers[view][i], self.dense(view, "teacher", i).tolist(), strict=True):
            ids = sorted(range(VOCAB), key=lambda a, row=row: -row[a])[:k]
            found.append(ids if token in ids else [*ids[:-1], token])
        return found


def likeliest(model: Model, prompt: list[int], n: int) -> list[int]:
    """n tokens that the model finds likeliest, one after the other."""
    ids = list(prompt)
    for _ in range(n):
        ids.append(int(model(torch.tensor([ids])).logits[0, -1, :VOCAB].argmax()))
    return ids[len(prompt) :]


@cache
@torch.no_grad()
def world(scale: float = 1.0) -> World:
    """The one world of these tests; `scale` multiplies what the models' logits are."""
    draw, policy = torch.Generator().manual_seed(7), tiny_policy(valued=True)

    def tokens(n: int) -> list[int]:
        return torch.randint(VOCAB, (n,), generator=draw).tolist()

    prompts: dict[ViewName, list[list[int]]] = {}
    answers: dict[ViewName, list[list[int]]] = {}
    for turn, view in enumerate(VIEWS):
        copies = GROUP if view == "group" else 1
        prompts[view] = [p for p in (tokens(1 + i % 4) for i in EVERYTHING) for _ in range(copies)]
        lengths = (ANSWERS[turn:] + ANSWERS[:turn]) * copies
        answers[view] = [
            likeliest(policy.model, prompt, n) if i in LIKELY else tokens(n)
            for i, (prompt, n) in enumerate(zip(prompts[view], lengths, strict=True))
        ]
    said = zip(prompts["policy_rollout"], answers["policy_rollout"], strict=True)
    old = [_of_policy(policy, prompt, answer) for prompt, answer in said]
    return World(
        prompts,
        answers,
        states={
            (view, role): [scale * torch.randn(len(a), width, generator=draw) for a in answers[view]]
            for view in VIEWS
            for role, width in WIDTHS.items()
        },
        heads={role: torch.randn(VOCAB, width, generator=draw) / 3 for role, width in WIDTHS.items()},
        selection=torch.rand(len(answers["group"]), generator=draw).clamp(min=0.01).log(),
        old_logps=[scale * (x + NOISE * torch.randn(len(x), generator=draw)) for x, _ in old],
        old_values=[scale * (x + NOISE * torch.randn(len(x), generator=draw)) for _, x in old],
    )


def _of_policy(policy: Policy, prompt: list[int], answer: list[int]) -> tuple[Tensor, Tensor]:
    """Log-probs of the answer's tokens and values of the states before them, float32. [n] each"""
    ids = torch.tensor([[*prompt, *answer]])
    logprobs = policy.model(ids).logits[0, len(prompt) - 1 : -1, :VOCAB].log_softmax(-1)
    assert policy.value is not None
    values = policy.value(body(policy.model, ids)[0, len(prompt) - 1 : -1])
    return logprobs[range(len(answer)), answer].float(), values[:, 0].float()


def written(data: World, folder: Path, needs: Needs) -> Examples:
    """The world as a training step finds it on disk: hidden states, or top-k where `needs` says so, and the
    sequences of every view in an order of its own. The policy's rollouts are a buffer that is drawn already.
    """
    views, at_all, scores, kept = {}, {}, {}, None
    signals: dict[tuple[ViewName, Role], SignalSource] = {}
    for turn, (view, reads) in enumerate(needs.views.items()):
        examples = [*EVERYTHING[3 * turn + 2 :], *EVERYTHING[: 3 * turn + 2]]
        copies, per = (GROUP, needs.group.keep) if view == "group" and needs.group else (1, 1)
        order = [e * copies + j for e in examples for j in range(per)]
        at_all[view] = np.argsort(examples)[:, None] * per + np.arange(per)
        read = (
            token_sequences.response(i // copies, data.prompts[view][i], data.answers[view][i]) for i in order
        )
        token_sequences.write(folder / view, read)
        views[view] = token_sequences.Sequences(folder / view)
        for role in reads.signal_roles():
            at = folder / f"{view}.{role}"
            at.mkdir()
            for name, (dtype, width, rows) in _arrays(data, view, role, needs).items():
                with ArrayFileWriter(at, name, dtype, width) as file:
                    file.append(torch.cat([rows[i] for i in order]).numpy())
            signals[view, role] = Signals(at, views[view], Head(data.heads[role], None, VOCAB))
        for score in reads.scores:
            scores[view, score] = data.selection[order].numpy()
        if "old" in (*reads.logps, *reads.values):
            logps, values = ([told[i] for i in order] for told in (data.old_logps, data.old_values))
            kept = OldPolicy(dict(enumerate(logps)), dict(enumerate(values)))
    return Examples(needs, views, at_all, signals, torch.device("cpu"), scores, kept)


def _arrays(
    data: World, view: ViewName, role: Role, needs: Needs
) -> dict[str, tuple[str, int, list[Tensor]]]:
    """Array name -> dtype, width and the rows of each response."""
    every = range(len(data.answers[view]))
    dense = [data.dense(view, role, i) for i in every]
    realised = [torch.tensor(answer)[:, None] for answer in data.answers[view]]
    logps = [d.gather(-1, r)[:, 0] for d, r in zip(dense, realised, strict=True)]
    if needs.support == "full":
        return {
            "logps": ("float32", 0, logps),
            "hidden": ("float32", WIDTHS[role], data.states[view, role]),
        }
    ids = [torch.tensor(data.top(view, i, needs.support)) for i in every]
    kept = [d.gather(-1, at) for d, at in zip(dense, ids, strict=True)]
    rest = [d.scatter(-1, at, -torch.inf).logsumexp(-1) for d, at in zip(dense, ids, strict=True)]
    return {
        "logps": ("float32", 0, logps),
        "ids": ("int32", needs.support, ids),
        "top": ("float32", needs.support, kept),
        "rest": ("float32", 0, rest),
    }


def supports(method: Method) -> Iterator[Any]:
    """The method's hyper-parameters with every form of teacher signal that it can run on."""
    yield method.hparams
    if any(f.name == "support" for f in fields(method.hparams)):
        yield from (replace(method.hparams, support=support) for support in ("full", TOP))
    if isinstance(method.hparams, PAD | PRO):
        yield from (replace(method.hparams, alpha=alpha) for alpha in (0.4, 1.0))


def computations(settings: Callable[[Method], Iterable[Any]] = supports) -> list[tuple[Method, Any]]:
    """The registry's entries with the settings they are tested at, those that compute the same only once."""
    found: dict[tuple[str, Any], Method] = {}
    for method in methods.registry().values():
        for hp in settings(method):
            found.setdefault((method.formula, hp), method)
    return [(method, hp) for (_, hp), method in found.items()]


def case_id(method: Method, hp: Any) -> str:
    """The method's name and what of its setting is not as it is registered."""
    changed = [f"{n}={x}" for n, x in vars(hp).items() if x != vars(method.hparams)[n]]
    return "-".join([method.name, *changed])


@torch.no_grad()
def means_of(method: Method, hp: Any, step: Batch, every: Batch) -> dict[str, Tensor]:
    """What the method wants to know of the whole step, and of `every` example without the policy."""
    found = {}
    if method.set_stats:
        found |= method.set_stats(every, hp)
    if method.step_stats:
        found |= method.step_stats(step, hp)
    return {name: total / count for name, (total, count) in found.items()}


def batch_of(
    policy: Policy,
    examples: Examples,
    part: Sequence[int],
    hp: Any,
    step: Sequence[int],
    means: Mapping[str, Tensor] | None = None,
) -> Batch:
    """What a loss sees of some examples of an optimizer step."""
    scored = policy(examples.inputs(part), hp, examples.rows(part))
    return replace(examples.batch(part, scored, step), means=means or {}, progress=PROGRESS)


def step_of(
    method: Method, hp: Any, policy: Policy, examples: Examples, parts: Sequence[Sequence[int]]
) -> tuple[dict[str, Tensor], Gradient]:
    """Terms and gradient of one optimizer step, accumulated over micro-batches."""
    policy.zero_grad()
    terms: dict[str, Tensor] = {}
    step = [i for part in parts for i in part]
    with torch.no_grad():
        whole = batch_of(policy, examples, step, hp, step)
    means = means_of(method, hp, whole, examples.stored(range(len(examples))))
    for part in parts:
        found = method.loss(batch_of(policy, examples, part, hp, step, means), hp)
        torch.stack(list(found.values())).sum().backward()
        terms = {name: terms.get(name, 0) + value.detach() for name, value in found.items()}
    return terms, gradient_of(policy)


def rounding(hp: Any) -> float:
    """What another order of float32 sums may change, of the largest: some 25 eps = 3e-6. Rankings multiply it
    by beta (1.5e-6 was seen at beta 1, 1.5e-5 at 10).
    """
    return 3e-6 * (hp.beta if isinstance(hp, PAD) else 1)


def gradient_of(policy: torch.nn.Module) -> Gradient:
    """The gradient that stands at the parameters, which every one that is trained must have."""
    return {name: p.grad.clone() for name, p in policy.named_parameters() if p.requires_grad}


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
