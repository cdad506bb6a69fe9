"""Signs that a row's model has collapsed, in its answers to a benchmark: empty ones, ones that repeat
themselves, and answers that are all alike.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.common.files import read_json_lines
from harness.evaluate.answers import AnswerSettings
from harness.results.health.ngrams import WORD, normal, words
from harness.store.step import Step
from harness.suite.training import Health

N, REPEATED = 4, 0.5  # an answer repeats itself where more than half of its runs of four words stood before
LONGEST_WORD = 40  # characters; what is longer and half of an answer ("aaaa...") is read by them
PART = re.compile(rf"{WORD.pattern}|[^\w\s]+")


class Signs(NamedTuple):
    """How many of so many answers are empty or repeat themselves, and their entropy: 0 where all are alike,
    1 where no two are; None of fewer than two.
    """

    answers: int
    empty: int
    repeated: int
    entropy: float | None

    def collapse(self, limits: Health) -> str:
        """What of it is over a suite's limits, "" where nothing is."""
        told = []
        if self.empty > limits.empty * self.answers:
            told.append(f"{self.empty / self.answers:.0%} are empty")
        if self.repeated > limits.repeated * self.answers:
            told.append(f"{self.repeated / self.answers:.0%} repeat themselves")
        if self.entropy is not None and self.entropy < limits.entropy:
            told.append(f"alike, entropy {self.entropy:.2f} of 1")
        return ", ".join(told)


def signs(answers: Sequence[str]) -> Signs:
    """The signs in the texts of answers to different questions."""
    alike = Counter(map(normal, answers))
    entropy = None
    if len(answers) > 1:
        nats = sum(n / len(answers) * math.log(len(answers) / n) for n in alike.values())
        entropy = nats / math.log(len(answers))
    empty = sum(not text.strip() for text in answers)
    return Signs(len(answers), empty, sum(map(repeats_itself, answers)), entropy)


def repeats_itself(answer: str) -> bool:
    """Whether seq-rep-4 of an answer (Welleck et al., 2020: the share of its runs of four words
    that stood in it before) is more than a half.
    """
    said = _said(answer.lower())
    runs = [tuple(said[a : a + N]) for a in range(len(said) - N + 1)]
    return bool(runs) and 1 - len(set(runs)) / len(runs) > REPEATED


def _said(text: str) -> list[str]:
    """The words of a text, and the characters of a part that is too long for one and most of the text; all
    characters of a text without words.
    """
    characters = "".join(text.split())
    if not words(text):
        return [*characters]
    least = max(LONGEST_WORD, len(characters) / 2)  # the lines of a table are shorter
    parts = (found[0] for found in PART.finditer(text))
    read = ([*part] if len(part) > least else [part] if WORD.match(part) else [] for part in parts)
    return [one for several in read for one in several]


def answered(steps: Mapping[str, Step]) -> Iterator[Step]:
    """The steps in which a model gave a row's answers: a control's or an author's say nothing of one."""
    for step in steps.values():
        settings = step.settings
        if isinstance(settings, AnswerSettings) and (settings.model or settings.endpoint):
            yield step


def read(folder: Path) -> Signs:
    """The signs in a folder of answers."""
    rows: list[dict[str, Any]] = read_json_lines(folder / "answers.jsonl")
    return signs([text for row in rows for text in row["turns"]])


def exploded(measured: Mapping[str, Any], limits: Health) -> str:
    """What is told of a training's largest gradient norm, "" where it is within the limit, or nobody told."""
    largest = measured.get("grad_norm", {"largest": 0.0})
    if largest["largest"] <= limits.grad_norm:
        return ""
    return f"gradient norm {largest['largest']:.3g} at step {largest['step']}, over {limits.grad_norm:g}"
