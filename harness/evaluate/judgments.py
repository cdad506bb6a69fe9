"""The step that has answers judged.

    judgments.jsonl  {"question": "81", "turn": 1, "order": "", "request": "9f3a...", "reply": "... [[7]]",
                      "value": 7.0, "finish_reason": "stop", "model": "gpt-4-1106-preview", ...}
    metrics.json     {"score": 6.21, "first_turn": 6.8, ...}    as the benchmark's own tool adds them up

A reply that could not be parsed has the value null; where there is nothing to judge or to read, "status" says
why ("filtered") and "told" what the server said, and "marks" are what is to be told of a verdict that counts.
What the judge was sent is in its messages, built before anything a model wrote is filled in; what would read
like a token of a chat template is broken up first, where the judge asks for that, and counted.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, NamedTuple

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
from benchmarks.thoughts import without_thoughts
from harness.common.cost import Cost
from harness.common.files import write_json_lines
from harness.endpoints.replies import EndpointReply
from harness.evaluate import questions, registry
from harness.evaluate.guarding.template_tokens import guarded
from harness.evaluate.judges import fail_over_limit
from harness.evaluate.questions import JudgingSizes, judging_cost
from harness.store.step import Ref, Source, Step, StepKind, Work
from harness.store.step_record import FLATTENED

TRIED = 8  # replies, before the rest is asked for
# What is told of a verdict that counts all the same.
CUT = "by a reply that was cut"
SEVERAL = "by a reply with verdicts that differ"
LOWERED = "on an answer with less room than was asked for"
THOUGHTS = "on an answer without the thoughts before it"
BEYOND_POSITIONS = "on an answer beyond the positions that its model was trained on"


class Item(NamedTuple):
    """What a benchmark asks or settles of an answer; `missing`: why there is nothing to judge, "" where
    there is, and `marks`: what is to be told of the answer.
    """

    question: Question
    asked: JudgeRequest | Score
    missing: str
    marks: tuple[str, ...]


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


def run(work: JudgmentWork) -> dict[str, Any]:
    """The step: the judge reads every answer, and the benchmark reads the judge."""
    _, benchmark, items = read_items(work)
    sent, broken = requests_of(items, bool(work.settings.judge.get("guard")))
    given = replies_to(work, benchmark, [(request, 0) for _, request in sent])
    replies = iter(zip(sent, given, strict=True))

    rows, scores = [], []
    for q, asked, why, marks in items:
        reply = None
        if why:
            found = Verdict(Unparsed(""), why)
        # What a benchmark can settle itself is no call: an answer equal to its reference is a tie.
        elif isinstance(asked, Score):
            found = Verdict(asked.value)
        else:
            (_, asked), reply = next(replies)
            found = verdict(benchmark, asked, reply)
        if not why:
            scores.append(Score(q.id, found.value, q.category, asked.turn, asked.order, asked.covariates))
        rows.append(row_of(q, asked, found._replace(marks=(*found.marks, *marks)), reply))
    write_json_lines(work.out / "judgments.jsonl", rows)
    (work.out / "metrics.json").write_text(json.dumps(benchmark.aggregate(scores), indent=1))
    return counted(rows, broken, given)


def read_items(work: JudgmentWork) -> tuple[list[Question], JudgedBenchmark, list[Item]]:
    """A benchmark's questions, the benchmark, and all that it asks or settles of the answers, in order."""
    settings, inputs = work.settings, work.inputs
    declared = registry.declared(settings.benchmark, work.context.get("benchmark_file"))
    loaded, benchmark = questions.load(declared, inputs.data, settings.options)
    given = questions.read_answers(inputs.answers)
    reference = questions.read_answers(inputs.reference) if inputs.reference else {}
    items = [
        Item(q, asked, _missing(asked, given[q.id], reference.get(q.id)), _marks(asked, given[q.id]))
        for q in loaded
        for asked in benchmark.requests(q, given[q.id], reference.get(q.id))
    ]
    return loaded, benchmark, items


def requests_of(items: Iterable[Item], guard: bool) -> tuple[list[tuple[Item, JudgeRequest]], int]:
    """What the judge is asked of which item, and how many tokens a guard broke up."""
    sent, broken = [], 0
    for item in items:
        request = item.asked
        if item.missing or isinstance(request, Score):
            continue
        if guard:
            messages, counts = zip(*map(guarded, request.messages), strict=True)
            request = replace(request, messages=messages)
            broken += sum(counts)
        sent.append((item, request))
    return sent, broken


def counted(rows: Sequence[Mapping[str, Any]], broken: int, given: Sequence[EndpointReply]) -> dict[str, Any]:
    """What a step of judgments tells of itself."""
    missing = Counter(row["status"] for row in rows if row.get("status"))
    return {
        "judgments": len(rows),
        "unparsed": sum(row["value"] is None for row in rows) - missing.total(),
        "guarded": broken,
        "calls": sum(bool(g.key) for g in given),  # a rule is no call
        "prompt_tokens": sum(g.prompt_tokens for g in given),
        "completion_tokens": sum(g.completion_tokens for g in given),
        "served": sorted({g.served_by for g in given}),
    } | ({"missing": missing} if missing else {})


def _marks(item: JudgeRequest | Score, answer: Answer) -> tuple[str, ...]:
    """What is to be told of an answer that is judged all the same."""
    marks = (
        (LOWERED, answer.lowered(item.turn)),
        (THOUGHTS, answer.thought(item.turn)),
        (BEYOND_POSITIONS, answer.beyond_positions(item.turn)),
    )
    return tuple(mark for mark, there in marks if there)


def _missing(item: JudgeRequest | Score, answer: Answer, reference: Answer | None) -> str:
    """Why there is nothing to judge; "" where there is."""
    if why := answer.missing(item.turn):
        return why
    why = reference.missing(item.turn) if reference else ""
    return f"without the reference's answer ({why})" if why else ""


def replies_to(
    work: JudgmentWork, benchmark: JudgedBenchmark, sent: Sequence[tuple[JudgeRequest, int]]
) -> list[EndpointReply]:
    """What the judge says to each request, for its n-th time from 0; ValueError where it refuses more than it
    may, or its first tokens say nothing.
    """
    # Without a request there is no judge to wait for, nor one at all where the benchmark needs none.
    if not sent:
        return []
    judge = work.settings.judge
    kind = registry.judge_of(judge, work.context)
    ask = kind.replies(judge, work.context, work.inputs.judge)
    requests = [(r.messages, benchmark.decoding, repeat) for r, repeat in sent]
    if benchmark.decoding.top_logprobs and len(requests) > TRIED:
        # A server that is started here could not be tried before: a few calls tell, and are kept.
        tried = zip(sent, ask(requests[:TRIED]), strict=False)
        if all(isinstance(verdict(benchmark, r, reply).value, Unparsed) for (r, _), reply in tried):
            raise ValueError(
                f"{judge.get('model', kind.name)}: the first tokens of its first {TRIED} replies hold no "
                f"verdict; {benchmark.name} needs a judge that names the better answer there"
            )
    given = ask(requests)
    refused = Counter(NO_ANSWER[g.finish_reason] for g in given if g.finish_reason in NO_ANSWER)
    words = next((g.told for g in given if g.told), "")
    fail_over_limit(refused, len(given), "judgments", work.context, words)
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


def row_of(
    q: Question, item: JudgeRequest | Score, found: Verdict, reply: EndpointReply | None = None
) -> dict[str, Any]:
    """A row of judgments; `reply` is the judge's, where one was asked."""
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
    row |= {name: value for name, value in told.items() if value}
    if reply is None or isinstance(item, Score):
        return row
    if reply.told:
        row["told"] = reply.told
    return row | {
        "request": request_hash(item.messages),
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
    if step.input_ids["answers"] == step.input_ids.get("reference"):
        return Cost("judge")  # a benchmark settles equal answers itself
    return judging_cost(step.settings.benchmark, step.settings.judge, step.context, sizes)


JUDGMENTS = StepKind(
    "judgments", JudgmentSettings, JudgmentInputs, "harness.evaluate.judgments:run", 2, cost=_cost
)
