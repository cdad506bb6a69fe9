"""The inputs of every loss: token ids, and each model's logits after every prefix of them.

views     {"chosen": [[[3, 5], [2, 7, 1]], ...]}      prompts and answers; of `group` three an example
states    [[3], [3, 5], [3, 5, 2], ...]               what stands before a token
logits    {"policy": [[12, -7, ...], ...]}            sixteenths, state by state; exact in any float
selection [-0.7, ...]                                 a score of each sequence of `group`
value     [3, ...]                                    sixteenths: a state's value is their product with
                                                      its logits
"""

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

FILE = Path(__file__).parent / "inputs.json"
VOCAB, GROUP = 9, 3  # token 0 pads and stands in no sequence
PROMPTS = [2, 1, 3]
ANSWERS = {  # tokens of each example's answers
    "chosen": [5, 1, 4],
    "rejected": [5, 4, 1],
    "mismatched": [1, 4, 3],
    "teacher_rollout": [2, 3, 4],
    "student_rollout": [4, 2, 3],
    "policy_rollout": [3, 4, 1],
    "group": [2, 1, 3, 1, 3, 2, 3, 2, 1],
}
LIKELY = {("chosen", 1), ("rejected", 1), ("policy_rollout", 2)}  # the policy's likeliest: a weight of 1
NEAR = {  # role -> the model it is near to, and how far, in sixteenths
    "ref": ("policy", 12),
    "old": ("policy", 4),
    "teacher_ref": ("teacher", 9),
}


def drawn(seed: int = 185) -> dict[str, Any]:
    """The inputs, as they stand in the file."""
    random = Random(seed)
    prompts = [[random.randrange(1, VOCAB) for _ in range(n)] for n in PROMPTS]
    logits: dict[tuple[int, ...], dict[str, list[int]]] = {}

    def at(prefix: list[int]) -> dict[str, list[int]]:
        while (key := tuple(prefix)) not in logits:
            said = {
                role: [round(random.gauss(0, 24)) for _ in range(VOCAB)] for role in ("policy", "teacher")
            }
            for role, (near, far) in NEAR.items():
                said[role] = [x + round(random.gauss(0, far)) for x in said[near]]
            # Which of two equal ones is the largest is no part of a formula.
            gains = [a - b for a, b in zip(said["teacher"], said["teacher_ref"], strict=True)]
            if all(len(set(row)) == VOCAB for row in (*said.values(), gains)):
                logits[key] = said
        return logits[key]

    views: dict[str, list[list[list[int]]]] = {}
    for view, lengths in ANSWERS.items():
        views[view] = []
        for i, n in enumerate(lengths):
            prompt = prompts[i // GROUP if view == "group" else i]
            sequence = list(prompt)
            for _ in range(n):
                likeliest = at(sequence)["policy"][1:]
                likely = (view, i) in LIKELY
                sequence.append(1 + likeliest.index(max(likeliest)) if likely else random.randrange(1, VOCAB))
            views[view].append([prompt, sequence[len(prompt) :]])
            for end in range(1, len(sequence) + 1):
                at(sequence[:end])
    return {
        "views": views,
        "states": [list(prefix) for prefix in logits],
        "logits": {role: [said[role] for said in logits.values()] for role in next(iter(logits.values()))},
        "selection": [-round(random.uniform(0.05, 1.5), 4) for _ in views["group"]],
        "value": [round(random.gauss(0, 4)) for _ in range(VOCAB)],
    }


def text(data: dict[str, Any]) -> str:
    """One line a key of the first two levels."""
    lines = []
    for key, value in data.items():
        if isinstance(value, dict):
            inner = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            lines.append(f" {json.dumps(key)}: {{\n{inner}\n }}")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


class Tensors:
    """The inputs of some examples, as a trainer finds them; the policy's logits and the value's weights
    gather gradients.
    """

    def __init__(self, data: dict[str, Any], examples: Sequence[int] = range(len(PROMPTS))) -> None:
        self.data, self.examples = data, list(examples)
        self.index = {tuple(prefix): i for i, prefix in enumerate(data["states"])}
        self.tables = {role: torch.tensor(rows) / 16 for role, rows in data["logits"].items()}
        self.policy = self.tables["policy"].requires_grad_()
        self.value = (torch.tensor(data["value"]) / 16).requires_grad_()

    def one(self, example: int) -> "Tensors":
        """One example alone, with the same tables: a micro-batch of one."""
        found = Tensors(self.data, [example])
        found.tables, found.policy, found.value = self.tables, self.policy, self.value
        return found

    def sequences(self, view: str) -> list[tuple[list[int], list[int]]]:
        """Prompts and answers of the examples."""
        per = GROUP if view == "group" else 1
        return [tuple(self.data["views"][view][i * per + j]) for i in self.examples for j in range(per)]

    def ids(self, *views: str) -> Tensor:
        """Prompt and answer, padded on the right with 0, of all views one below the other. [B, T]"""
        return _padded([[*prompt, *answer] for view in views for prompt, answer in self.sequences(view)], 0)

    def labels(self, *views: str) -> Tensor:
        """The same, with -100 at prompts and padding."""
        rows = [s for view in views for s in self.sequences(view)]
        return _padded([[-100] * len(prompt) + answer for prompt, answer in rows], -100)

    def model(self, role: str, ids: Tensor) -> Tensor:
        """A model's logits after every prefix; after padding those of some state. [B, T, V]"""
        rows = [[self.index.get(tuple(row[: t + 1]), 0) for t in range(len(row))] for row in ids.tolist()]
        return self.tables[role][torch.tensor(rows)]

    def logits(self, role: str, *views: str) -> Tensor:
        """[B, T, V]"""
        return self.model(role, self.ids(*views))

    def answers(self, view: str) -> tuple[Tensor, Tensor]:
        """Answers alone, padded on the right with 0, and their mask. [B, T] each"""
        rows = [answer for _, answer in self.sequences(view)]
        return _padded(rows, 0), _padded([[1] * len(row) for row in rows], 0)

    def before(self, role: str, view: str) -> Tensor:
        """Logits of the states before the tokens of each answer; behind it those of some state. [B, T, V]"""
        wide = max(len(answer) for _, answer in self.sequences(view))
        rows = []
        for prompt, answer in self.sequences(view):
            prefixes = [tuple([*prompt, *answer[:t]]) for t in range(len(answer))]
            rows.append([self.index[p] for p in prefixes] + [0] * (wide - len(answer)))
        return self.tables[role][torch.tensor(rows)]

    def logps(self, role: str, view: str) -> Tensor:
        """Log-probs of the tokens of each answer, 0 behind it. [B, T]"""
        tokens, mask = self.answers(view)
        return self.before(role, view).log_softmax(-1).gather(-1, tokens[..., None])[..., 0] * mask


def _padded(rows: list[list[int]], by: int) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [by] * (longest - len(row)) for row in rows])
