"""Who replies to a step's requests: a rule, or an endpoint whose replies are kept and never asked twice."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.api import Decoding, Message, Sampling
from harness.endpoints import client, session
from harness.endpoints.client import Call, Endpoint
from harness.endpoints.replies import EndpointReply
from harness.endpoints.servers import ServerSpec, request_extras
from harness.store.step import Work

Asked = tuple[tuple[Message, ...], Decoding | Sampling, int]  # messages, how to reply, which repeat
Ask = Callable[[Sequence[Asked]], list[EndpointReply]]


def asking(work: Work) -> Ask:
    """What answers a step's requests, in their order."""
    who: dict[str, Any] = dict(work.settings.get("judge") or work.settings["endpoint"])
    if who.get("kind") == "rule":
        return _rule(work)
    if who.get("kind") == "none":
        return lambda asked: []
    who.pop("guard", None)  # it changes the messages, which are in the key
    endpoint = open_endpoint(work.context["endpoint"])

    def ask(asked: Sequence[Asked]) -> list[EndpointReply]:
        calls = [_call(who, *one) for one in asked]
        shared = session.current()
        # `transformers serve` has to be told in each request whether to sample.
        for temperature in dict.fromkeys(c.temperature for c in calls):
            own = [c for c in calls if c.temperature == temperature]
            client.ask(_decoding_as_asked(endpoint, work, temperature), own, shared.replies, shared.ledger)
        return [shared.replies[c.key] for c in calls]

    return ask


def open_endpoint(where: dict[str, Any]) -> Endpoint:
    """The endpoint of a step's context; where it is a server of our own, it is up when this returns."""
    settings = {k: v for k, v in where.items() if k != "engine"}
    if "engine" not in where:
        return Endpoint(**settings)
    session.current().ledger.free(where["model"])
    url = session.current().servers.url(ServerSpec(where["engine"], where["model"]))
    return Endpoint(**{**settings, "base_url": url})


def _decoding_as_asked(endpoint: Endpoint, work: Work, temperature: float) -> Endpoint:
    engine = work.context["endpoint"].get("engine")
    return replace(endpoint, extra=request_extras(engine, temperature)) if engine else endpoint


def _call(who: dict[str, Any], messages: tuple[Message, ...], how: Decoding | Sampling, repeat: int) -> Call:
    decoding: dict[str, Any] = {
        "temperature": how.temperature,
        "top_p": getattr(how, "top_p", 1.0),
        "max_tokens": who.get("max_tokens") or how.max_tokens,
        "top_logprobs": getattr(how, "top_logprobs", 0),
    }
    seed = who.get("seed")
    key = client.key_of(who, messages, **decoding, repeat=repeat)
    return Call(key, messages, **decoding, seed=None if seed is None else seed + repeat)


def _rule(work: Work) -> Ask:
    from harness.pocket.rule_judge import RuleJudge

    judge = RuleJudge(work.inputs["judge"])

    def ask(asked: Sequence[Asked]) -> list[EndpointReply]:
        said = [judge(messages) for messages, _, _ in asked]
        return [
            EndpointReply("", reply.text, reply.logprobs, reply.finish_reason, model="rule") for reply in said
        ]

    return ask
