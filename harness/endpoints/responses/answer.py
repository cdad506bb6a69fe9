"""The reply in a body of chat completions.

A body that holds none is a failure, and what is left after the last attempt is a reply that says why there is
none: one prompt that a server stumbles over need not end all others.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.api import FILTERED, NOT_TAKEN, REFUSED, REJECTED, UNREADABLE
from harness.common.text import cut
from harness.endpoints.replies import EndpointReply
from harness.endpoints.responses.outcomes import Failed
from harness.endpoints.responses.page import Page, clean, said
from harness.endpoints.responses.secrets import hide

FILTERS = (
    *("content_filter", "content-filter", "safety", "recitation", "sensitive", "blocklist"),
    *("prohibited_content", "spii", "guardrail_intervened", "blocked", "content_filtered", "error_toxic"),
)
CUTS = (
    *("length", "model_length", "max_length", "max_tokens", "max_output_tokens", "max_new_tokens"),
    *("token_limit", "model_context_window_exceeded", "error_limit"),
)
# Of an answer that the server gave up: OpenRouter's, vLLM's, DeepSeek's, Zhipu's and others' words, and those
# that are ours for what is no answer.
BROKEN_OFF = (
    *("error", "abort", "aborted", "cancelled", "canceled", "timeout", "failed", "network_error"),
    *("insufficient_system_resource", "malformed_function_call", *NOT_TAKEN),
)
BESIDE = {
    ("reasoning_content", "reasoning"): "thoughts alone",
    ("tool_calls", "function_call"): "calls of tools alone",
}
TEXTS = ("text", "output_text")  # kinds of the parts of a message
LONGEST_NAME = 200  # characters of a model's name, a fingerprint or a finish reason
MOST_TOKENS = 10**9  # that a server can mean
LEAST_LOGPROB = -9999.0  # vLLM's word for minus infinity, which no JSON has
ROUNDED = 1e-3  # above 0 that a log-prob of a token that is certain may be
MOST_TOGETHER = 1.01  # of the probabilities of a token's alternatives, as servers round them
MALFORMED, BROKEN, GARBLED = "malformed replies", "replies broken off by the server", "garbled replies"


def used_of(body: Mapping[str, Any] | None) -> tuple[int, int] | None:
    """Tokens of the prompt and of the reply; None where the server does not say, or cannot mean it: none at
    all, or true and false, which are numbers to Python alone.
    """
    match (body or {}).get("usage"):
        case {"prompt_tokens": int(prompt), "completion_tokens": int(completion)}:
            meant = 0 <= prompt < MOST_TOKENS and 0 <= completion < MOST_TOKENS and prompt + completion > 0
            if meant and not isinstance(prompt, bool) and not isinstance(completion, bool):
                return prompt, completion
    return None


def reply_of(key: str, logprobs_asked: bool, page: Page, latency_s: float, number: int) -> EndpointReply:
    """The reply in a page of status 200; `Failed` where it holds none."""
    body = page.body or {}
    prompt_tokens, completion_tokens = used_of(body) or (0, 0)

    def reply(
        text: str, finish: str, told: str = "", logprobs: dict[str, float] | None = None
    ) -> EndpointReply:
        return EndpointReply(
            key=key,
            text=clean(text),
            logprobs=logprobs or {},
            finish_reason=finish,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            model=_name(body.get("model")),
            fingerprint=_name(body.get("system_fingerprint")),
            latency_s=latency_s,
            attempts=number,
            told=told,
        )

    if page.error:
        raise Failed("errors in replies", page.words, instead=reply("", REJECTED, page.words))
    choice = _first(body.get("choices"))
    finish, given = _finish(choice.get("finish_reason")), choice.get("message")
    message: dict[str, Any] = given if isinstance(given, dict) else {}
    if message is not given and finish == FILTERED:
        # Gemini says of a reply that it filtered only that it did.
        return reply("", FILTERED)
    refusal = message.get("refusal") or _refusal(message.get("content"))
    text = _text(refusal or message.get("content")) if message and message is given else None
    if text is None:
        raise Failed(MALFORMED, page.words, instead=reply("", UNREADABLE, page.words))
    text = hide(text, page.secrets)  # of several parts
    fault = choice.get("error")
    if fault or finish.lower() in BROKEN_OFF:
        words = said(fault, page.secrets) if fault else ""
        told = f"{BROKEN}: {words}" if words else BROKEN
        raise Failed(BROKEN, words or page.words, instead=reply("", UNREADABLE, told))
    try:
        logprobs = _logprobs(choice) if logprobs_asked else {}
    except (TypeError, ValueError, LookupError, AttributeError):
        raise Failed(
            MALFORMED, "log-probs that are none", instead=reply(text, UNREADABLE, MALFORMED)
        ) from None
    if clean(text) != text or not page.whole:
        raise Failed(GARBLED, cut(text), instead=reply(text, UNREADABLE, GARBLED))
    return reply(text, REFUSED if refusal else finish, "" if text else _instead(message), logprobs)


def _instead(message: Mapping[str, Any]) -> str:
    """What a message without a text holds."""
    held = (what for names, what in BESIDE.items() if any(message.get(name) for name in names))
    return next(held, "")


def _first(choices: Any) -> dict[str, Any]:
    """The choice of index 0, wherever it stands; the one in front where none has an index."""
    given = [one for one in choices if isinstance(one, dict)] if isinstance(choices, list) else []
    return next((one for one in given if one.get("index") == 0), given[0] if given else {})


def _finish(given: Any) -> str:
    """A finish reason in OpenAI's words, as far as those go."""
    finish = _name(given.get("type") if isinstance(given, dict) else given) or "stop"  # SGLang's own form
    word = finish.lower().partition(":")[0].strip()  # "content_filter: PROHIBITED_CONTENT"
    if word in FILTERS:
        return FILTERED
    return "length" if word in CUTS else finish


def _text(content: Any) -> str | None:
    """The text of a message, which may come in parts; None where it is none."""
    if isinstance(content, list):
        parts = list(map(_text_of_part, content))
        return None if None in parts else "".join(filter(None, parts))
    return content or "" if content is None or isinstance(content, str) else None


def _text_of_part(part: Any) -> str | None:
    """The text of a part; None where it has none, though it is a text. Thoughts and images hold no answer."""
    if isinstance(part, dict):
        part = part.get("text") if part.get("type", "text") in TEXTS else ""
    return part if isinstance(part, str) else None


def _refusal(content: Any) -> str:
    """What a model says in place of an answer, where that is a part of the message."""
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    return "".join(words for part in parts if isinstance(words := part.get("refusal"), str))


def _name(given: Any) -> str:
    return cut(clean(str(given)), LONGEST_NAME) if isinstance(given, str | int) else ""


def _logprobs(choice: Mapping[str, Any]) -> dict[str, float]:
    first = ((choice.get("logprobs") or {}).get("content") or [{}])[0]
    return _added_up(first.get("top_logprobs") or ())


def _added_up(alternatives: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Token -> log-prob; several ids may have one text, whose probabilities add up."""
    found: dict[str, float] = {}
    for one in alternatives:
        token, logprob = clean(str(one["token"])), float(one["logprob"])
        if not logprob <= ROUNDED:  # NaN is not, either
            raise ValueError("a log-prob is at most 0")
        low, high = sorted((found.get(token, -math.inf), max(LEAST_LOGPROB, logprob)))
        found[token] = high + math.log1p(math.exp(low - high)) if low > -math.inf else high
    # Some servers that have none send 0 for each, by which every verdict would be a tie.
    if sum(map(math.exp, found.values())) > MOST_TOGETHER:
        raise ValueError("the probabilities of one token are 1 together at most")
    return found
