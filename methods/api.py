"""What a method is: a formula, and a declaration of what the formula reads.

Letters of shapes: B sequences, T positions, N response tokens of a chunk, S columns of a chunk's support, V
vocabulary.

A loss never sees anything of size V. Between a model and a loss stand per-token statistics, one number per
response token; a method declares them in `needs`, and what is not declared raises `MissingSignal` when it is
read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

Role = Literal["policy", "ref", "teacher", "teacher_ref"]
ViewName = Literal["chosen", "rejected", "teacher_rollout", "student_rollout"]
Support = int | Literal["full"]
Terms = dict[str, Tensor]


class MissingSignal(LookupError):
    """A loss or a statistic read what its method does not declare in `needs`."""


@dataclass(frozen=True)
class Chunk:
    """Log-probs of N response positions over the columns of one support.

    With the full support the columns are the vocabulary. With a support of k they are the teacher's k ids
    (the realised token always among them) and, for statistics declared with `rest=True`, one last column:
    the log of the probability outside the ids.
    """

    realised: Tensor  # [N] the column of the token that is there
    logprobs: Mapping[Role, Tensor]  # role -> [N, S]

    @property
    def policy(self) -> Tensor:
        """Log-probs of the model that is trained. [N, S]"""
        return self._of("policy")

    @property
    def ref(self) -> Tensor:
        """Log-probs of the student's frozen start. [N, S]"""
        return self._of("ref")

    @property
    def teacher(self) -> Tensor:
        """Log-probs of the aligned teacher. [N, S]"""
        return self._of("teacher")

    @property
    def teacher_ref(self) -> Tensor:
        """Log-probs of the SFT teacher from which the aligned teacher was trained. [N, S]"""
        return self._of("teacher_ref")

    def _of(self, role: Role) -> Tensor:
        if role not in self.logprobs:
            raise MissingSignal(f"a statistic reads {role!r}, which its declaration does not name")
        return self.logprobs[role]


@dataclass(frozen=True)
class Statistic:
    """A number per response token, `of(chunk, hp) -> [N]`.

    `reads` names the models beside the policy whose distributions stand in the chunk. A statistic that reads
    one of them runs over the method's support; one that reads the policy alone runs over the full vocabulary.
    `rest` asks for the bucket outside a top-k support as a last column.
    """

    name: str
    of: Callable[[Chunk, Any], Tensor]
    reads: tuple[Role, ...]
    rest: bool


def statistic(*reads: Role, rest: bool = False) -> Callable[[Callable[[Chunk, Any], Tensor]], Statistic]:
    """Declare a function of a chunk as a statistic; the function's name is the statistic's."""

    def declare(of: Callable[[Chunk, Any], Tensor]) -> Statistic:
        return Statistic(of.__name__, of, reads, rest)

    return declare


@dataclass(frozen=True)
class Reads:
    """What a loss reads on one view: statistics, and whose log-probs of the realised tokens."""

    stats: tuple[Statistic, ...] = ()
    logps: tuple[Role, ...] = ()

    def signal_roles(self) -> set[Role]:
        """The frozen models whose distributions or log-probs are read."""
        return {r for s in self.stats for r in s.reads} | {r for r in self.logps if r != "policy"}


@dataclass(frozen=True)
class Needs:
    """The views a loss reads, and the support its teacher statistics run over: all of V, or the teacher's
    top k.
    """

    views: Mapping[ViewName, Reads]
    support: Support = "full"


@dataclass(frozen=True)
class View:
    """A padded set of sequences and what each model says about its response tokens."""

    mask: Tensor  # [B, T] True on response tokens, their end-of-turn token included
    step_tokens: int  # response tokens of this view in the WHOLE optimizer step
    statistics: Mapping[Statistic, Tensor] = field(default_factory=dict)  # -> [B, T]
    token_logps: Mapping[Role, Tensor] = field(default_factory=dict)  # role -> [B, T]

    def __getitem__(self, stat: Statistic) -> Tensor:
        """The values of a declared statistic, [B, T]; whatever stands at masked positions is meaningless."""
        if stat not in self.statistics:
            raise MissingSignal(
                f"the loss reads the statistic {stat.name!r}, which `needs` does not declare here"
            )
        return self.statistics[stat]

    def logps(self, role: Role) -> Tensor:
        """log p(y_t | s_t) of the tokens that are there, under `role`, in nats. [B, T]"""
        if role not in self.token_logps:
            raise MissingSignal(f"the loss reads log-probs of {role!r}, which `needs` does not declare here")
        return self.token_logps[role]


@dataclass(frozen=True)
class Batch:
    """The views of one micro-batch, example by example in the same order, and counts of the whole step."""

    views: Mapping[ViewName, View]
    step_examples: int  # examples in the WHOLE optimizer step
    step_means: Mapping[str, Tensor] = field(default_factory=dict)  # what `step_stats` declared: sum / count

    @property
    def chosen(self) -> View:
        """The preferred responses y_w."""
        return self._view("chosen")

    @property
    def rejected(self) -> View:
        """The dispreferred responses y_l."""
        return self._view("rejected")

    @property
    def teacher_rollout(self) -> View:
        """Responses drawn from the aligned teacher."""
        return self._view("teacher_rollout")

    @property
    def student_rollout(self) -> View:
        """Responses drawn from the frozen model that training starts from."""
        return self._view("student_rollout")

    def _view(self, name: ViewName) -> View:
        if name not in self.views:
            raise MissingSignal(f"the loss reads the view {name!r}, which `needs` does not declare")
        return self.views[name]


def token_mean(x: Tensor, view: View) -> Tensor:
    """Mean of x [B, T] over the step's response tokens; micro-batches add up to it exactly."""
    return torch.where(view.mask, x, 0).sum() / view.step_tokens


def seq_sum(x: Tensor, view: View) -> Tensor:
    """Sum of x [B, T] over each sequence's response tokens. [B]"""
    return torch.where(view.mask, x, 0).sum(-1)


def seq_mean(x: Tensor, view: View) -> Tensor:
    """Mean of x [B, T] over each sequence's response tokens. [B]"""
    return seq_sum(x, view) / view.mask.sum(-1)


def example_mean(x: Tensor, batch: Batch) -> Tensor:
    """Mean of x [B] over the step's examples; micro-batches add up to it exactly."""
    return x.sum() / batch.step_examples


@dataclass(frozen=True)
class Training:
    """How a stage is optimised (AdamW): `epochs` passes over its examples; `source` says whose numbers."""

    lr: float
    epochs: float = 1.0
    batch_size: int = 128
    warmup: float = 0.1  # share of the steps, linear
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    source: str = "ours"


@dataclass(frozen=True)
class Method:
    """One entry of the registry.

    starts_from: "Student", or the entry whose result the last stage starts from and, where it reads a
        `student_rollout`, samples with.
    roles: puts another model into a role, {"teacher": "teacher_ref"} for an ablation without the aligned
        teacher.
    step_stats: `(batch, hp) -> {name: (sum, count)}` over the whole optimizer step, computed without gradient
        before its first backward pass; a loss finds sum / count in `batch.step_means`.
    at_start: `hp -> {term: value}` that must hold before the first step, where the policy is the reference.
    """

    name: str
    paper: str
    hparams: Any
    training: Training
    needs: Callable[[Any], Needs]
    loss: Callable[[Batch, Any], Terms]
    starts_from: str = "Student"
    roles: Mapping[Role, Role] = field(default_factory=dict)
    step_stats: Callable[[Batch, Any], dict[str, tuple[Tensor, Tensor]]] | None = None
    at_start: Callable[[Any], dict[str, float]] | None = None

    @property
    def formula(self) -> str:
        """The import path of the loss: entries with one formula, one setting and one data are one
        computation.
        """
        return f"{self.loss.__module__}.{self.loss.__qualname__}"
