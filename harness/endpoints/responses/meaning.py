"""What a status other than 200 means: a prompt without an answer, another attempt, or one line and the end.

400 content_filter                      the prompt was filtered
400 "maximum context length is 4096"    prompt and reply do not fit
400 "unsupported parameter: max_tokens" the limit of a reply has another name here
400, 403, 413, 422, 451 and any words   this prompt was refused: "rejected", with the words
408, 409, 424, 425, 429, 498, 499, 5xx  again
429 "request too large for this model"  prompt and reply are more than is taken in a minute: they do not fit
401, 402, 404 and all others            the end: no other prompt would fare better
"""

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from benchmarks.api import FILTERED, REJECTED
from harness.endpoints import context_limit
from harness.endpoints.responses.outcomes import Failed, NoRoom, OtherField
from harness.endpoints.responses.page import Page

# And all of 5xx. 424 is TGI's of a generation that failed, 498 and 499 are Groq's of no capacity.
RETRIED = (408, 409, 424, 425, 429, 498, 499)
OVERLOADED = (429, 503, 529)
OF_A_PROMPT = (400, 403, 413, 422, 451)
# Codes of a prompt that was filtered: OpenAI's and Azure's, Alibaba's, Zhipu's, Google's.
FILTERED_PROMPT = {
    "content_filter",
    "content_policy_violation",
    "invalid_prompt",
    "responsibleaipolicyviolation",
}
FILTERED_PROMPT |= {"data_inspection_failed", "datainspectionfailed", "1301", "prohibited_content"}
NO_MONEY = "insufficient_quota"  # comes as a 429, which waiting would mend
# Of a model that thinks first, and had no room for an answer after that.
OUT_OF_ROOM = "could not finish the message because max_tokens"
UNKNOWN = (
    "(?:unsupported|not support|not permitted|unrecognized|unknown|unexpected|extra_forbidden|deprecated"
    "|not allowed)"
)


def _either_way(names: str) -> re.Pattern[str]:
    """Names, and not far from them that a server does not know them."""
    return re.compile(rf"(?s){UNKNOWN}.{{0,80}}\b{names}\b|\b{names}\b.{{0,80}}{UNKNOWN}")


FIELDS = _either_way("(?:max_tokens|max_completion_tokens)")
SAMPLING = _either_way("(?:temperature|top_p)")
VERSION = re.compile(r"/(v\d+\w*|openai)(/|$)")
# "Please try again in 7m12s", "retry after 20 seconds"; of Google "retryDelay": "34.07s".
WAIT = re.compile(
    r"(?:retrydelay\W+|(?:try again|retry) (?:in|after) )((?:\d+(?:\.\d+)? ?(?:ms|[dhms])[a-z]* ?)+)"
)
LENGTH = re.compile(r"(\d+(?:\.\d+)?) ?(ms|[dhms])")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def of_prompt(page: Page, max_tokens: int) -> tuple[str, str]:
    """The finish reason of a prompt that the server did not take, and its words; ("", ""): the status says
    something else. NoRoom, OtherField: as their names say.
    """
    told = page.all_words
    if context_limit.is_too_much(page.status, told):
        raise NoRoom(context_limit.lowered(told, max_tokens))
    if page.status not in OF_A_PROMPT or NO_MONEY in page.codes:
        return "", ""
    if OUT_OF_ROOM in told:
        return "length", page.words
    if FIELDS.search(told):
        raise OtherField(page.words)
    if context_limit.is_refusal(page.status, told):
        raise NoRoom(context_limit.lowered(told, max_tokens))
    if page.codes & FILTERED_PROMPT:
        return FILTERED, page.words
    return REJECTED, _with_hint(page, "`temperature: null` sends none" if SAMPLING.search(told) else "")


def failed(page: Page, now: float) -> Failed | None:
    """The failure of a status that may be another one next time; None for all others."""
    passes = page.status in RETRIED or page.status >= 500
    if passes and NO_MONEY not in page.codes and not context_limit.is_too_much(page.status, page.all_words):
        after = retry_after(page, now) if page.status in OVERLOADED else None
        return Failed(f"status {page.status}", page.words, after)
    return None


def final(page: Page, base_url: str, api_key_env: str) -> str:
    """One line for the person at the keyboard, on a status that ends all, without who it is that said it."""
    if page.status == 401:
        said = f" ({page.words})" if page.words else ""
        return f"status 401, wrong key or no access; {let_in_by(base_url, api_key_env)}{said}"
    path = f"/{base_url.partition('//')[2].partition('/')[2]}"
    hint = ""
    if page.status in (404, 405) and "/chat/completions" in path:
        hint = "base_url ends before /chat/completions"
    elif page.status in (404, 405) and not VERSION.search(path):
        hint = f"base_url mostly ends in /v1: {base_url.rstrip('/')}/v1"
    return _with_hint(page, hint)


def _with_hint(page: Page, hint: str) -> str:
    said = ", ".join(filter(None, (f"status {page.status}", page.words)))
    return f"{said}; {hint}" if hint else said


def let_in_by(base_url: str, api_key_env: str) -> str:
    """What a server was sent to be let in, for the person whom it did not let in."""
    if "@" in urlsplit(base_url).netloc:  # one header holds either
        return f"the URL's user and password are sent in place of the key in {api_key_env}"
    return f"the key is read from {api_key_env}"


def retry_after(page: Page, now: float) -> float:
    """The seconds that a server asks to wait, in a header or in its words; 0 where it names none."""
    named = _of_headers(page.headers, now), _of_words(page.all_words)
    return next((seconds for seconds in named if 0 < seconds < math.inf), 0.0)


def _of_headers(headers: Mapping[str, str], now: float) -> float:
    """As a number or a date, or in milliseconds as OpenAI and Azure have it."""
    milliseconds, named = headers.get("retry-after-ms", ""), headers.get("retry-after", "0")
    with suppress(ValueError):
        return float(milliseconds) / 1000
    with suppress(ValueError):
        return float(named)
    try:
        return parsedate_to_datetime(named).timestamp() - now
    except (ValueError, OverflowError, OSError):
        return 0.0


def _of_words(told: str) -> float:
    found = WAIT.search(told)
    return sum(float(n) * SECONDS[unit] for n, unit in LENGTH.findall(found[1])) if found else 0.0
