"""What a server's refusal says of its context, and how long a reply may then be.

    "maximum context length is 4096 tokens. However, you requested 4200 tokens (104 in the messages, 4096 in
     the completion)"                              ->  lowered(..., 4096) == 3992

Servers word it in their own ways (OpenAI's, Anthropic's, vLLM's, SGLang's, TGI's, llama.cpp's, TensorRT's).
Where one does not say how long the prompt is, half of what was asked for is tried.
"""

import re

STATUSES, TOO_MANY = (400, 413, 422), 429
TOLD = re.compile(
    r"context_length|max_tokens is too large|max_new_tokens|(prompt|input)[a-z ]{,16} too long"
    r"|exceed_context_size|(max(imum)?|model's|available) context|context (length|size|window|limit)"
    r"|max(imum)? model length|max_(seq_len|num_tokens|total_tokens)\b|session len|string too long"
    r"|input length.{,40} exceeds|input length limit|is longer than the maximum|exceed max message tokens"
    r"|must have less than \d+ tokens|exceeds the maximum number of tokens|range of (max_tokens|input length)"
    r"|max_tokens(: \d+ >|`? must be less| \(\d+\) should not exceed)|too many tokens"
    r"|request[ _]too[ _]large|maximum prompt length|token limit|contextwindow|maxoutputtokens"
    r"|input token count|number of input tokens|tokens in (the )?prompt exceed|reduce the length of"
    r"|too large to process|超长"
)
NUMBER = r"(\d[\d,]*)"
CONTEXT = re.compile(
    rf"context (?:length|size|window)\D{{0,30}}{NUMBER}|max_new_tokens` must be <= {NUMBER}|n_ctx\W+{NUMBER}"
)
PROMPT = re.compile(
    rf"{NUMBER} (?:in the messages|in your prompt|of text input|input tokens|tokens from the input)"
    rf"|{NUMBER} `inputs` tokens|messages resulted in {NUMBER}|n_prompt_tokens\W+{NUMBER}"
)
LIMIT = r"max(?:imum|_completion|_output|_new)?[_ ]tokens"
AT_MOST = "(?:less than or equal to|expected a value <=|exceeds the model limit of)"
COMPLETION = re.compile(
    rf"supports at most {NUMBER} completion tokens|max_tokens: \d+ > {NUMBER}"
    rf"|range of max_tokens is \[1, {NUMBER}|{LIMIT}\b.{{0,60}}?{AT_MOST} `?{NUMBER}"
)
LEAST = 64  # tokens of a reply; with less room there is none


def is_refusal(status: int, told: str) -> bool:
    """Whether prompt and reply do not fit, from the status and the message in lower case."""
    return status in STATUSES and (is_told(told) or bool(COMPLETION.search(told)))


def is_told(told: str) -> bool:
    """Whether a message in lower case is about what does not fit."""
    return bool(TOLD.search(told))


def is_too_much(status: int, told: str) -> bool:
    """Whether one request is more than the server takes in a minute, so that no wait mends it."""
    return status == TOO_MANY and "request too large" in told


def lowered(told: str, max_tokens: int) -> int:
    """The limit of a reply to ask for in place of `max_tokens`; 0 where there is no room for one."""
    completion, context, prompt = (_number(pattern, told) for pattern in (COMPLETION, CONTEXT, PROMPT))
    if completion is not None:
        room = completion
    # "At least 1 input tokens": counted no further than it took to refuse.
    elif context is None or prompt is None or "at least" in told:
        room = max_tokens // 2
    else:
        room = context - prompt
    return room if LEAST <= room < max_tokens else 0


def _number(pattern: re.Pattern[str], told: str) -> int | None:
    found = pattern.search(told)
    return next((int(n.replace(",", "")) for n in found.groups() if n), None) if found else None
