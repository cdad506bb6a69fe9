"""Eight examples and three small Llamas, and what our side computes of them with the code that trains.

The models are float64; what our heads compute over the vocabulary is float32, which is what the two sides
differ by.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import methods
from harness.data import token_sequences
from harness.models.loading import Model, head_of
from harness.models.policy import Policy
from harness.signals.live import Frozen, Live
from harness.train.examples import Examples
from methods.batch import Role, ViewName
from tests.methods.kernels.memory_budgets import small_budget
from tests.methods.synthetic import EVERYTHING, step_of
from tests.parity.table import Result

VOCAB = 64
MICRO_BATCHES = 3  # of our side's step; TRL's side is one batch
PROMPTS = [3, 1, 5, 2, 4, 1, 2, 6]
LENGTHS: dict[ViewName, list[int]] = {
    "chosen": [1, 6, 2, 5, 3, 1, 4, 7],
    "rejected": [4, 2, 1, 6, 1, 5, 3, 2],
    "policy_rollout": [2, 5, 1, 3, 8, 1, 4, 2],
}
LIKELY = (0, 3, 6)  # examples whose preferred answer is the policy's likeliest


def llama(width: int, seed: int) -> Model:
    """Two layers, with distributions that are far from uniform."""
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=3,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).double().eval()


@torch.no_grad()
def near(model: Model, noise: float, seed: int) -> Model:
    """A copy whose weights are a little different."""
    draw, copy = torch.Generator().manual_seed(seed), deepcopy(model)
    for p in copy.parameters():
        p += noise * torch.randn(p.shape, generator=draw, dtype=p.dtype)
    return copy


@torch.no_grad()
def likeliest(model: Model, prompt: list[int], n: int) -> list[int]:
    """n tokens that the model finds likeliest, one after the other."""
    ids = list(prompt)
    for _ in range(n):
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


@dataclass(frozen=True)
class World:
    """Token ids of prompts and of each view's answers, the models, and a folder to work in."""

    folder: Path
    prompts: list[list[int]]
    answers: dict[ViewName, list[list[int]]]
    policy: Model
    frozen: dict[Role, Model]

    def turned(self) -> "World":
        """Policy and reference change places, and with them the sign of every log-ratio."""
        return World(
            self.folder, self.prompts, self.answers, self.frozen["ref"], {**self.frozen, "ref": self.policy}
        )


def world(folder: Path, prompt_tokens: int | None = None) -> World:
    """Answers of uneven length, some of one token; prompts of their own length or all of `prompt_tokens`."""
    draw = torch.Generator().manual_seed(11)
    policy = llama(16, seed=0)
    prompts = [torch.randint(VOCAB, (prompt_tokens or n,), generator=draw).tolist() for n in PROMPTS]
    answers = {
        view: [torch.randint(VOCAB, (n,), generator=draw).tolist() for n in lengths]
        for view, lengths in LENGTHS.items()
    }
    for i in LIKELY:
        answers["chosen"][i] = likeliest(policy, prompts[i], LENGTHS["chosen"][i])
    answers["mismatched"] = answers["chosen"][1:] + answers["chosen"][:1]
    frozen: dict[Role, Model] = {"ref": near(policy, 0.03, seed=1), "teacher": llama(24, seed=2)}
    return World(folder, prompts, answers, policy, frozen)


def ours(name: str, hp: Any, at: World, step: Sequence[int] = EVERYTHING) -> Result:
    """The method's loss and gradient over one optimizer step, in micro-batches, by the code that trains."""
    method = methods.registry()[name]
    needs = method.needs(hp)
    views, signals = {}, {}
    for view, reads in needs.views.items():
        rows = zip(at.prompts, at.answers[view], strict=True)
        token_sequences.write(
            at.folder / view, (token_sequences.response(i, *row) for i, row in enumerate(rows))
        )
        views[view] = token_sequences.Sequences(at.folder / view)
        for role in reads.signal_roles():
            signals[view, role] = Live(Frozen(at.frozen[role], head_of(at.frozen[role], VOCAB)), views[view])
    index = np.array(EVERYTHING)[:, None]
    examples = Examples(needs, views, dict.fromkeys(views, index), signals, torch.device("cpu"))
    policy = Policy(deepcopy(at.policy), VOCAB, small_budget(5, VOCAB, recompute=True))
    terms, gradient = step_of(
        method, hp, policy, examples, [list(step[i::MICRO_BATCHES]) for i in range(MICRO_BATCHES)]
    )
    return Result(
        float(torch.stack(list(terms.values())).sum()),
        {name.removeprefix("model."): g for name, g in gradient.items()},
    )
