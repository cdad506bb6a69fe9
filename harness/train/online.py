"""Rollouts of the policy while it trains: a buffer of examples, drawn, then learned from."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.api import Sampling
from harness.data import token_sequences
from harness.data.token_sequences import Sequences
from harness.models.decoding.limit import BatchLimit
from harness.models.decoding.rows import Request
from harness.models.generation import decoding_flops, generate
from harness.models.loading import Model
from harness.signals.live import Live, OldPolicy
from harness.train.examples import Examples
from harness.train.micro_batches.assembly import Ahead
from harness.train.micro_batches.room import Room
from methods.api import Online
from methods.batch import ViewName

VIEW: ViewName = "policy_rollout"


@dataclass
class Sampler:
    """Answers an example's prompt with the policy as it is; counts what it drew to learn from.

    `policy` is the module that accelerate wrapped around `model`; buffers live below `folder` while they are
    used.
    """

    recipe: Online
    policy: torch.nn.Module
    model: Model
    hp: Any
    max_tokens: int
    stop: list[int]
    vocab: int
    batch: int  # prompts that are answered together
    room: Room  # of a pass over what was drawn
    seed: int
    folder: Path
    drawn: int = 0
    truncated: int = 0
    flops: int = 0
    limit: BatchLimit = field(default_factory=BatchLimit)

    def buffers(
        self, examples: Examples, order: Iterator[list[int]], number: int = 0
    ) -> Iterator[tuple[Examples, list[int]]]:
        """The optimizer steps over `order`, each with the buffer its examples stand in: the prompts of
        `batches` steps at a time, gone through `passes` times. The first buffer is the one of that number.
        """
        while steps := list(islice(order, self.recipe.batches)):
            picked = [e for step in steps for e in step]
            with self.draw(examples, picked, str(number), counted=True) as buffer:
                for _ in range(self.recipe.passes):
                    first = 0
                    for step in steps:
                        yield buffer, list(range(first, first + len(step)))
                        first += len(step)
            number += 1

    @contextmanager
    def draw(
        self, examples: Examples, picked: Sequence[int], name: str, *, counted: bool = False
    ) -> Iterator[Examples]:
        """Some examples with the policy's own answers as policy_rollout; `name` tells one draw's noise from
        another's, and those that only measure are not `counted`.
        """
        prompts, prompt_rows = examples.views[VIEW], examples.indices[VIEW][list(picked), 0].tolist()
        sampling = Sampling(self.recipe.temperature, 1.0, self.max_tokens)
        requests = [
            Request(prompts.prompt(i), sampling, f"{prompts.rows[i]}/{name}/{n}")
            for n, i in enumerate(prompt_rows)
        ]
        answers = generate(
            self.model,
            requests,
            self.stop,
            vocab=self.vocab,
            batch=self.batch,
            seed=self.seed,
            limit=self.limit,
        )
        if counted:
            self.drawn += len(answers)
            self.truncated += sum(a.truncated for a in answers)
            self.flops += decoding_flops(self.model, requests, answers)
        with tempfile.TemporaryDirectory(dir=self.folder) as below:
            rows = (
                token_sequences.response(n, request.prompt, answer.ids)
                for n, (request, answer) in enumerate(zip(requests, answers, strict=True))
            )
            token_sequences.write(Path(below), rows)
            yield self._buffer(examples, list(picked), Sequences(Path(below)))

    def _buffer(self, examples: Examples, picked: list[int], drawn: Sequences) -> Examples:
        buffer = replace(
            examples,
            views={**examples.views, VIEW: drawn},
            indices={
                name: np.arange(len(drawn))[:, None] if name == VIEW else indices[picked]
                for name, indices in examples.indices.items()
            },
            signals={
                (name, role): source.on_sequences(drawn)
                if name == VIEW and isinstance(source, Live)
                else source
                for (name, role), source in examples.signals.items()
            },
        )
        reads = examples.needs.views[VIEW]
        if "old" in (*reads.logps, *reads.values):
            return replace(buffer, old_policy=self._old_policy(buffer))
        return buffer

    @torch.no_grad()
    def _old_policy(self, buffer: Examples) -> OldPolicy:
        """The policy's log-probs and state values of what it just drew."""
        reads = replace(buffer.needs.views[VIEW], stats=())
        rollouts = replace(
            buffer,
            needs=replace(buffer.needs, views={VIEW: reads}),
            views={VIEW: buffer.views[VIEW]},
            indices={VIEW: buffer.indices[VIEW]},
        )
        logps, values = {}, {}
        for part in rollouts.micro_batches(range(len(rollouts)), self.room.tokens):
            given = Ahead().take(rollouts, part)
            (output,) = self.policy(rollouts.inputs(part, given), self.hp, given.rows)
            for row, i in enumerate(part):
                logps[i] = output.logps[row][output.mask[row]]
                if output.values is not None:
                    values[i] = output.values[row][output.mask[row]]
        return OldPolicy(logps, values)
