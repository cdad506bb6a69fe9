"""What a loss is fed: examples of several views, their stored signals, and the counts of a whole optimizer
step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.data.token_sequences import Ints, Sequences
from harness.models import prefix_sharing
from harness.models.loading import load_head
from harness.models.policy import Inputs, Scored, pad, places_of, sent, spread
from harness.models.prefix_sharing import Rows
from harness.signals.live import Frozen, Live, OldPolicy, SignalSource
from harness.signals.stored import Signals
from harness.store.array_file import ArrayFile
from harness.store.step import Work
from harness.train.costs import TrainInputs, TrainSettings
from harness.train.micro_batches.assembly import Assembled
from methods.api import Needs
from methods.batch import Batch, Role, ScoreName, View, ViewName
from methods.kernels.token_statistics import Signal, TopK

SAMPLED: tuple[ViewName, ...] = ("teacher_rollout", "student_rollout")  # before the training
TrainWork = Work[TrainSettings, TrainInputs[Path]]


@dataclass(frozen=True)
class Examples:
    """The examples that every view holds, in the order of their rows."""

    needs: Needs
    views: Mapping[ViewName, Sequences]
    indices: Mapping[ViewName, Ints]  # view -> indices of each example's sequences, [n, 1], of a group [n, g]
    signals: Mapping[tuple[ViewName, Role], SignalSource]
    device: torch.device
    scores: Mapping[tuple[ViewName, ScoreName], NDArray[np.generic]] = field(default_factory=dict)
    old_policy: OldPolicy | None = None  # of the view policy_rollout
    identical: int = 0  # examples left out, since their teacher and student rollouts are the same
    share: bool = False  # whether the policy runs over shared rows (harness.models.prefix_sharing)

    def __len__(self) -> int:
        return len(next(iter(self.indices.values())))

    @cached_property
    def lengths(self) -> Ints:
        """Tokens of each example's longest sequence. [n]"""
        longest: Ints = np.max(
            [v.lengths[self.indices[name]].max(-1) for name, v in self.views.items()], axis=0
        )
        return longest

    @property
    def width(self) -> int:
        """Sequences of an example, over all views."""
        return sum(indices.shape[1] for indices in self.indices.values())

    def tokens(self, examples: Sequence[int]) -> dict[ViewName, tuple[int, int]]:
        """Per view all tokens and response tokens of some examples."""
        picked = {name: self._sequences(name, examples) for name in self.views}
        return {
            name: (int(v.lengths[picked[name]].sum()), int(v.response_lengths[picked[name]].sum()))
            for name, v in self.views.items()
        }

    def _sequences(self, name: ViewName, examples: Sequence[int]) -> list[int]:
        """Indices of a view's sequences, example by example."""
        indices: list[int] = self.indices[name][list(examples)].ravel().tolist()
        return indices

    def assembled(self, examples: Sequence[int]) -> Assembled:
        """Some examples on the host: their views, padded, with what is stored of the frozen models."""
        views, host = [], torch.device("cpu")
        for name, reads in self.needs.views.items():
            batch = self._sequences(name, examples)
            read = [self.views[name][i] for i in batch]
            dense: dict[Role, Signal] = {}
            # "teacher" comes before "teacher_ref", whose top-k stands at the teacher's ids.
            for role in sorted(reads.dense_roles()):
                if isinstance(source := self.signals[name, role], Signals):
                    dense[role] = source.distributions(batch, host, next(map(_ids, dense.values()), None))
            ids, mask = pad([s.ids for s in read]), pad([s.mask for s in read])
            at = places_of([s.mask for s in read])
            views.append(Inputs(ids, mask.bool(), at, dense, reads.stats, "policy" in reads.values))
        return Assembled(views, self.rows(examples))

    def inputs(self, examples: Sequence[int], given: Assembled | None = None) -> list[Inputs]:
        """The views of some examples, with what all frozen models say of them; `given` as they are on the
        device.
        """
        views = []
        for name, view in zip(self.needs.views, (given or self.assembled(examples)).inputs, strict=True):
            dense = dict(view.signals)
            for role in sorted(self.needs.views[name].dense_roles() - dense.keys()):
                ids = next(map(_ids, dense.values()), None)
                batch = self._sequences(name, examples)
                dense[role] = self.signals[name, role].distributions(batch, self.device, ids)
            views.append(replace(view, signals=dense))
        return views

    def prefetch(self, step: Sequence[int]) -> None:
        """Have the stored signals of an optimizer step's examples read from the disk."""
        for (name, _), source in self.signals.items():
            source.prefetch(self._sequences(name, step))

    def batch(self, examples: Sequence[int], scored: Sequence[Scored], step: Sequence[int]) -> Batch:
        """What the loss sees of a micro-batch, with the counts of the whole step's examples."""
        counts, views = self.tokens(step), {}
        for (name, reads), output in zip(self.needs.views.items(), scored, strict=True):
            view = self._stored(name, output.mask, output.at, examples, counts[name][1])
            policy: dict[Role, Tensor] = {"policy": output.logps} if "policy" in reads.logps else {}
            valued: dict[Role, Tensor] = {} if output.values is None else {"policy": output.values}
            views[name] = View(
                view.mask,
                view.step_tokens,
                output.statistics,
                {**view.token_logps, **policy},
                {**view.state_values, **valued},
                view.sequence_scores,
            )
        return Batch(views, len(step))

    def stored(self, examples: Sequence[int]) -> Batch:
        """What is known of some examples without the policy."""
        counts, views = self.tokens(examples), {}
        for name in self.needs.views:
            masks = [self.views[name][i].mask for i in self._sequences(name, examples)]
            mask, at = pad(masks, self.device).bool(), places_of(masks, self.device)
            views[name] = self._stored(name, mask, at, examples, counts[name][1])
        return Batch(views, len(examples))

    def _stored(
        self, name: ViewName, mask: Tensor, at: Tensor, examples: Sequence[int], step_tokens: int
    ) -> View:
        reads, batch = self.needs.views[name], self._sequences(name, examples)
        logps: dict[Role, Tensor] = {}
        for role in set(reads.logps) - {"policy"}:
            source = self.old_policy if role == "old" else self.signals[name, role]
            assert source is not None
            logps[role] = spread(sent(source.logps(batch), self.device), at, mask)
        values: dict[Role, Tensor] = {}
        if "old" in reads.values:
            assert self.old_policy is not None
            values["old"] = spread(sent(self.old_policy.values(batch), self.device), at, mask)
        scores = {
            s: sent(torch.tensor(self.scores[name, s][batch], dtype=torch.float32), self.device)
            for s in reads.scores
        }
        return View(mask, step_tokens, {}, logps, values, scores)

    def micro_batches(self, examples: Sequence[int], tokens: int) -> list[list[int]]:
        """The examples of a step, those of like length together, at most `tokens` computed positions over
        all views.
        """
        parts: list[list[int]] = []
        # Like lengths together: in a padded batch the longest sequence sets what all cost.
        for e in sorted(examples, key=lambda e: int(self.lengths[e])):
            if parts and self.positions([*parts[-1], e]) <= tokens:
                parts[-1].append(e)
            else:
                parts.append([e])
        return parts

    def padded(self, examples: Sequence[int]) -> int:
        """Positions of some examples in a padded batch of all views."""
        return len(examples) * self.width * int(self.lengths[list(examples)].max(initial=0))

    def positions(self, examples: Sequence[int]) -> int:
        """Positions of some examples that are computed: those of a row where that is worth it."""
        padded = self.padded(examples)
        # Laying rows out costs time, too: worth it only where enough positions are spared.
        row = sum(map(self._in_a_row, examples)) if self.share else padded
        return row if row <= prefix_sharing.WORTH * padded else padded

    def rows(self, examples: Sequence[int]) -> Rows | None:
        """Some examples as one row; None where they are better padded."""
        if self.positions(examples) == self.padded(examples):
            return None
        read = [(s, e) for name in self.needs.views for e in examples for s in self._ids(name, e)]
        return prefix_sharing.lay_out([s for s, _ in read], [e for _, e in read], torch.device("cpu"))

    def _in_a_row(self, example: int) -> int:
        if example not in self._counted:
            read = [s for name in self.needs.views for s in self._ids(name, example)]
            self._counted[example] = prefix_sharing.distinct(read)
        return self._counted[example]

    @cached_property
    def _counted(self) -> dict[int, int]:
        return {}

    def _ids(self, name: ViewName, example: int) -> list[list[int]]:
        return [self.views[name][i].ids for i in self._sequences(name, [example])]


def load(
    needs: Needs, inputs: TrainInputs[Path], device: torch.device, frozen: Mapping[str, Frozen], vocab: int
) -> Examples:
    """The examples of a training step's inputs; `frozen` holds by role the models that run beside it, and
    `vocab` is the policy's. Until it is sampled, the view policy_rollout holds the sequences whose prompts it
    answers.
    """
    views = {name: Sequences(inputs.views[name]) for name in needs.views}
    indices = _indices(views)
    same = _identical(views, indices) if needs.distinct else set()
    usable = [e for e in range(len(next(iter(indices.values())))) if e not in same]
    if not usable:
        raise ValueError(
            f"no example has all of the views {', '.join(views)}: everything was dropped on the way"
        )
    heads = {role: load_head(folder, device, vocab) for role, folder in inputs.heads.items()}
    k = 0 if needs.support == "full" else needs.support
    signals: dict[tuple[ViewName, Role], SignalSource] = {}
    for name, reads in needs.views.items():
        for role in sorted(reads.signal_roles()):
            stored = inputs.signals.get((name, role))
            if stored is None:
                signals[name, role] = Live(frozen[role], views[name], k)
            else:
                signals[name, role] = Signals(stored, views[name], heads.get(role))
    indices = {name: of[usable] for name, of in indices.items()}
    scores = {
        (name, s): ArrayFile(inputs.scores[name, s], "scores").all()
        for name, reads in needs.views.items()
        for s in reads.scores
    }
    return Examples(needs, views, indices, signals, device, scores, identical=len(same))


def _ids(signal: Signal) -> Tensor | None:
    return signal.ids if isinstance(signal, TopK) else None


def _indices(views: Mapping[ViewName, Sequences]) -> dict[ViewName, Ints]:
    """The indices of each example's sequences in every view, [n, 1], of a group [n, g]: an example for each
    of several rollouts to a prompt, whose other sequences stand there each time.
    """
    by_row: dict[ViewName, dict[int, list[int]]] = {name: {} for name in views}
    for name, v in views.items():
        for i, row in enumerate(v.rows.tolist()):
            by_row[name].setdefault(row, []).append(i)
    found: dict[ViewName, list[list[int]]] = {name: [] for name in views}
    # An example must have all of its views: a prompt whose rollout was dropped is left out of the others.
    for row in (row for row in next(iter(by_row.values())) if all(row in of for of in by_row.values())):
        own = {name: of[row] for name, of in by_row.items()}
        for n in range(min((len(own[name]) for name in SAMPLED if name in own), default=1)):
            for name, of in own.items():
                found[name].append([of[n]] if name in SAMPLED else of)
    return {name: np.array(of, dtype=np.int64) for name, of in found.items()}


def _identical(views: Mapping[ViewName, Sequences], indices: Mapping[ViewName, Ints]) -> set[int]:
    """Examples whose teacher and student rollouts are the same."""
    both = zip(*(indices[name][:, 0].tolist() for name in SAMPLED), strict=True)
    teacher, student = (views[name] for name in SAMPLED)
    return {e for e, (t, s) in enumerate(both) if teacher[t].ids == student[s].ids}
