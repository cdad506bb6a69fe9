"""Training prompts that share words in a row with questions."""

import json
import random
import re
import time
from pathlib import Path

import pytest

from benchmarks.alpaca_eval import declaration as alpaca_eval
from harness.results.health.ngrams import Overlap, overlap

EIGHT = "one two three four five six seven eight"
LONG = f"zero {EIGHT} nine ten eleven twelve thirteen fourteen"


@pytest.mark.parametrize(
    ("prompts", "questions", "found"),
    [
        ([[f"Say: {EIGHT.upper()}!"]], [[f"({EIGHT})"]], Overlap(8, 1, 1, 1, 1)),  # case and punctuation
        ([[EIGHT.replace("five", "5")]], [[EIGHT]], Overlap(8, 1, 0, 1, 0)),
        ([["one two three four", "five six seven eight"]], [[EIGHT]], Overlap(8, 1, 0, 1, 0)),  # two messages
        ([["a", EIGHT], ["b"]], [["a b"], ["x", EIGHT]], Overlap(8, 2, 1, 2, 1)),  # of any message and turn
        (
            [["Who are you?"], ["Tell me: who are you?"]],
            [["who are you"]],
            Overlap(8, 2, 1, 1, 1),
        ),  # short: whole
        ([[LONG], [LONG[:60]]], [[LONG]] * 20, Overlap(13, 2, 1, 20, 20)),  # long questions: 13 words
        ([["", "?"]], [[""], ["!"]], Overlap(8, 1, 0, 2, 0)),  # nothing is in nothing
        ([["請問今天的天氣怎麼樣"]], [["今天的天氣怎麼樣"]], Overlap(8, 1, 1, 1, 1)),  # a sign is a word
        ([], [[EIGHT]], Overlap(8, 0, 0, 1, 0)),
    ],
)
def test_overlap_is_what_one_counts_by_hand(
    prompts: list[list[str]], questions: list[list[str]], found: Overlap
) -> None:
    assert overlap(prompts, questions) == found


def test_overlap_is_that_of_a_search_through_texts() -> None:
    """Words of two letters, so that a run of words is a run of text."""
    draw = random.Random(0)
    words = [a + b for a in "abc" for b in "de"]

    def text() -> str:
        return " ".join(draw.choices(words, k=draw.randint(8, 40)))

    questions = [[text()] for _ in range(200)]
    prompts = [[text(), text()] for _ in range(300)]
    found = overlap(prompts, questions)
    runs = [
        {" ".join(q[i : i + found.n]) for q in [turns[0].split()] for i in range(len(q) - found.n + 1)}
        for turns in questions
    ]
    texts = ["|".join(messages) for messages in prompts]
    hit = [{k for k, of in enumerate(runs) if any(run in text for run in of)} for text in texts]

    assert 0 < sum(map(bool, hit)) < 300
    assert found == Overlap(9, 300, sum(map(bool, hit)), 200, len(set().union(*hit)))


def test_all_of_self_instructs_tasks_are_found_in_alpaca_eval(shared_data: Path) -> None:
    """AlpacaEval holds the 252 tasks that Self-Instruct wrote for users; 805 questions against 60,480 prompts
    take seconds.
    """
    questions, _ = alpaca_eval.load(shared_data / "alpaca_eval", alpaca_eval.AlpacaEvalSettings())
    file = shared_data / "preference" / "self_instruct_user_oriented_252.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    prompts = [[f"{row['instruction']}\n{row['instances'][0]['input']}"] for row in rows]
    others = [[re.sub(r"\w+", lambda m: m[0][::-1] + "q", text)] for (text,) in prompts]
    began = time.process_time()
    found = overlap([*prompts, *others * 239], [q.turns for q in questions])

    assert found == Overlap(8, 252 * 240, 252, 805, 252)
    assert time.process_time() - began < 30  # 3 s on an idle core
