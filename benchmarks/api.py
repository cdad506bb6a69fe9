"""What a benchmark is: data, and four pure functions.

    sampling(question) -> Sampling                 how an answer is drawn
    requests(question, answer, reference) -> [JudgeRequest | Score]; a Score is a verdict that needs no judge
    parse(request, reply) -> float | Unparsed      "could not parse" is a value
    aggregate(scores) -> {metric: value}           what could not be had is absent

Generating and judging are the harness's; a benchmark never knows which judge it talks to.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict


class Message(TypedDict):
    """One chat message, as chat templates and OpenAI-compatible servers take it."""

    role: str
    content: str


@dataclass(frozen=True)
class Question:
    """One item: the user's turns in order; `reference` holds an answer per turn where there is one."""

    id: str
    turns: tuple[str, ...]
    category: str = ""
    reference: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sampling:
    """How a model answers. temperature 0 is greedy; max_tokens counts the response of one turn."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 1024


@dataclass(frozen=True)
class Decoding:
    """How a judge replies. temperature 0 is greedy; max_tokens counts the reply.

    `top_logprobs` > 0 asks for that many alternatives of the reply's first token: the judge must give them.
    """

    temperature: float = 0.0
    max_tokens: int = 2048
    top_logprobs: int = 0


TOO_LONG, FILTERED, REFUSED = "too_long", "content_filter", "refusal"
REJECTED, UNREADABLE = "rejected", "unreadable"  # a prompt in words of the server's own; what it sent back
NOT_TAKEN = (
    TOO_LONG,
    REJECTED,
    UNREADABLE,
)  # which is no word of the model's, and may be otherwise next time
NO_ANSWER = {
    TOO_LONG: "too long for the server",
    FILTERED: "filtered",
    REFUSED: "refused",
    REJECTED: "refused by the server",
    UNREADABLE: "unreadable",
}


def no_answer(text: str, finish_reason: str) -> str:
    """Why a server's text is no answer ("filtered", "empty"); "" where it is one."""
    return NO_ANSWER.get(finish_reason, "" if text.strip() else "empty")


@dataclass(frozen=True)
class Answer:
    """A model's answer: per turn its text, its length in tokens, and whether it was cut at max_tokens.

    Of an answer from a server also, per turn, the finish reason, and the limit in tokens where its context
    left less than max_tokens (else 0). `thoughts`: per turn what was taken out of the text before it; `told`:
    what the server said in place of an answer; `beyond`: whether prompt and answer went beyond the positions
    that the model was trained on.
    """

    question: str
    turns: tuple[str, ...]
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]
    finish_reasons: tuple[str, ...] = ()
    limits: tuple[int, ...] = ()
    thoughts: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    beyond: tuple[bool, ...] = ()

    def missing(self, turn: int) -> str:
        """Why there is no conversation up to a turn, counted from 1: "refused"; "" where there is one.

        What a model itself leaves empty is an answer; only a server can refuse one.
        """
        served = zip(self.turns[:turn], self.finish_reasons, strict=False)
        return next((why for text, reason in served if (why := no_answer(text, reason))), "")

    def thought(self, turn: int) -> bool:
        """Whether thoughts were taken out of a turn, counted from 1."""
        return any(self.thoughts[turn - 1 : turn])

    def lowered(self, turn: int) -> bool:
        """Whether a turn, counted from 1, had less room than the benchmark gives it."""
        return any(self.limits[turn - 1 : turn])

    def beyond_positions(self, turn: int) -> bool:
        """Whether a turn, counted from 1, went beyond the positions that its model was trained on."""
        return any(self.beyond[turn - 1 : turn])


@dataclass(frozen=True)
class JudgeRequest:
    """One question to a judge. `order` is "" for single answers, "ab" or "ba" for pairs ("ab": ours first).

    `covariates` describe the answers (lengths); they are no part of what the judge sees.
    """

    question: str
    messages: tuple[Message, ...]
    turn: int = 1
    order: Literal["", "ab", "ba"] = ""
    covariates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """A judge's reply. `logprobs`: first token's alternatives -> log-probs, where the judge gives them.

    `finish_reason` is the server's: "stop", "length" where the reply was cut, "content_filter", "refusal".
    """

    text: str
    logprobs: dict[str, float] = field(default_factory=dict)
    finish_reason: str = "stop"


@dataclass(frozen=True)
class Unparsed:
    """A reply that holds no verdict: counted and shown, never a zero and never dropped."""

    reply: str


@dataclass(frozen=True)
class Score:
    """One verdict on one answer, in the benchmark's unit; for pairs 0-1, higher is better for ours.

    `turn`, `order` and `covariates` are those of its request.
    """

    question: str
    value: float | Unparsed
    category: str = ""
    turn: int = 1
    order: str = ""
    covariates: Mapping[str, float] = field(default_factory=dict)


def never_judged(request: JudgeRequest, reply: Reply) -> float | Unparsed:
    """Of a benchmark whose requests are all scores: it asks no judge."""
    raise AssertionError("no judge is asked")


def one_verdict(reply: Reply) -> bool:
    """Of a benchmark that reads no reply with several verdicts, or asks no judge."""
    return False


@dataclass(frozen=True)
class JudgedBenchmark:
    """A benchmark whose answers a judge scores. `metric` names the value of each score.

    `pairwise` benchmarks compare with the answers of a reference run: the third argument of `requests`.
    `decoding` is how the judge replies, as the benchmark's authors set it. `several` says whether a reply
    that can be read holds verdicts that differ, which is counted.
    """

    name: str
    metric: str
    sampling: Callable[[Question], Sampling]
    requests: Callable[[Question, Answer, Answer | None], Sequence[JudgeRequest | Score]]
    aggregate: Callable[[Sequence[Score]], dict[str, float]]
    parse: Callable[[JudgeRequest, Reply], float | Unparsed] = never_judged
    pairwise: bool = False
    decoding: Decoding = Decoding()
    several: Callable[[Reply], bool] = one_verdict
