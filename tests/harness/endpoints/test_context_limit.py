"""What servers say when prompt and reply do not fit, as each of them words it."""

import pytest

from harness.endpoints.context_limit import is_refusal, lowered

OPENAI = (
    "This model's maximum context length is 4096 tokens. However, you requested 4200 tokens (104 in the "
    "messages, 4096 in the completion). Please reduce the length of the messages or completion."
)
OPENAI_PROMPT = (
    "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens."
)
OPENAI_CAP = "max_tokens is too large: 5000. This model supports at most 4096 completion tokens, whereas you"
VLLM = (
    "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's maximum context length is 4096 "
    "tokens and your request has 104 input tokens (4096 > 4096 - 104)."
)
VLLM_AT_LEAST = (
    "This model's maximum context length is 4096 tokens. However, you requested 4096 output tokens and your "
    "prompt contains at least 1 input tokens, for a total of at least 4097 tokens."
)
SGLANG = (
    "Requested token count exceeds the model's maximum context length of 4,096 tokens. You requested a total "
    "of 4,200 tokens: 104 tokens from the input messages and 4096 tokens for the completion."
)
TGI = (
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 104 `inputs` tokens "
    "and 4096 `max_new_tokens`"
)
LLAMA_CPP = (
    "{'message': 'the request exceeds the available context size', 'type': 'exceed_context_size_error', "
    "'n_prompt_tokens': 5000, 'n_ctx': 4096}"
)


@pytest.mark.parametrize(
    ("told", "asked", "room"),
    [
        (OPENAI, 4096, 3992),
        (VLLM, 4096, 3992),
        (SGLANG, 4096, 3992),
        (TGI, 4096, 3992),
        (OPENAI_CAP, 5000, 4096),
        (VLLM_AT_LEAST, 4096, 2048),  # the prompt may have any length
        ("The context length is exceeded", 4096, 2048),
        (OPENAI_PROMPT, 4096, 0),
        (LLAMA_CPP, 4096, 0),
        (OPENAI.replace("104", "4090"), 4096, 0),  # six tokens are no answer
        ("The context length is exceeded", 64, 0),
    ],
)
def test_a_refusal_says_how_long_a_reply_may_be(told: str, asked: int, room: int) -> None:
    assert is_refusal(422 if told == TGI else 400, told.lower())
    assert lowered(told.lower(), asked) == room


@pytest.mark.parametrize(
    ("status", "told"),
    [(400, "unknown field 'top_k'"), (500, OPENAI.lower()), (404, "the model does not exist")],
)
def test_other_errors_are_no_refusals(status: int, told: str) -> None:
    assert not is_refusal(status, told)
