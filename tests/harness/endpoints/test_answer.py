"""A body of chat completions: what a server cannot mean is not taken for it."""

import json
import math
from typing import Any

import pytest

from benchmarks.api import UNREADABLE
from harness.endpoints.replies import EndpointReply
from harness.endpoints.responses.answer import reply_of, used_of
from harness.endpoints.responses.outcomes import Failed
from harness.endpoints.responses.page import page_of


def reply(choices: list[dict[str, Any]], logprobs: bool = False) -> EndpointReply:
    return reply_of("", logprobs, page_of(200, {}, json.dumps({"choices": choices}).encode()), 0.0, 1)


def choice(text: str = "Yes", **more: Any) -> dict[str, Any]:
    return {"index": 0, "message": {"content": text}, "finish_reason": "stop", **more}


@pytest.mark.parametrize("word", ["length", "LENGTH", "Length", "MAX_TOKENS", "token_limit"])
def test_a_reply_that_was_cut_is_one_in_any_spelling(word: str) -> None:
    assert reply([choice(finish_reason=word)]).finish_reason == "length"


def test_of_several_choices_the_first_is_the_one_of_index_0() -> None:
    assert reply([choice("second", index=1), choice("first")]).text == "first"
    assert reply([choice("one", index=1), choice("two", index=2)]).text == "one"
    assert reply([choice("one", index=None), choice("two", index=None)]).text == "one"


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 0}, (10, 0)),
        ({"prompt_tokens": 0, "completion_tokens": 5}, (0, 5)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),
        ({"prompt_tokens": True, "completion_tokens": 5}, None),
        ({"prompt_tokens": 10, "completion_tokens": False}, None),
        ({"prompt_tokens": "10", "completion_tokens": "5"}, None),
    ],
)
def test_a_usage_that_nobody_can_mean_is_not_known(
    usage: dict[str, Any], tokens: tuple[int, int] | None
) -> None:
    assert used_of({"usage": usage}) == tokens


@pytest.mark.parametrize(("m", "M", "whole"), [(0.5, 0.5, True), (0.7, 0.305, True), (0.7, 0.4, False)])
def test_alternatives_are_more_than_certain_in_no_reply(m: float, M: float, whole: bool) -> None:
    """Servers round, by which a sum may be a little over 1."""
    top = [{"token": t, "logprob": math.log(p)} for t, p in (("m", m), ("M", M))]
    of = [choice(logprobs={"content": [{"token": "m", "logprob": 0.0, "top_logprobs": top}]})]
    if whole:
        assert reply(of, logprobs=True).logprobs == pytest.approx({"m": math.log(m), "M": math.log(M)})
    else:
        with pytest.raises(Failed) as failed:
            reply(of, logprobs=True)
        assert failed.value.instead and failed.value.instead.finish_reason == UNREADABLE
