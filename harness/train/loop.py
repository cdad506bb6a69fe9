"""A method on its examples: losses, denominators and gradients of whole optimizer steps.

The loop owns the denominators: micro-batches and processes add up to one gradient. It knows no method.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor

from harness.common.tokenizer import load_tokenizer, vocabulary
from harness.data import chat_template
from harness.data.token_sequences import common_vocabulary
from harness.models import memory, prefix_sharing
from harness.models.loading import head_of, load
from harness.models.policy import Policy, Scored
from harness.signals.live import Frozen, Live
from harness.suite.method_file import method_of
from harness.train import examples as data
from harness.train.accelerate_setup import accelerator_of, one_at_a_time, prepare, prepared
from harness.train.examples import Examples, TrainWork
from harness.train.micro_batches.assembly import Ahead
from harness.train.micro_batches.room import MENDS, NoRoom, Room
from harness.train.online import Sampler
from harness.train.optimizing import health, on_the_way
from harness.train.placing.memory import MOMENTS
from methods.api import Method, Online, Stats
from methods.batch import Batch, Terms

SCAN = 256  # examples of which set_stats are taken at once

Said = TypeVar("Said")
Counted = Mapping[str, tuple[Tensor, Tensor]]  # name -> sum and count


@dataclass(frozen=True)
class Loop:
    """A method on its examples, with the model it trains as accelerate wrapped it."""

    method: Method
    hp: Any
    policy: torch.nn.Module
    examples: Examples
    accelerator: Accelerator
    room: Room  # computed positions of a micro-batch
    sampler: Sampler | None = None
    means: Mapping[str, Tensor] = field(default_factory=dict)  # what the method's `set_stats` declares
    progress: float = 0.0  # share of the optimizer steps that are done
    unshared: str | None = None  # why the model runs over padded batches only
    ahead: Ahead = field(default_factory=Ahead)
    told: on_the_way.Told = field(default_factory=on_the_way.Told)  # what a log tells of an optimizer step

    def shares(self, step: Sequence[int]) -> list[list[list[int]]]:
        """Every process's micro-batches of an optimizer step, as many for each: all take part in every
        forward pass where weights are sharded. One that has less to do ends with empty ones.
        """
        processes = self.accelerator.num_processes
        shares = [self.examples.micro_batches(step[r::processes], self.room.tokens) for r in range(processes)]
        most = max(map(len, shares))
        return [[*share, *([] for _ in range(most - len(share)))] for share in shares]

    def micro_batches(self, step: Sequence[int]) -> list[list[int]]:
        """This process's micro-batches of an optimizer step."""
        return self.shares(step)[self.accelerator.process_index]

    def score(self, part: Sequence[int], step: Sequence[int]) -> Batch:
        """The forward pass over one micro-batch; over some example where it is empty."""
        self.room.examples = part = list(part or step[:1])
        given = self.ahead.take(self.examples, part)
        # Of a sharded model accelerate leaves autocast to the caller.
        with self.accelerator.autocast():
            scored: list[Scored] = self.policy(self.examples.inputs(part, given), self.hp, given.rows)
        return replace(self.examples.batch(part, scored, step), means=self.means, progress=self.progress)

    def loss(self, part: Sequence[int], step: Sequence[int], means: Mapping[str, Tensor]) -> Terms:
        """The loss terms of one micro-batch; 0 for an empty one, which has a gradient all the same."""
        batch = replace(self.score(part, step), means=means)
        self.told.add(batch, empty=not part)
        terms = self.method.loss(batch, self.hp)
        return terms if part else {name: 0.0 * value for name, value in terms.items()}

    @torch.no_grad()
    def means_of(self, stats: Stats | None, step: Sequence[int]) -> dict[str, Tensor]:
        """Sums over counts, over all micro-batches and processes of a step."""
        if stats is None:
            return {}
        parts = self.micro_batches(step)
        return self._reduced([(part, stats(self.score(part, step), self.hp)) for part in parts])

    def _reduced(self, counted: Sequence[tuple[Sequence[int], Counted]]) -> dict[str, Tensor]:
        """Sums over counts of micro-batches, of which empty ones count nothing."""
        counts = [c if part else {n: (0 * a, 0 * b) for n, (a, b) in c.items()} for part, c in counted]
        return {
            name: self.accelerator.reduce(torch.stack([f[name][0] for f in counts]).sum())
            / self.accelerator.reduce(torch.stack([f[name][1] for f in counts]).sum())
            for name in counts[0]
        }

    def with_set_means(self) -> "Loop":
        """The loop with what the method's `set_stats` says of all examples."""
        if self.method.set_stats is None:
            return self
        all_examples = range(len(self.examples))
        # Each process counts its share; sums over processes make the means of all.
        mine = all_examples[self.accelerator.process_index :: self.accelerator.num_processes]
        parts = [mine[a : a + SCAN] for a in range(0, max(1, len(mine)), SCAN)]
        stored = [(part, self.examples.stored(part or all_examples[:1])) for part in parts]
        counted = [(part, self.method.set_stats(batch, self.hp)) for part, batch in stored]
        return replace(self, means=self._reduced(counted))

    def gradient(self, step: Sequence[int]) -> dict[str, float]:
        """Accumulate the gradient of one optimizer step; returns its terms over all processes."""
        return self._in_room(lambda: self._gradient(step))

    def _gradient(self, step: Sequence[int]) -> dict[str, float]:
        total: dict[str, Tensor] = {}
        self.told.clear()
        parts, means = self.micro_batches(step), self._means(step)
        sharded = self.accelerator.distributed_type == DistributedType.FSDP
        for number, part in enumerate(parts, 1):
            last = number == len(parts)
            self._begin(self.ahead.following if last else parts[number], whole=last)
            # Gradients meet once a step: a sync for each micro-batch would send them as often. Those of
            # sharded weights do not wait for it, as each device would hold all of them.
            with nullcontext() if last or sharded else self.accelerator.no_sync(self.policy):
                terms = self.loss(part, step, means)
                # Gradients are averaged over processes; the loss divides by the whole step already.
                loss = torch.stack(list(terms.values())).sum() * self.accelerator.num_processes
                self.accelerator.backward(loss)
            for name, value in terms.items():
                total[name] = total.get(name, torch.zeros_like(value)) + value.detach()
        return {name: float(self.accelerator.reduce(value)) for name, value in total.items()}

    def _begin(self, examples: Sequence[int], whole: bool) -> None:
        """Have a micro-batch assembled while a GPU computes: these examples, or the first of a whole step."""
        if examples and self.examples.device.type == "cuda":
            self.ahead.begin(self.examples, self.micro_batches(examples)[0] if whole else examples)

    def read_ahead(self, steps: Iterable[list[int]]) -> Iterator[list[int]]:
        """The same steps; while one is computed, the next is on its way from the disk."""
        for step, self.ahead.following in pairwise(chain(steps, [[]])):
            self.examples.prefetch(self.ahead.following)
            yield step

    def _means(self, step: Sequence[int]) -> dict[str, Tensor]:
        return {**self.means, **self.means_of(self.method.step_stats, step)}

    @property
    def frozen(self) -> list[Frozen]:
        """The models beside the policy, in the order of their first signal; one may serve several views."""
        models = [signals.frozen for signals in self.examples.signals.values() if isinstance(signals, Live)]
        return list({id(frozen): frozen for frozen in models}.values())

    def _in_room(self, compute: Callable[[], Said]) -> Said:
        """What `compute` says of micro-batches, again in smaller ones where memory ran out; it starts with no
        gradient.
        """
        halved, read = self.room.halved, [(x, x.tokens, x.answered) for x in self.frozen]
        while True:
            try:
                said = compute()
                break
            except torch.OutOfMemoryError as error:
                self._make_room(error)
            # Not in `except`, where the traceback still holds what was computed.
            self.policy.zero_grad()
            for frozen, tokens, answered in read:  # what was dropped counts for nothing
                frozen.tokens, frozen.answered = tokens, answered
            torch.cuda.empty_cache()
        if self.room.halved > halved:
            print(
                f"bench: {self.method.name}: out of memory; from here on micro-batches have at most "
                f"{self.room.tokens:,} positions, which changes the last bits of sums",
                file=sys.stderr,
            )
        return said

    def _make_room(self, error: torch.OutOfMemoryError) -> None:
        """Halve the micro-batch that ran out of memory; ValueError where it is one example."""
        part, policy = self.room.examples, self.accelerator.unwrap_model(self.policy)
        positions = self.examples.positions(part)
        if len(part) <= 1 and policy.budget.keep:  # logits can be computed again in the backward pass
            policy.budget = replace(policy.budget, keep=0)
            return
        if len(part) <= 1:
            line = f"{self.method.name}: out of memory at one example of {positions:,} positions: {MENDS}"
            raise ValueError(f"{line} ({str(error).splitlines()[0]})") from None
        # A process that starts over while others wait for its gradients or its share of weights would hang.
        if self.accelerator.distributed_type != DistributedType.NO:
            raise NoRoom(positions // 2) from None
        self.room.halve(positions)

    def terms(self, step: Sequence[int]) -> dict[str, float]:
        """The terms of some examples, taken as one optimizer step."""
        return self._in_room(lambda: self._terms(step))

    @torch.no_grad()
    def _terms(self, step: Sequence[int]) -> dict[str, float]:
        means = self._means(step)
        parts = [self.loss(part, step, means) for part in self.micro_batches(step)]
        return {n: float(self.accelerator.reduce(torch.stack([f[n] for f in parts]).sum())) for n in parts[0]}

    def measure(self, picked: Sequence[int]) -> tuple[dict[str, float], dict[str, float]]:
        """Terms and watched means of some examples; an online method answers their prompts first."""
        drawn: AbstractContextManager[Examples] = nullcontext(self.examples)
        if self.sampler:
            drawn, picked = self.sampler.draw(self.examples, picked, "measure"), range(len(picked))
        with drawn as examples:
            loop = replace(self, examples=examples)
            watched = loop._in_room(lambda: loop.means_of(self.method.watch, picked))
            return loop.terms(picked), health.finite(self.method.name, watched)


def set_up(work: TrainWork, start: Path, optimized: Any = None) -> tuple[Loop, Any]:
    """The loop of a step's settings and inputs, on the model of the folder `start`; `optimized` makes the
    optimizer, which is returned as accelerate wrapped it.
    """
    settings, context = work.settings, work.context
    method = method_of(context["method"], context["method_file"])
    hp = type(method.hparams)(**settings.hp)
    needs = method.needs(hp)
    accelerator = accelerator_of(settings.precision, context["device"], online=needs.online is not None)
    # Float32 whatever the checkpoint has: bfloat16 weights would not move at a learning rate of 5e-7.
    tokenizer = load_tokenizer(start)
    with one_at_a_time(accelerator):
        model = load(start)
        if accelerator.num_processes > 1:
            model.to(accelerator.device)
    unshared = prefix_sharing.prepare(model)
    prepare(
        model,
        accelerator,
        settings.training.lora if settings.training else None,
        settings.seed,
        compiled=settings.compile,
        recomputed=context.get("checkpointing") is True,  # "auto" is for whoever knows the device
    )
    vocab = common_vocabulary(vocabulary(tokenizer, start), *work.inputs.views.values())
    budget = memory.memory_budget(context.get("head", "auto"), accelerator.device)
    plain = Policy(model, vocab, budget, any("policy" in reads.values for reads in needs.views.values()))
    plain.offload = bool(context.get("offload"))
    policy, optimizer = prepared(accelerator, plain, optimized and optimized(plain, needs.online))
    if context.get("head", "auto") == "auto":
        moments = MOMENTS[settings.training.optimizer] if settings.training else 0.0
        own = optimizer and optimizer.optimizer
        plain.free = partial(memory.room, accelerator.device, own, moments=moments)
    with one_at_a_time(accelerator):
        frozen = _frozen(work, accelerator.device, vocab)
    examples = data.load(needs, work.inputs, accelerator.device, frozen, vocab)
    examples = replace(examples, share=unshared is None)
    loop = Loop(method, hp, policy, examples, accelerator, Room(context["tokens"]), unshared=unshared)
    if needs.online and settings.online:
        assert settings.online.passes == needs.online.passes
        stop = chat_template.end_ids(tokenizer, model.generation_config, template=settings.online.template)
        loop = replace(loop, sampler=_sampler(work, needs.online, loop, stop))
    return loop.with_set_means(), optimizer


def _frozen(work: TrainWork, device: torch.device, vocab: int) -> dict[str, Frozen]:
    """By role the models that run beside the policy; the student's start in float32, as it trains."""
    frozen = {}
    for role, folder in work.inputs.live.items():
        # The reference in the dtype that the policy has at its start, else ln 2 would not hold.
        dtype = torch.float32 if role == "ref" else getattr(torch, work.settings.teacher_dtype or "float32")
        model = load(folder, dtype).to(device).requires_grad_(False)
        frozen[role] = Frozen(model, head_of(model, vocab))
    return frozen


def _sampler(work: TrainWork, recipe: Online, loop: Loop, stop: list[int]) -> Sampler:
    assert work.settings.online
    policy = loop.accelerator.unwrap_model(loop.policy)
    return Sampler(
        recipe,
        loop.policy,
        policy.model,
        loop.hp,
        max_tokens=work.settings.online.max_tokens,
        stop=stop,
        vocab=policy.vocab,
        batch=work.context["batch"],
        room=loop.room,
        seed=work.settings.seed,
        folder=work.out,
    )


def teacher_flops(loop: Loop) -> int:
    """Operations of the frozen models that ran beside the loop, in all processes."""
    mine = torch.tensor(sum(frozen.flops for frozen in loop.frozen), device=loop.accelerator.device)
    return int(loop.accelerator.reduce(mine))
