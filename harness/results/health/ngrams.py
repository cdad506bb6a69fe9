"""Training prompts that share a run of words with a benchmark's questions.

A prompt overlaps where n words in a row of one of its messages stand in a question, or where a message is a
whole question of fewer words. n is the 5th percentile of the questions' lengths in words, at least 8 and at
most 13: GPT-3's rule (Brown et al., 2020, appendix C), which below 8 would find common phrases, and above 13
hardly anything that was reworded. Words are lower case and without punctuation, as there; a CJK sign is one.
"""

import re
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

FEWEST, MOST, PERCENTILE = 8, 13, 5
BLOCK = 1 << 22  # words that are searched at once
CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
WORD = re.compile(rf"[{CJK}]|[^\W{CJK}]+")
Turns = Sequence[str]  # the texts of a question's turns, or of a prompt's messages


class Overlap(NamedTuple):
    """How many of `prompts` share n words in a row with one of `questions`, and with how many of these."""

    n: int
    prompts: int
    overlapping: int
    questions: int
    found: int


def overlap(prompts: Iterable[Turns], questions: Sequence[Turns]) -> Overlap:
    """The prompts that overlap with questions."""
    search = _Search([[words(turn) for turn in turns] for turns in questions])
    count = 0
    for count, messages in enumerate(prompts, 1):
        search.add(count, messages)
    search.flush()
    return Overlap(search.n, count, len(search.prompts), len(questions), len(search.questions))


def normal(text: str) -> str:
    """A text without case and punctuation, by which two are one."""
    return " ".join(words(text)) or text.strip()


def words(text: str) -> list[str]:
    return WORD.findall(text.lower())


class _Search:
    """Prompts on their way past the questions; `prompts` and `questions` are those that overlap."""

    def __init__(self, asked: Sequence[Sequence[list[str]]]) -> None:
        self.prompts, self.questions = set[int](), set[int]()
        lengths = [len(turn) for turns in asked for turn in turns]
        self.n = int(np.clip(np.percentile(lengths or [MOST], PERCENTILE), FEWEST, MOST))
        self.known: dict[str, int] = {}  # words of questions from 1; 0 is any other
        self.runs: dict[bytes, set[int]] = defaultdict(set)  # n words -> the questions that hold them
        self.short: dict[tuple[str, ...], set[int]] = defaultdict(set)  # whole questions of fewer
        self.ids, self.starts, self.numbers = array("q"), list[int](), list[int]()
        for question, turns in enumerate(asked):
            for turn in turns:
                ids = np.array([self.known.setdefault(w, len(self.known) + 1) for w in turn], dtype=np.int64)
                if 0 < len(turn) < self.n:
                    self.short[tuple(turn)].add(question)
                for a in range(len(turn) - self.n + 1):
                    self.runs[ids[a : a + self.n].tobytes()].add(question)

    def add(self, number: int, messages: Turns) -> None:
        """Take a prompt."""
        known = self.known
        self.starts.append(len(self.ids))
        self.numbers.append(number)
        for message in messages:
            said = words(message)
            if len(said) >= self.n:
                self.ids.extend([known.get(word, 0) for word in said])
                self.ids.append(0)  # no run goes from one message into the next
            elif found := self.short.get(tuple(said)):
                self._overlaps(number, found)
        if len(self.ids) > BLOCK:
            self.flush()

    def flush(self) -> None:
        """Look through the prompts that were taken since the last time."""
        ids, n = np.array(self.ids, dtype=np.int64), self.n
        others = np.concatenate([[0], np.cumsum(ids == 0)])
        # Most runs hold a word that no question has: only the rest is looked up.
        for a in np.flatnonzero(others[n:] == others[:-n]).tolist():
            if found := self.runs.get(ids[a : a + n].tobytes()):
                self._overlaps(self.numbers[bisect_right(self.starts, a) - 1], found)
        self.ids, self.starts, self.numbers = array("q"), [], []

    def _overlaps(self, prompt: int, questions: set[int]) -> None:
        self.prompts.add(prompt)
        self.questions |= questions
