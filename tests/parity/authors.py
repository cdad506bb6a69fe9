"""Our losses against numbers that their authors' code made (tests/golden/authors), from the same logits.

A model is a table: what its logits are after every prefix. All else is the code that trains.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlamaConfig

import methods
from harness.data import token_sequences
from harness.models.loading import head_of
from harness.models.policy import Policy
from harness.signals.live import Frozen, Live, OldPolicy, SignalSource
from harness.train.examples import Examples
from methods.api import Method
from methods.batch import Role, ViewName
from tests.methods.kernels.memory_budgets import small_budget
from tests.methods.synthetic import step_of
from tests.parity.table import Compared, Result
from tests.paths import GOLDEN

FOLDER = GOLDEN / "authors"
Golden = Mapping[str, Any]


class Table(nn.Module):
    """A causal language model whose final hidden state after a prefix is a row, and its logits that row."""

    def __init__(self, states: Mapping[tuple[int, ...], int], logits: Tensor) -> None:
        super().__init__()
        vocab = logits.shape[1]
        self.states, self.logits = states, nn.Parameter(logits)
        self.embedding, self.head = nn.Embedding(vocab, 1), nn.Linear(vocab, vocab, bias=False)
        self.head.weight.data = torch.eye(vocab, dtype=logits.dtype)
        self.requires_grad_(False)
        self.logits.requires_grad_()
        self.config, self.device = LlamaConfig(vocab_size=vocab), logits.device
        self.config._attn_implementation = "eager"

    @property
    def base_model(self) -> "Table":
        return self

    def forward(self, input_ids: Tensor, use_cache: bool) -> SimpleNamespace:
        """After padding it is some row, which nothing reads."""
        rows = [
            [self.states.get(tuple(row[: t + 1]), 0) for t in range(len(row))] for row in input_ids.tolist()
        ]
        return SimpleNamespace(last_hidden_state=self.logits[torch.tensor(rows)])

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def get_output_embeddings(self) -> nn.Module:
        return self.head


@dataclass(frozen=True)
class Inputs:
    """What the authors' code was given."""

    views: Mapping[str, list[tuple[list[int], list[int]]]]
    models: Mapping[str, Table]
    value: Tensor  # [V]
    selection: np.ndarray[Any, np.dtype[np.float32]]  # of each sequence of `group`

    @property
    def vocab(self) -> int:
        return len(self.value)

    def read_by(self, method: Method, hp: Any, folder: Path) -> Examples:
        """Them as a training step finds them."""
        needs, count = method.needs(hp), len(self.views["chosen"])
        views, at, scores = {}, {}, {}
        signals: dict[tuple[ViewName, Role], SignalSource] = {}
        for view, reads in needs.views.items():
            per = len(self.views[view]) // count
            read = (token_sequences.response(i // per, *row) for i, row in enumerate(self.views[view]))
            token_sequences.write(folder / view, read)
            views[view] = token_sequences.Sequences(folder / view)
            at[view] = np.arange(count * per).reshape(count, per)
            for role in reads.signal_roles():
                model, k = self.models[role], 0 if needs.support == "full" else needs.support
                signals[view, role] = Live(Frozen(model, head_of(model, self.vocab)), views[view], k)
            scores |= {(view, score): self.selection for score in reads.scores}
        return Examples(needs, views, at, signals, torch.device("cpu"), scores, self._old())

    def _old(self) -> OldPolicy:
        """What the policy said of its rollouts when it drew them."""
        logps, values, old = {}, {}, self.models["old"]
        for i, (prompt, answer) in enumerate(self.views["policy_rollout"]):
            states = [old.states[(*prompt, *answer[:t])] for t in range(len(answer))]
            logits = old.logits.detach()[states]
            logps[i] = logits.log_softmax(-1)[range(len(answer)), answer].float()
            values[i] = (logits @ self.value).float()
        return OldPolicy(logps, values)


def inputs() -> Inputs:
    """The tensors of all goldens, in float64."""
    data = json.loads((FOLDER / "inputs.json").read_text())
    states = {tuple(prefix): i for i, prefix in enumerate(data["states"])}
    return Inputs(
        {view: [tuple(row) for row in data["views"][view]] for view in get_args(ViewName)},
        {role: Table(states, torch.tensor(rows).double() / 16) for role, rows in data["logits"].items()},
        torch.tensor(data["value"]).double() / 16,
        np.array(data["selection"], np.float32),
    )


def goldens() -> Iterator[tuple[Golden, Golden]]:
    """Every file of numbers with each of its cases."""
    for path in sorted((FOLDER / "numbers").glob("*.json")):
        golden = json.loads(path.read_text())
        yield from ((golden, case) for case in golden["cases"])


def compared(golden: Golden, case: Golden, folder: Path) -> Compared:
    """Our loss and gradient, of micro-batches of one example, beside the authors'."""
    at, method = inputs(), methods.registry()[case["formula"]]
    hp = type(method.hparams)(**case["setting"])
    return Compared(
        method.name,
        ", ".join(f"{name} {value}" for name, value in case["setting"].items()),
        f"{golden['repository']}@{golden['commit'][:7]}",
        _ours(at, method, hp, case["examples"], folder),
        _theirs(at, case),
        case["reading"],
    )


def _ours(at: Inputs, method: Method, hp: Any, step: list[int], folder: Path) -> Result:
    examples, model = at.read_by(method, hp, folder), at.models["policy"]
    valued = any("policy" in reads.values for reads in examples.needs.views.values())
    policy = Policy(model, at.vocab, small_budget(5, at.vocab, recompute=True), valued).double()
    if policy.value is not None:
        policy.value.weight.data = at.value[None].clone()
    policy.zero_grad()
    terms, _ = step_of(method, hp, policy, examples, [[i] for i in step])
    assert model.logits.grad is not None
    gradient = {"logits": model.logits.grad}
    if policy.value is not None:
        gradient["value"] = policy.value.weight.grad[0]
    return Result(float(torch.stack(list(terms.values())).sum()), gradient)


def _theirs(at: Inputs, case: Golden) -> Result:
    logits = torch.zeros_like(at.models["policy"].logits)
    for row, gradient in case["gradient"]["logits"].items():
        logits[int(row)] = torch.tensor(gradient, dtype=torch.float64)
    others = {name: torch.tensor(g).double() for name, g in case["gradient"].items() if name != "logits"}
    return Result(case["loss"], {"logits": logits, **others})
