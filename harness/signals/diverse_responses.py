"""Of several responses to each prompt the most different ones, as PAD learns from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from pathlib import Path
from typing import Any, Generic

import numpy as np

from harness.common.cost import TextSize
from harness.data import token_sequences
from harness.data.token_sequences import Sequences
from harness.signals.rollouts import RolloutInputs, RolloutSettings
from harness.store.step import Ref, Sizes, Source, Step, StepKind, Work

Tokens = Sequence[int]


@dataclass(frozen=True)
class GroupSettings:
    keep: int


@dataclass(frozen=True)
class GroupInputs(Generic[Ref]):
    rollouts: Ref


def run(work: Work[GroupSettings, GroupInputs[Path]]) -> dict[str, Any]:
    """The step: keep the `keep` most different responses of each prompt; a prompt with fewer different ones
    is dropped and counted.
    """
    sampled, keep = Sequences(work.inputs.rollouts), work.settings.keep
    diverse, dropped = [], 0
    for row, of_row in groupby(range(len(sampled)), key=lambda i: int(sampled.rows[i])):
        responses = [sampled[i] for i in of_row]
        first = responses[0].mask.index(True)
        # The same tokens twice are one response, however often they were sampled.
        answers = list(dict.fromkeys(tuple(s.ids[first:]) for s in responses))
        # A group of fewer would have fewer rankings than the loss sums over.
        if len(answers) < keep:
            dropped += 1
            continue
        prompt = responses[0].ids[:first]
        diverse += [
            token_sequences.response(row, prompt, list(answers[i])) for i in most_different(answers, keep)
        ]
    if not diverse:
        raise ValueError(f"no prompt has {keep} different responses; sample more, or at a higher temperature")
    known = token_sequences.vocabulary_of(work.inputs.rollouts)
    return {**token_sequences.write(work.out, diverse, known), "dropped": dropped}


def most_different(answers: Sequence[Tokens], keep: int) -> list[int]:
    """Greedy max-min: the two farthest apart, then always the one whose nearest of those is farthest. Ties go
    to the first; the indices are in order.
    """
    distances = np.zeros((len(answers), len(answers)))
    for i, j in combinations(range(len(answers)), 2):
        distances[i, j] = distances[j, i] = edit_distance(answers[i], answers[j])
    chosen = [int(i) for i in np.unravel_index(distances.argmax(), distances.shape)][:keep]
    while len(chosen) < keep:
        nearest = distances[:, chosen].min(-1)
        nearest[chosen] = -1
        chosen.append(int(nearest.argmax()))
    return sorted(chosen)


def edit_distance(a: Tokens, b: Tokens) -> int:
    """Levenshtein distance of two token sequences, a row of the table at a time."""
    right, steps = np.asarray(b), np.arange(len(b) + 1)
    row = steps
    for i, token in enumerate(a, 1):
        changed = np.concatenate([[i], np.minimum(row[1:] + 1, row[:-1] + (right != token))])
        row = np.minimum.accumulate(changed - steps) + steps  # insertions run along the row
    return int(row[-1])


def _size(
    step: Step[GroupSettings, GroupInputs[Step[RolloutSettings, RolloutInputs[Source]]]],
    part: str,
    sizes: Sizes,
) -> TextSize:
    rollouts = step.inputs.rollouts
    return sizes.sequences(rollouts).share(step.settings.keep / rollouts.settings.samples)


GROUP = StepKind(
    "group", GroupSettings, GroupInputs, "harness.signals.diverse_responses:run", sequences=_size
)
