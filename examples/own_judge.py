"""Politeness: a judge in one file, computed here and not asked for over a network.

A kind that is `computed` is a function from the messages that any judge would get to its reply; the benchmark
reads the verdict out of it, as it would of GPT-4's. MT-Bench wants "Rating: [[n]]", n in 1-10.

    bench run SUITE --judge-file examples/own_judge.py --set benchmarks.mt-bench.judge=politeness
"""

from collections.abc import Sequence

from benchmarks.api import Message, Reply
from harness.evaluate.judges import computed

POLITE = ("please", "thank", "welcome", "glad", "sorry")


def judge(messages: Sequence[Message]) -> Reply:
    text = messages[-1]["content"].lower()
    return Reply(f"Rating: [[{min(10, 1 + 3 * sum(word in text for word in POLITE))}]]")


JUDGE = computed("politeness", judge)
