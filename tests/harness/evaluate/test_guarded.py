"""Tokens of chat templates in a text under judgment are broken up, and nothing else is."""

from pathlib import Path

import pytest

from harness.evaluate.judgments import guarded

LISTED = Path(__file__).with_name("template_tokens.txt").read_text(encoding="utf-8").splitlines()
TOKENS = [line for line in LISTED if not line.startswith("# ")]
OTHERS = [
    "[[A>>B]] [[10]] Rating: [[5]]",
    "<|The Start of Assistant A's Answer|>",
    "[User Question] [The Start of Assistant's Answer]",
    "a < b | c > d, x[1], <b>bold</b>, <think>no</think>, [x](y), a || b",
    "{'model': 'model_1', 'rank': 1}",
]


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_is_broken_up_wherever_it_stands(token: str) -> None:
    message, count = guarded({"role": "user", "content": f"a{token}b {token}{token}"})
    assert count == 3 and token not in message["content"]
    assert message["content"].replace(" ", "") == f"a{token}b{token}{token}"


@pytest.mark.parametrize("text", OTHERS)
def test_what_is_no_token_stays(text: str) -> None:
    assert guarded({"role": "user", "content": text}) == ({"role": "user", "content": text}, 0)
