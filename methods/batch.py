"""What a loss sees: numbers per response token and per sequence, masks, and the counts of the whole step.

Letters of shapes: B sequences, T positions, N response tokens of a chunk, S columns of a chunk's support, V
vocabulary.

A loss never sees anything of size V. Between a model and a loss stand per-token statistics, one number per
response token; a method declares them in `needs`, and what is not declared raises `MissingSignal` when it is
read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from methods.lazy_torch import Tensor, torch

Role = Literal["policy", "old", "ref", "teacher", "teacher_ref"]
ViewName = Literal[
    "chosen", "rejected", "mismatched", "teacher_rollout", "student_rollout", "policy_rollout", "group"
]
StoredView = Literal["chosen", "rejected", "teacher_rollout", "student_rollout"]
ScoreName = Literal["selection"]
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
class View:
    """A padded set of sequences and what each model says about them.

    In the view `group` B counts sequences: the n responses of an example stand one after the other.
    """

    mask: Tensor  # [B, T] True on response tokens, their end-of-turn token included
    step_tokens: int  # response tokens of this view in the WHOLE optimizer step
    statistics: Mapping[Statistic, Tensor] = field(default_factory=dict)  # -> [B, T]
    token_logps: Mapping[Role, Tensor] = field(default_factory=dict)  # role -> [B, T]
    state_values: Mapping[Role, Tensor] = field(default_factory=dict)  # role -> [B, T]
    sequence_scores: Mapping[ScoreName, Tensor] = field(default_factory=dict)  # name -> [B]

    def __getitem__(self, stat: Statistic) -> Tensor:
        """The values of a declared statistic, [B, T]; whatever stands at masked positions is meaningless."""
        if stat not in self.statistics:
            raise MissingSignal(
                f"the loss reads the statistic {stat.name!r}, which `needs` does not declare here"
            )
        return self.statistics[stat]

    def logps(self, role: Role) -> Tensor:
        """log p(y_t | s_t) of the tokens that are there, under `role`, in nats. [B, T]"""
        return self._read(self.token_logps, role, "log-probs")

    def values(self, role: Role) -> Tensor:
        """The scalar head's value of each state s_t: the "policy"'s, or the "old" one's. [B, T]"""
        return self._read(self.state_values, role, "state values")

    def scores(self, name: ScoreName) -> Tensor:
        """A number per sequence that a step before training made; "selection": PAD's probes. [B]"""
        return self._read(self.sequence_scores, name, "scores")

    def _read(self, known: Mapping[Any, Tensor], name: str, what: str) -> Tensor:
        if name not in known:
            raise MissingSignal(f"the loss reads {what} of {name!r}, which `needs` does not declare here")
        return known[name]


@dataclass(frozen=True)
class Batch:
    """The views of one micro-batch, example by example in the same order, and counts of the whole step."""

    views: Mapping[ViewName, View]
    step_examples: int  # examples in the WHOLE optimizer step
    means: Mapping[str, Tensor] = field(default_factory=dict)  # of `step_stats` and `set_stats`: sum / count
    progress: float = (
        0.0  # share of the stage's optimizer steps that are done; 0 where a loss is only measured
    )

    @property
    def chosen(self) -> View:
        """The preferred responses y_w."""
        return self.view("chosen")

    @property
    def rejected(self) -> View:
        """The dispreferred responses y_l."""
        return self.view("rejected")

    @property
    def mismatched(self) -> View:
        """Each prompt with a response to another prompt."""
        return self.view("mismatched")

    @property
    def teacher_rollout(self) -> View:
        """Responses drawn from the aligned teacher."""
        return self.view("teacher_rollout")

    @property
    def student_rollout(self) -> View:
        """Responses drawn from the frozen model that training starts from."""
        return self.view("student_rollout")

    @property
    def policy_rollout(self) -> View:
        """Responses drawn from the policy while it trains."""
        return self.view("policy_rollout")

    @property
    def group(self) -> View:
        """The n most different of several responses to each prompt, drawn from where the stage starts."""
        return self.view("group")

    def view(self, name: ViewName) -> View:
        """The view of that name, for a method whose states are a setting."""
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
