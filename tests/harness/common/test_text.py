"""Text of models, as people and benchmarks read it."""

import pytest

from harness.common.text import without_thoughts


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        ("<think>[[9]]?</think>Rating: [[3]]", "Rating: [[3]]"),
        ("Rating: [[3]]<think>[[9]]\n</think>", "Rating: [[3]]"),
        ("\n<thinking>a\nb</thinking> [[3]]", "\n [[3]]"),
        ("[THINK][[9]][/THINK][[3]]", "[[3]]"),
        ("is it [[9]]?\n</think>\n[[3]]", "\n[[3]]"),  # the template had opened the block
        ("<think>is it [[9]]? Or [[", ""),  # cut while it thought
        ("The answer has a <think> in it. [[3]]", "The answer has a <think> in it. [[3]]"),
        ("<think></think>", ""),
    ],
)
def test_what_a_model_thought_is_no_part_of_its_reply(reply: str, read: str) -> None:
    assert without_thoughts(reply) == read
