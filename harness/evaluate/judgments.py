"""The step that has answers judged.

    judgments.jsonl  {"question": "81", "turn": 1, "order": "", "request": "9f3a...", "reply": "... [[7]]",
                      "value": 7.0, "finish_reason": "stop", "model": "gpt-4-1106-preview", ...}
    metrics.json     {"score": 6.21, "first_turn": 6.8, ...}    as the benchmark's own tool adds them up

A reply that could not be parsed has the value null; where there is nothing to judge or to read, "status" says
why ("filtered"), and "marks" are what is to be told of a verdict that counts. What the judge was sent is in
its messages, built before anything a model wrote is filled in; what would read like a token of a chat
template is broken up first, where the judge asks for that, and counted.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol

from benchmarks.api import (
    NO_ANSWER,
    Answer,
    JudgedBenchmark,
    JudgeRequest,
    Message,
    Question,
    Reply,
    Score,
    Unparsed,
)
from harness.common.cost import Cost
from harness.common.files import write_json_lines
from harness.common.text import without_thoughts
from harness.endpoints.prices import Prices
from harness.endpoints.replies import EndpointReply
from harness.evaluate import questions, registry
from harness.evaluate.judges import fail_over_limit
from harness.store.step import Ref, Sizes, Source, Step, StepKind, Work
from harness.store.step_record import FLATTENED
from harness.suite.schema import Suite

# Tokens of chat templates as a model may type them. MT-Bench's own marks ("<|The Start of ...|>") are none.
# A server that parses them would let an answer end its own turn and go on as the judge.
TEMPLATE_TOKEN = re.compile(
    r"<\|[a-z0-9_]+\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>"
)


TRIED = 8  # replies, before the rest is asked for
# What is told of a verdict that counts all the same.
CUT = "by a reply that was cut"
SEVERAL = "by a reply with verdicts that differ"
LOWERED = "on an answer with less room than was asked for"
THOUGHTS = "on an answer without the thoughts before it"


class Verdict(NamedTuple):
    """A verdict or none; why there is nothing to read one in; what is to be told of it."""

    value: float | Unparsed
    status: str = ""
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class JudgmentSettings:
    """Which benchmark, who judges, and what of the benchmark's settings decides what is made of answers."""

    benchmark: str
    judge: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict, metadata=FLATTENED)


@dataclass(frozen=True)
class JudgmentInputs(Generic[Ref]):
    """judge: what the judge reads, where it reads anything; reference: the answers that are compared with."""

    answers: Ref
    data: Ref
    judge: Ref | None = None
    reference: Ref | None = None


JudgmentWork = Work[JudgmentSettings, JudgmentInputs[Path]]


class JudgingSizes(Sizes, Protocol):
    """What the estimate of a judge's calls looks up besides."""

    @property
    def suite(self) -> Suite:
        """The suite, which says who judges what."""

    @property
    def prices(self) -> Prices:
        """What endpoints charge."""


def guarded(message: Message) -> tuple[Message, int]:
    """The message with a space inside each token of a chat template, and how many there were."""
    content, count = TEMPLATE_TOKEN.subn(lambda found: f"{found[0][0]} {found[0][1:]}", message["content"])
    return Message(role=message["role"], content=content), count


def _guarded(requests: Sequence[JudgeRequest]) -> tuple[list[JudgeRequest], int]:
    """The requests with all of their messages guarded, and how many tokens that broke up."""
    sent, broken = [], 0
    for request in requests:
        messages, counts = zip(*map(guarded, request.messages), strict=True)
        sent.append(replace(request, messages=messages))
        broken += sum(counts)
    return sent, broken


def run(work: JudgmentWork) -> dict[str, Any]:
    """The step: the judge reads every answer, and the benchmark reads the judge."""
    settings, inputs = work.settings, work.inputs
    declared = registry.declared(settings.benchmark, work.context.get("benchmark_file"))
    loaded, benchmark = questions.load(declared, inputs.data, settings.options)
    given = questions.read_answers(inputs.answers)
    reference = questions.read_answers(inputs.reference) if inputs.reference else {}
    items = [
        (q, item, _missing(item, given[q.id], reference.get(q.id)))
        for q in loaded
        for item in benchmark.requests(q, given[q.id], reference.get(q.id))
    ]

    asked = [item for _, item, why in items if isinstance(item, JudgeRequest) and not why]
    sent, broken = _guarded(asked) if settings.judge.get("guard") else (asked, 0)
    # Without a request there is no judge to wait for, nor one at all where the benchmark needs none.
    given_replies = _replies(work, benchmark, sent) if sent else []
    replies = iter(zip(sent, given_replies, strict=True))

    rows, scores = [], []
    for q, item, why in items:
        told: dict[str, Any] = {}
        if why:
            found = Verdict(Unparsed(""), why)
        # What a benchmark can settle itself is no call: an answer equal to its reference is a tie.
        elif isinstance(item, Score):
            found = Verdict(item.value)
        else:
            request, reply = next(replies)
            found, told = verdict(benchmark, request, reply), _told(request, reply)
        if given[q.id].lowered(item.turn):
            found = found._replace(marks=(*found.marks, LOWERED))
        if given[q.id].thought(item.turn):
            found = found._replace(marks=(*found.marks, THOUGHTS))
        if not why:
            scores.append(Score(q.id, found.value, q.category, item.turn, item.order, item.covariates))
        rows.append(_row(q, item, found) | told)
    missing = Counter(row["status"] for row in rows if row.get("status"))
    write_json_lines(work.out / "judgments.jsonl", rows)
    (work.out / "metrics.json").write_text(json.dumps(benchmark.aggregate(scores), indent=1))
    return {
        "judgments": len(rows),
        "unparsed": sum(row["value"] is None for row in rows) - missing.total(),
        "guarded": broken,
        "calls": sum(bool(g.key) for g in given_replies),  # a rule is no call
        "prompt_tokens": sum(g.prompt_tokens for g in given_replies),
        "completion_tokens": sum(g.completion_tokens for g in given_replies),
        "served": sorted({" ".join(filter(None, (g.model, g.fingerprint))) for g in given_replies}),
    } | ({"missing": missing} if missing else {})


def _missing(item: JudgeRequest | Score, answer: Answer, reference: Answer | None) -> str:
    """Why there is nothing to judge; "" where there is."""
    if why := answer.missing(item.turn):
        return why
    why = reference.missing(item.turn) if reference else ""
    return f"without the reference's answer ({why})" if why else ""


def _replies(
    work: JudgmentWork, benchmark: JudgedBenchmark, sent: Sequence[JudgeRequest]
) -> list[EndpointReply]:
    """What the judge says; ValueError where it refuses more than it may, or its first tokens say nothing."""
    judge = work.settings.judge
    kind = registry.judge_of(judge, work.context)
    ask = kind.replies(judge, work.context, work.inputs.judge)
    # Repeat 0: judgments are asked once; `bench judge check` asks again to see the noise.
    requests = [(r.messages, benchmark.decoding, 0) for r in sent]
    if benchmark.decoding.top_logprobs and len(requests) > TRIED:
        # A server that is started here could not be tried before: a few calls tell, and are kept.
        tried = zip(sent, ask(requests[:TRIED]), strict=False)
        if all(isinstance(verdict(benchmark, *one).value, Unparsed) for one in tried):
            raise ValueError(
                f"{judge.get('model', kind.name)}: the first tokens of its first {TRIED} replies hold no "
                f"verdict; {benchmark.name} needs a judge that names the better answer there"
            )
    given = ask(requests)
    refused = Counter(NO_ANSWER[g.finish_reason] for g in given if g.finish_reason in NO_ANSWER)
    fail_over_limit(refused, len(given), "judgments", work.context)
    return given


def verdict(benchmark: JudgedBenchmark, request: JudgeRequest, reply: EndpointReply) -> Verdict:
    """What a benchmark reads in a judge's reply, without what the judge thought before it."""
    if why := NO_ANSWER.get(reply.finish_reason):
        return Verdict(Unparsed(reply.text), f"without the judge's reply ({why})")
    read = Reply(without_thoughts(reply.text), reply.logprobs, reply.finish_reason)
    # A verdict in the first token's log-probs is whole, however short the reply.
    cut = reply.finish_reason == "length" and not benchmark.decoding.top_logprobs
    marks = [mark for mark, there in ((CUT, cut), (SEVERAL, benchmark.several(read))) if there]
    return Verdict(benchmark.parse(request, read), "", tuple(marks))


def request_hash(messages: Sequence[Message]) -> str:
    """12 hex digits of what the judge was sent."""
    # So that a judgment can be matched with its request when prompts have changed since.
    return hashlib.sha256(json.dumps(messages).encode()).hexdigest()[:12]


def _row(q: Question, item: JudgeRequest | Score, found: Verdict) -> dict[str, Any]:
    row = {
        "question": q.id,
        "category": q.category,
        "turn": item.turn,
        "order": item.order,
        "request": "",
        "reply": "",
        "value": None if isinstance(found.value, Unparsed) else found.value,
    }
    told = {"status": found.status, "marks": found.marks}
    return row | {name: value for name, value in told.items() if value}


def _told(request: JudgeRequest, reply: EndpointReply) -> dict[str, Any]:
    return {
        "request": request_hash(request.messages),
        "reply": reply.text,
        "logprobs": reply.logprobs,
        "finish_reason": reply.finish_reason,
        "model": reply.model,
        "fingerprint": reply.fingerprint,
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "latency_s": reply.latency_s,
    }


def _cost(step: Step[JudgmentSettings, JudgmentInputs[Source]], sizes: JudgingSizes) -> Cost:
    """Calls to an endpoint, and their price; a judge that is computed costs nothing."""
    # The suite may have a name of its own for the benchmark.
    chosen = sizes.suite.benchmarks.chosen[step.context.get("benchmark_name", step.settings.benchmark)]
    judge = sizes.suite.judges.get(chosen.settings.judged_by())
    if judge is None or judge.kind.endpoint is None:
        return Cost(work="judge")
    usage = questions.judge_usage(chosen)
    note = f"tokens of judging {chosen.declaration.name}: typical ones"
    if judge.kind.served:
        note = f"the time of {step.settings.judge['model']}, which is served here, is not in the estimate"
        return Cost(work="judge", calls=usage.calls, assumed=(note,))
    usd = judge.kind.usd(judge.settings, sizes.prices, usage)
    disk = 4.0 * usage.completion_tokens
    return Cost(work="judge", calls=usage.calls, usd=usd, disk=disk, assumed=(note,))


JUDGMENTS = StepKind(
    "judgments", JudgmentSettings, JudgmentInputs, "harness.evaluate.judgments:run", 2, cost=_cost
)
