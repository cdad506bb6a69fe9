"""What the steps of one run share in this process: servers that are up, and what may still be spent.

Steps are functions of settings and inputs and name no server; where one asks an endpoint, it finds it here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from harness.endpoints.ledger import Ledger
from harness.endpoints.servers import Servers
from harness.prices import Prices


@dataclass(frozen=True)
class Session:
    """Servers and ledger of a run."""

    servers: Servers
    ledger: Ledger


_current: ContextVar[Session] = ContextVar("session")


def current() -> Session:
    """The session of the run that this step belongs to."""
    return _current.get()


@contextmanager
def opened(prices: Prices, max_cost: float | None, max_calls: int | None, logs: Path) -> Iterator[Session]:
    """A session for the steps inside; its servers are stopped whatever happens."""
    with Servers(logs) as servers:
        token = _current.set(Session(servers, Ledger(prices, max_cost, max_calls)))
        try:
            yield _current.get()
        finally:
            _current.reset(token)
