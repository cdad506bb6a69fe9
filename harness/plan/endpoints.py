"""Who is asked at an endpoint, as a part of ids: where it is, and which models it names.

    {"model": "student", "seed": 0}   ->   {"model": "student", "seed": 0, "served": ["student"],
                                            "base_url": "http://127.0.0.1:8000/v1"}

The name alone does not say who answers: two servers may call their models the same, and one may be started
again with other weights. Of a server that is started here the weights themselves are in the id, and its port
is not.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.common import hub
from harness.endpoints import served
from harness.endpoints.servers import is_served_here
from harness.endpoints.wire import Endpoint
from harness.evaluate.answers import BY_ENDPOINT
from harness.evaluate.judge_check import JUDGE_CHECK
from harness.evaluate.judges import OFFICIAL
from harness.evaluate.judgments import JUDGMENTS
from harness.store.store import Store

Who = Mapping[str, Any]
URL, SERVED = "base_url", "served"


def asked_before(store: Store) -> Iterator[Who]:
    """Whom the finished steps of a store have asked, the latest first."""
    for record in store.latest(BY_ENDPOINT.name, JUDGMENTS.name, JUDGE_CHECK.name):
        yield record["settings"].get("endpoint") or record["settings"].get("judge") or {}


@dataclass(frozen=True)
class Endpoints:
    """The endpoints of one plan, each asked once for its models.

    `before` are those that finished steps have asked. With `reuse` one of them that differs in nothing but
    where it was and what it named is taken for the one of the plan. `notes` are what is to be told.
    """

    before: Callable[[], Iterable[Who]] = tuple
    reuse: bool = False
    notes: list[str] = field(default_factory=list)
    known: dict[str, dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def _before(self) -> tuple[Who, ...]:
        return tuple(self.before())

    @cached_property
    def _served(self) -> dict[tuple[str, str, str], list[str] | ValueError]:
        return {}

    def identified(self, who: Who, where: Mapping[str, Any]) -> dict[str, Any]:
        """Who is asked, with the address and the models of an endpoint of others."""
        if not {"model", URL, "api_key_env"} <= where.keys() or is_served_here(where):
            return dict(who)
        key = json.dumps([dict(who), where], sort_keys=True)
        if key not in self.known:
            endpoint = Endpoint(*(where[name] for name in ("model", URL, "api_key_env")))
            self.known[key] = self._identified({**who, URL: served.address(where[URL])}, endpoint)
        return self.known[key]

    def _identified(self, who: dict[str, Any], endpoint: Endpoint) -> dict[str, Any]:
        if self.reuse and (known := self._alike(who)):
            if known.get(URL) != who[URL]:
                before = known.get(URL, "an address that was not recorded")
                self.notes.append(f"{endpoint.where} is taken for what answered at {before}")
            return known
        # OpenAI's list is a catalogue, which says nothing that the model's name does not.
        if who[URL] == OFFICIAL:
            return who
        found = self._names(endpoint)
        if not isinstance(found, ValueError):
            return who | {SERVED: found}
        known = self._alike(who)
        if known is None or known.get(URL) != who[URL]:
            return who | {SERVED: [_unresolved(endpoint, found)]}
        told = f"{found}".removesuffix("; nothing was done")
        self.notes.append(f"not resolved, taken for what answered there before: {told}")
        return known

    def _names(self, endpoint: Endpoint) -> list[str] | ValueError:
        """What an endpoint names, or why that is not known: asked once, whatever the seed or guard."""
        key = endpoint.model, endpoint.base_url, endpoint.api_key_env
        if key not in self._served:
            try:
                self._served[key] = served.names(endpoint)
            except ValueError as fault:
                self._served[key] = fault
        return self._served[key]

    def _alike(self, who: Who) -> dict[str, Any] | None:
        """The latest that differs in address and models alone; one of the same address comes first."""
        alike = [dict(known) for known in self._before if _named(known) == _named(who)]
        return next((known for known in alike if known.get(URL) == who[URL]), alike[0] if alike else None)


def _named(who: Who) -> dict[str, Any]:
    return {name: value for name, value in who.items() if name not in (URL, SERVED)}


def _unresolved(endpoint: Endpoint, fault: ValueError) -> str:
    def find() -> str:
        raise fault

    return hub.stand_in(endpoint.where, find)
