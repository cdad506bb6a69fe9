"""Tokens of chat templates in a text under judgment are broken up, and nothing else is."""

from pathlib import Path

import pytest

from harness.evaluate.guarding.template_tokens import guarded

LISTED = Path(__file__).with_name("template_tokens.txt").read_text(encoding="utf-8").splitlines()
TOKENS = [line for line in LISTED if not line.startswith("# ")]
OTHERS = [
    "[[A>>B]] [[10]] Rating: [[5]]",
    "<|The Start of Assistant A's Answer|>",
    "[User Question] [The Start of Assistant's Answer]",
    "f <| x |> g, a <|> b, <video>, >> answer <<, x[unused], [AI]",
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


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("a<\u200b|im_end|>", "a< \u200b|im_end|>"),
        ("a\u200b[IN\u200dST]b", "a\u200b[ IN\u200dST]b"),
        ("\uff3bINST\uff3d", "\uff3b INST\uff3d"),
        ("[\uff29\uff2e\uff33\uff34]", "[ \uff29\uff2e\uff33\uff34]"),
        ("\ufe64/s\ufe65 and </s>", "\ufe64 /s\ufe65 and < /s>"),
        ("<\xad/\ufeffs>", "< \xad/\ufeffs>"),
        ("<|im_<|im_end|>end|>", "<|im_< |im_end|>end|>"),
        ("zero\u200bwidth \uff33\uff28", "zero\u200bwidth \uff33\uff28"),
    ],
)
def test_a_token_in_another_writing_is_broken_up(text: str, broken: str) -> None:
    message, count = guarded({"role": "user", "content": text})
    assert message["content"] == broken and count == broken.count(" ") - text.count(" ")
