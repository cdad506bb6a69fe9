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
VLLM_PROMPT = "The decoder prompt (length 5000) is longer than the maximum model length of 4096."
TGI_PROMPT = "Input validation error: `inputs` must have less than 1024 tokens. Given: 1365"
TENSORRT = (
    "The sum of prompt length (104.0), query length (0) and max_tokens (4096) should not exceed "
    "max_num_tokens (4096)"
)
GEMINI = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
ANTHROPIC = "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"
ANTHROPIC_CAP = "max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens"
GROQ_CAP = "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens`"
GROQ_CAP_OF_LATE = "`max_completion_tokens` must be less than or equal to `8192`, the maximum value"
OPENAI_CAP_OF_LATE = (
    "Invalid value for 'max_tokens': integer above maximum value. Expected a value <= 16384, but got 20000"
)
MISTRAL_CAP = "'loc': ['body', 'max_tokens'], 'msg': 'Input should be less than or equal to 4096'"
BEDROCK_CAP = "The maximum tokens you requested exceeds the model limit of 4096. Try again with a lower one"
VERTEX_CAP = (
    "Unable to submit request because it has a maxOutputTokens value of 10000 but the supported range is "
    "from 1 (inclusive) to 8193 (exclusive)."
)
OPENROUTER = (
    "This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens (5000 "
    "of text input, 4000 in the output)."
)
DEEPSEEK_CAP = "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"


@pytest.mark.parametrize(
    ("told", "asked", "room"),
    [
        (ANTHROPIC_CAP, 100_000, 64_000),
        (GROQ_CAP, 16_000, 8192),
        (DEEPSEEK_CAP, 16_000, 8192),
        (GROQ_CAP_OF_LATE, 16_000, 8192),
        (OPENAI_CAP_OF_LATE, 20_000, 16_384),
        (MISTRAL_CAP, 16_000, 4096),
        (BEDROCK_CAP, 16_000, 4096),
        (VERTEX_CAP, 10_000, 5000),
        (OPENROUTER, 4000, 3192),
        (ANTHROPIC, 20_000, 10_000),
        (TENSORRT, 4096, 2048),
        (VLLM_PROMPT, 64, 0),
        (TGI_PROMPT, 64, 0),
        (GEMINI, 64, 0),
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
    [
        (400, "unknown field 'top_k'"),
        (400, "'max_tokens' is not supported with this model"),
        (500, OPENAI.lower()),
        (404, "the model does not exist"),
    ],
)
def test_other_errors_are_no_refusals(status: int, told: str) -> None:
    assert not is_refusal(status, told)
