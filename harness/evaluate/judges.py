"""The judges of this tree: an endpoint, a server that is started here, and the pocket world's rule.

To add one: expose a `JudgeKind` under the entry-point group "bench.judges" from another package, or name the
file, `bench run --judge-file yours.py`; `computed` makes one of a function from messages to a reply.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from benchmarks.api import Answer, Decoding, JudgeRequest, Message, Question, Reply, Sampling, Unparsed
from benchmarks.declaration import MOST_TOKENS, Benchmark
from harness.common import hub
from harness.common.underway import news
from harness.endpoints import client, prices, servers, session
from harness.endpoints.client import Call, Endpoint
from harness.endpoints.prices import Prices, Usage
from harness.endpoints.replies import EndpointReply
from harness.endpoints.servers import ARGUMENTS, ENGINE, ServerSpec, request_extras
from harness.endpoints.wire import BENCHMARKS, MAX_REFUSED, MAX_WAIT, OPENAI_KEY, may_be_refused
from harness.models import weights
from harness.suite.judging import Ask, JudgeArguments, JudgeKind, JudgeSettings, Request, WithTemperature
from harness.suite.validation import ServerArguments, Variable

OFFICIAL = "https://api.openai.com/v1"
WHERE = {
    "model",
    "base_url",
    "api_key_env",
    "timeout",
    "concurrency",
    "attempts",
    "temperature",
    "tokens_field",
    "max_refused",
    "max_wait",
}
WHO = {"model", "seed", "max_tokens"}
# What a judge is tried on before any work.
TRIAL = Question("trial", ("Say OK.",))
TRIED_LOGPROBS = 5  # of a judge whose benchmark shows no two answers to try it on
TRIED = [Answer("trial", (text,), (1,), (False,)) for text in ("OK.", "I would rather not.")]


class EndpointJudge(JudgeSettings):
    """A model at an OpenAI-compatible endpoint.

    `guard` breaks up what reads like a chat template's token in the texts under judgment ("<|im_end|>"), for
    servers that would take it for one; api.openai.com takes it as text.
    """

    model: str = Field(min_length=1)
    """The model's name at the endpoint; the folder or hub id that is served."""
    base_url: str = OFFICIAL
    """The endpoint, with its `/v1`, such as `http://127.0.0.1:8000/v1`."""
    api_key_env: Variable = OPENAI_KEY
    """The environment variable with its key; never the key itself."""
    seed: int | None = Field(None, ge=0)
    """Sent with each call; repeats take the next ones. None, if absent."""
    guard: bool | None = None
    """Whether chat tokens in judged texts are broken up; if absent, everywhere but at api.openai.com."""
    max_tokens: int | None = Field(None, gt=0, le=MOST_TOKENS)
    """The most tokens of a reply, in place of the benchmark's own limit."""
    temperature: WithTemperature = BENCHMARKS
    """What is sent in place of the benchmark's own; null sends none, nor top_p, for models that take none."""
    tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the endpoint calls that limit."""
    timeout: float = Field(600.0, gt=0)
    """Seconds of a call."""
    concurrency: int = Field(16, gt=0)
    """Calls under way at most."""
    attempts: int = Field(6, gt=0)
    """Tries of a call that fails."""
    max_refused: float = Field(MAX_REFUSED, ge=0, le=1)
    """The share of calls that may get no answer: three in any case, or half of less than six; none with 0."""
    max_wait: float = Field(MAX_WAIT, ge=0)
    """Seconds that it may ask to wait; where it asks for more, the step fails at once."""


class ServedJudge(EndpointJudge):
    """A folder or hub id that is served here, started for the run and stopped with it."""

    engine: Literal["transformers", "vllm"] = "transformers"
    """What serves it; transformers gives no log-probs."""
    arguments: ServerArguments = ()
    """Further words of the engine's command line."""


class RuleJudgeSettings(JudgeSettings):
    """The pocket world's exact judge, which every suite with a world has."""


def where_of(judge: EndpointJudge) -> dict[str, Any]:
    """Where and how an endpoint is asked."""
    return judge.model_dump(include=WHERE)


def _endpoint_identity(judge: EndpointJudge) -> dict[str, Any]:
    guard = "api.openai.com" not in judge.base_url if judge.guard is None else judge.guard
    return {**_who(judge), "guard": guard}


def _who(judge: EndpointJudge) -> dict[str, Any]:
    # Where the benchmark's own temperature is sent, there is nothing to tell.
    told = {"temperature"} if judge.temperature != BENCHMARKS else set()
    return judge.model_dump(include=WHO | told)


def _served_identity(judge: ServedJudge) -> dict[str, Any]:
    # Servers of open models parse template tokens in messages; a guard costs nothing there.
    guard = True if judge.guard is None else judge.guard
    started = {"engine": judge.engine, "arguments": list(judge.arguments)}
    who = {"model": weights.fingerprint(judge.model), "guard": guard}
    return _who(judge) | started | who


def endpoint_replies(who: Mapping[str, Any], context: Mapping[str, Any], world: Path | None = None) -> Ask:
    """An endpoint's replies, of which those that are kept are never asked for again."""
    endpoint = Endpoint(**context["endpoint"])
    return _asking(who, lambda temperature: endpoint)


def fail_over_limit(
    missing: Counter[str], asked: int, what: str, context: Mapping[str, Any], words: str = ""
) -> None:
    """ValueError where more replies of a step are missing than its endpoint may refuse; `words`: its own."""
    allowed = context.get("endpoint", {}).get("max_refused", MAX_REFUSED)
    if missing.total() > may_be_refused(allowed, asked):
        told = ", ".join(f"{why} {count}" for why, count in sorted(missing.items()))
        told += f"; the first: {words}" if words else ""
        who = context["endpoint"]["model"] if "endpoint" in context else "the judge"
        raise ValueError(
            f"{who} gave none of {missing.total()} of {asked} {what} ({told}), more than a share of "
            f"{allowed:g}: lower max_tokens, serve it with a longer context, or set its max_refused higher"
        )


def _served_replies(who: Mapping[str, Any], context: Mapping[str, Any], world: Path | None) -> Ask:
    """Those of a server of our own, which is up when this returns."""
    where = dict(context["endpoint"])
    engine, arguments = where.pop(ENGINE), tuple(where.pop(ARGUMENTS))
    shared = session.current()
    # A server of our own takes no money, whatever a price table says of a model of that name.
    shared.ledger.free(where["model"])
    spec = ServerSpec(engine, where["model"], extra=arguments)
    endpoint = Endpoint(**{**where, "base_url": shared.servers.url(spec)})
    # `transformers serve` has to be told in each request whether to sample.
    return _asking(who, lambda temperature: _told_to_sample(endpoint, engine, temperature))


def _told_to_sample(endpoint: Endpoint, engine: servers.Engine, temperature: float) -> Endpoint:
    sent = endpoint.sampled_at(temperature)
    return endpoint if sent is None else replace(endpoint, extra=request_extras(engine, sent))


def _asking(judge: Mapping[str, Any], endpoint_for: Callable[[float], Endpoint]) -> Ask:
    who = {k: v for k, v in judge.items() if k != "guard"}  # it changes the messages, which are in the key

    def ask(requests: Sequence[Request]) -> list[EndpointReply]:
        calls = [_call(who, *request) for request in requests]
        shared = session.current()
        # Some engines are told in a field of their own whether to sample, which is one per endpoint.
        with news.whole("calls", len(calls)):
            for temperature in dict.fromkeys(c.temperature for c in calls):
                own = [c for c in calls if c.temperature == temperature]
                client.ask(endpoint_for(temperature), own, shared.replies, shared.ledger, whole=len(calls))
        return [shared.replies[c.key] for c in calls]

    return ask


def _call(who: dict[str, Any], messages: tuple[Message, ...], how: Decoding | Sampling, repeat: int) -> Call:
    decoding: dict[str, Any] = {
        "temperature": how.temperature,
        "top_p": how.top_p if isinstance(how, Sampling) else 1.0,
        "max_tokens": who.get("max_tokens") or how.max_tokens,
        "top_logprobs": how.top_logprobs if isinstance(how, Decoding) else 0,
    }
    # Repeats with one seed would be one reply; each has the next.
    seed = who.get("seed")
    key = client.key_of(who, messages, **decoding, repeat=repeat)
    return Call(key, messages, **decoding, seed=None if seed is None else seed + repeat)


def _check_endpoint(where: Mapping[str, Any], needing_logprobs: Sequence[Benchmark]) -> None:
    """It answers one word or, where a benchmark reads log-probs, in such as hold a verdict."""
    endpoint, ledger = Endpoint(**where), session.current().ledger
    if not needing_logprobs:
        client.check(endpoint, ledger)
    for declared in needing_logprobs:
        _check_tokens(endpoint, declared)


def _check_tokens(endpoint: Endpoint, declared: Benchmark) -> None:
    """ValueError where the first tokens of its verdict on a pair of answers are none that are read."""
    ledger = session.current().ledger
    if declared.comparison is None:
        client.check(endpoint, ledger, top_logprobs=TRIED_LOGPROBS)
        return
    benchmark, tokens = declared.comparison(), dict[str, float]()
    for request in benchmark.requests(TRIAL, *TRIED):
        assert isinstance(request, JudgeRequest), "two answers that differ are judged"
        said = client.check(
            endpoint, ledger, top_logprobs=benchmark.decoding.top_logprobs, messages=request.messages
        )
        if not isinstance(benchmark.parse(request, Reply(said.text, said.logprobs)), Unparsed):
            return
        tokens |= said.logprobs
    likeliest = ", ".join(map(repr, sorted(tokens, key=tokens.__getitem__, reverse=True)[:5]))
    raise ValueError(
        f"{endpoint.where}: {declared.name} reads the verdict in the reply's first token, and this judge's "
        f"likeliest hold none: {likeliest}; choose another judge"
    )


def _check_engine(where: Mapping[str, Any], needing_logprobs: Sequence[Benchmark]) -> None:
    """Its engine gives log-probs where a benchmark needs them, and reads all weights; the server itself is
    started later.
    """
    names = ", ".join(b.name for b in needing_logprobs)
    if needing_logprobs and not servers.gives_logprobs(where[ENGINE]):
        raise ValueError(
            f"{where['model']}: `{where[ENGINE]} serve` gives no log-probs, which the judge of {names} "
            f"needs; serve it with vllm, or choose another judge"
        )
    own = Path(where["model"])
    if folder := own if own.is_dir() else hub.snapshot(where["model"]):
        weights.refuse_pickled(folder, may_be_trusted=False)
    # vllm refuses a folder that lacks a weight; transformers makes one up.
    if where[ENGINE] == "transformers" and own.is_dir():
        weights.check(own)


def _price(judge: EndpointJudge, table: Prices, usage: Usage) -> float | None:
    return prices.usd(table, judge.model, usage)


def _typed_endpoint(typed: JudgeArguments) -> dict[str, Any]:
    # What was not typed is left to the settings' defaults.
    where = {"base_url": typed.url, "api_key_env": typed.key_env}
    return {"model": typed.model} | {k: v for k, v in where.items() if v}


def _typed_server(typed: JudgeArguments) -> dict[str, Any] | None:
    if not typed.served_here:
        return None
    if typed.url:
        raise ValueError(f"--judge {typed.model} is a folder, which is served here: no --judge-url")
    return {"model": typed.model, "engine": typed.engine or "transformers"}


def computed(name: str, judge: Callable[[Sequence[Message]], Reply]) -> JudgeKind:
    """A judge that is a function of the messages alone, computed in the step; it costs nothing."""
    return JudgeKind(name, JudgeSettings, lambda settings: {}, lambda *_: _computing(name, judge))


def _computing(name: str, judge: Callable[[Sequence[Message]], Reply]) -> Ask:
    def ask(requests: Sequence[Request]) -> list[EndpointReply]:
        given = [judge(messages) for messages, _, _ in requests]
        return [
            EndpointReply("", reply.text, reply.logprobs, reply.finish_reason, model=name) for reply in given
        ]

    return ask


def _rule_replies(who: Mapping[str, Any], context: Mapping[str, Any], world: Path | None) -> Ask:
    from harness.pocket.rule_judge import RuleJudge

    assert world, "a step with the rule as its judge reads the world"
    return _computing(RULE.name, RuleJudge(world))


OPENAI = JudgeKind(
    "openai",
    EndpointJudge,
    _endpoint_identity,
    endpoint_replies,
    where_of,
    check=_check_endpoint,
    usd=_price,
    typed=_typed_endpoint,
)
SERVER = JudgeKind(
    "server",
    ServedJudge,
    _served_identity,
    _served_replies,
    lambda judge: {**where_of(judge), ENGINE: judge.engine, ARGUMENTS: judge.arguments},
    served=True,
    check=_check_engine,
    typed=_typed_server,
)
RULE = JudgeKind("rule", RuleJudgeSettings, lambda judge: {}, _rule_replies, world=True)
BUILT_IN = (OPENAI, SERVER, RULE)
