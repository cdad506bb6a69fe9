"""Benchmarks and judges from outside the tree: the files of --benchmark-file and --judge-file, whose code is
called through here alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, SupportsFloat, SupportsIndex

from benchmarks.api import (
    Answer,
    JudgedBenchmark,
    JudgeRequest,
    Question,
    Reply,
    Sampling,
    Score,
    Unparsed,
)
from benchmarks.declaration import Benchmark
from harness.common.text import cut
from harness.endpoints.replies import EndpointReply
from harness.endpoints.responses.answer import LEAST_LOGPROB
from harness.suite.extension_file import called, told
from harness.suite.judging import Ask, JudgeKind, Request
from harness.suite.validation import in_range, validated

ROUNDING = 1e-6  # of a share: a mean of float32 may lie so far outside


def guarded_benchmark(declared: Benchmark, path: str) -> Benchmark:
    """A file's benchmark with functions whose faults, and results of another kind than benchmarks/api.py
    says, are one line; ValueError for a wrong part.
    """
    validated(Benchmark, vars(declared), path, f"benchmark {cut(repr(declared.name))}")
    name, load = declared.name, declared.load
    units = {column.metric: column.unit for column in declared.presentation.columns}

    def loaded(folder: Path, settings: Any) -> tuple[list[Question], JudgedBenchmark]:
        with told(path, f"{name}'s load"):
            assert load, "else it would not be asked"
            questions, benchmark = _loaded(load(folder, settings), path, name)
        return questions, _guarded(benchmark, path, name, units.get(declared.metric) == "share")

    return replace(
        declared,
        load=load and loaded,
        stored=declared.stored and called(declared.stored, path, f"{name}'s stored"),
        orders=called(declared.orders, path, f"{name}'s orders"),
        export=declared.export and called(declared.export, path, f"{name}'s export"),
    )


def guarded_judge(kind: JudgeKind, path: str) -> JudgeKind:
    """A file's kind of judge, whose faults and replies of another kind are one line."""
    validated(JudgeKind, vars(kind), path, f"judge {cut(repr(kind.name))}")
    what = f"the judge {kind.name}"

    def replies(identity: Mapping[str, Any], context: Mapping[str, Any], world: Path | None) -> Ask:
        ask = called(kind.replies, path, what)(identity, context, world)

        def asked(requests: Sequence[Request]) -> list[EndpointReply]:
            with told(path, what):
                return _replies(ask(requests), len(requests))

        return asked

    return replace(kind, file=path, replies=replies, identity=called(kind.identity, path, what))


def _loaded(given: Any, path: str, name: str) -> tuple[list[Question], JudgedBenchmark]:
    where = f"{path}: {name}'s load"
    if not isinstance(given, tuple) or len(given) != 2 or not isinstance(given[1], JudgedBenchmark):
        raise ValueError(f"{where}: it returns {cut(repr(given))}; a list of Questions and a JudgedBenchmark")
    questions, benchmark = given
    if not isinstance(questions, list | tuple):
        raise ValueError(f"{where}: given {cut(repr(questions))}; a list of Questions")
    seen = set[str]()
    for number, question in enumerate(questions, 1):
        at = f"{where}: question {number}"
        if not isinstance(question, Question):
            raise ValueError(f"{at}: given {cut(repr(question))}; a Question(...)")
        in_range(question, at)
        if not question.id or not question.turns:
            raise ValueError(f"{at}: {'turns' if question.id else 'id'}: given none")
        if question.id in seen:
            raise ValueError(f"{at}: id: given {cut(repr(question.id))}, which another question has")
        seen.add(question.id)
    return list(questions), benchmark


def _guarded(benchmark: JudgedBenchmark, path: str, name: str, share: bool) -> JudgedBenchmark:
    """The functions of a benchmark; with `share` its verdicts are between 0 and 1."""
    validated(JudgedBenchmark, vars(benchmark), path, f"{name}'s JudgedBenchmark")
    in_range(benchmark.decoding, f"{path}: {name}'s decoding")

    def sampling(question: Question) -> Sampling:
        with told(path, f"{name}'s sampling"):
            given = benchmark.sampling(question)
            _require(given, Sampling, "a Sampling(...)")
        return given

    def requests(question: Question, answer: Answer, reference: Answer | None) -> list[JudgeRequest | Score]:
        with told(path, f"{name}'s requests"):
            given = benchmark.requests(question, answer, reference)
            _require(given, (list, tuple), "a list of Scores or JudgeRequests")
            return [_asked(question, one, share) for one in given]

    def parse(request: JudgeRequest, reply: Reply) -> float | Unparsed:
        with told(path, f"{name}'s parse"):
            return _verdict(benchmark.parse(request, reply), share)

    def aggregate(scores: Sequence[Score]) -> dict[str, float]:
        with told(path, f"{name}'s aggregate"):
            given = benchmark.aggregate(scores)
            _require(given, dict, "numbers by their names")
            for key, value in given.items():
                _require(key, str, "the name of a number")
                _verdict(value, False)
            return {key: float(value) for key, value in given.items()}

    several = called(benchmark.several, path, f"{name}'s several")
    return replace(
        benchmark, sampling=sampling, requests=requests, parse=parse, aggregate=aggregate, several=several
    )


def _asked(question: Question, one: JudgeRequest | Score, share: bool) -> JudgeRequest | Score:
    """A verdict or a judge's request, as the harness reads it."""
    _require(one, (Score, JudgeRequest), "a Score or a JudgeRequest")
    if one.question != question.id:
        raise ValueError(
            f"question: given {cut(repr(one.question))}; {cut(repr(question.id))}, which was asked"
        )
    if not isinstance(one.turn, SupportsIndex) or not 1 <= one.turn <= len(question.turns):
        raise ValueError(f"turn: given {cut(repr(one.turn))}; 1 to {len(question.turns)}")
    if one.order not in ("", "ab", "ba"):
        raise ValueError(f"order: given {cut(repr(one.order))}; '', 'ab' or 'ba'")
    if isinstance(one, JudgeRequest):
        _require(one.messages, (list, tuple), "messages with a role and a content")
        for message in one.messages or (None,):
            texts = isinstance(message, dict) and [message.get(name) for name in ("role", "content")]
            if not texts or not all(isinstance(text, str) for text in texts):
                raise ValueError(f"messages: given {cut(repr(message))}; a role and a content, both texts")
        return one
    _require(one.category, str, "a category's name")
    return replace(one, turn=int(one.turn), value=_verdict(one.value, share))


def _verdict(value: Any, share: bool) -> float | Unparsed:
    if isinstance(value, Unparsed):
        return value
    allowed = "a finite number" + (" of 0 to 1, as its column is a share" if share else "")
    try:
        number = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or (share and not -ROUNDING <= number <= 1 + ROUNDING):
        raise ValueError(f"given {cut(repr(value))}; {allowed}, or Unparsed(reply)")
    return value if type(value) in (int, float) else number  # numpy's are no JSON


def _replies(given: Any, count: int) -> list[EndpointReply]:
    _require(given, list, "a list of replies")
    if len(given) != count:
        raise ValueError(f"it gives {len(given)} replies to {count} requests")
    return [_reply(reply) for reply in given]


def _reply(given: Any) -> EndpointReply:
    _require(given, EndpointReply, "a reply")
    _require(given.text, str, "the text of a reply")
    _require(given.finish_reason, str, "a finish reason")
    logprobs = dict[str, float]()
    for token, value in given.logprobs.items():
        _require(token, str, "a token")
        _require(value, SupportsFloat, "a log-probability")
        if math.isnan(value) or value == math.inf:
            raise ValueError(f"given {value} for {cut(repr(token))}; a log-probability")
        logprobs[token] = max(LEAST_LOGPROB, float(value))  # no JSON has minus infinity
    reply: EndpointReply = given
    return replace(reply, logprobs=logprobs)


def _require(given: Any, kind: type | tuple[type, ...], allowed: str) -> None:
    if not isinstance(given, kind):
        raise ValueError(f"given {cut(repr(given))}; {allowed}")
