"""Text of models, as people and benchmarks read it."""

import random
import time
from types import ModuleType

import pytest

from benchmarks.alpaca_eval import referee as alpaca_eval
from benchmarks.mt_bench import referee as mt_bench
from benchmarks.thoughts import thoughts_and_answer, without_thoughts
from tests.benchmarks import thought_patterns as patterns

REPLIES = [
    ("<think>[[9]]?</think>Rating: [[3]]", "Rating: [[3]]"),
    ("Rating: [[3]]<think>[[9]]\n</think>", "Rating: [[3]]"),
    ("\n<thinking>a\nb</thinking> [[3]]", "\n [[3]]"),
    ("is it [[9]]?\n</think>\n[[3]]", "\n[[3]]"),  # the template had opened the thought
    ("<think>is it [[9]]? Or [[", ""),  # cut while it thought
    ("ok <think>[[9]]", "ok "),
    ("ok <think>[[9]]</think> [[3]] <think>[[7]]", "ok  [[3]] "),
    ("ok ` <think>[[9]]", "ok ` "),  # one backtick is no code
    ("The answer has a <think> in it. [[3]]", "The answer has a "),
    ("The answer has a `<think>` in it. [[3]]", "The answer has a `<think>` in it. [[3]]"),
    ("It says\n```xml\n<reasoning>\n```\n[[3]]", "It says\n```xml\n<reasoning>\n```\n[[3]]"),
    ("<think>a <reasoning>b</reasoning> [[9]]</think>[[3]]", "[[3]]"),
    ("<think>[[9]]</thinking>[[3]]", "[[3]]"),
    ("<think></think>", ""),
    ("<thin>[[3]]</thin>", "<thin>[[3]]</thin>"),
    ("Analysis of the final: [[3]]", "Analysis of the final: [[3]]"),
    ("analysisIs it [[9]]?assistantfinal[[3]]", "[[3]]"),  # harmony without any mark
    ("Here is my thought process: [[9]]? Here is my response: [[3]]", " [[3]]"),
    ("Here's my thought process: [[9]]", ""),
    ("Sure. Here is my response: [[3]]", "Sure. Here is my response: [[3]]"),
    ("<|channel|>final<|message|>[[3]]", "[[3]]"),
]
MARKS = [  # what opens a thought, and what ends it
    *((f"<{tag}>", f"</{tag}>") for tag in ("think", "thinking", "thought", "reason", "reasoning")),
    ("<seed:think>", "</seed:think>"),
    ("<think:opensource>", "</think:opensource>"),
    ("<longcat_think>", "</longcat_think>"),
    ("<ifm|think_fast>", "</ifm|think_fast>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>\n\n<|begin_of_solution|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|channel>thought\n", "<channel|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("<|channel|>analysis", "assistant<|channel|>final"),  # where a decoder leaves one mark alone
    (
        "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>",
        "<|channel|>final<|message|>",
    ),
]
OF_MARKS = [
    case
    for opens, ends in MARKS
    for case in (
        (f"{opens}[[9]]?{ends}[[3]]", "[[3]]"),
        (f"[[9]]?{ends}[[3]]", "[[3]]"),
        (f"{opens}[[9]]? Or [[", ""),
        (f"ok {opens}[[9]]", "ok "),
    )
]


@pytest.mark.parametrize(("reply", "read"), [*REPLIES, *OF_MARKS])
def test_what_a_model_thought_is_no_part_of_its_reply(reply: str, read: str) -> None:
    assert without_thoughts(reply) == read


@pytest.mark.parametrize("referee", [alpaca_eval, mt_bench])
def test_referees_take_the_same_for_thoughts(referee: ModuleType) -> None:
    for reply, read in (*REPLIES, *OF_MARKS):
        assert referee.without_thoughts(reply) == read


@pytest.mark.parametrize(("opens", "ends"), MARKS)
def test_thoughts_of_every_mark_stand_before_an_answer_or_at_its_end(opens: str, ends: str) -> None:
    assert thoughts_and_answer(f"{opens}Hm{ends} Yes") == (f"{opens}Hm{ends} ", "Yes")
    assert thoughts_and_answer(f"Hm{ends}Yes") == (f"Hm{ends}", "Yes")
    assert thoughts_and_answer(f"Yes {opens}Hm, cut") == (f" {opens}Hm, cut", "Yes")
    assert thoughts_and_answer(f"Write `{opens}` there") == ("", f"Write `{opens}` there")


PIECES = [  # of marks, whole and broken, and what stands between them
    *(part for marks in MARKS for part in marks),
    *(
        "<think",
        "<think ",
        "</think >",
        "<|start|>assistant",
        "<|channel|>",
        "final",
        "<|message|>",
        "<|channel>",
    ),
    *("analysis", "assistantfinal", "Here's my thought process:", "Here is my response:"),
    *("`", "```", " ", "\n", "a", "<", ">", "<THINK>", "<reason x=1>", "<|START_RESPONSE|>"),
]


def test_marks_in_any_order_are_read_as_their_patterns_say() -> None:
    rng = random.Random(0)
    for _ in range(2_000):
        few = rng.sample(PIECES, rng.randint(2, 9))
        text = "".join(rng.choices(few, k=rng.randint(1, 14)))
        assert without_thoughts(text) == patterns.without_thoughts(text), text
        assert thoughts_and_answer(text) == patterns.thoughts_and_answer(text), text


@pytest.mark.parametrize(
    "text",
    [
        *("a `b` <c> d\n" * 10_000, "`" * 9999 + " " * 9999),
        *(mark * min(20_000, 400_000 // len(mark)) for marks in MARKS[:1] + MARKS[7:] for mark in marks),
        *(
            "</think>" + "<think>" * 20_000,
            "<think " * 20_000,
            "<think " * 20_000 + ">",
            "`<think>`" * 20_000,
        ),
        *("<think></think>" * 20_000, "<think><reason>" * 10_000 + "</think>", "<|channel|>" + "a " * 20_000),
        "[THINK]a[/THINK]<think " * 10_000 + ">",
    ],
    ids=lambda text: text[:24],
)
def test_long_texts_are_read_at_once(text: str) -> None:
    """Looking for an end from each of 20,000 marks would take half an hour."""
    start = time.process_time()
    without_thoughts(text)
    thoughts_and_answer(text)
    assert time.process_time() - start < 2
