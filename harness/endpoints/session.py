"""Per-run state: judge servers that were started, reply cache, spending ledger.

Steps are functions of settings and inputs and name no server; where one asks an endpoint, it finds it here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from harness.endpoints.ledger import Ledger
from harness.endpoints.prices import Prices
from harness.endpoints.replies import ReplyCache
from harness.endpoints.servers import Servers


@dataclass(frozen=True)
class Session:
    """Servers, ledger and kept replies of a run."""

    servers: Servers
    ledger: Ledger
    replies: ReplyCache

    def summary_line(self) -> str:
        """One line on what endpoints were asked; "" where they were not."""
        if not (self.ledger.calls or self.ledger.kept):
            return ""
        torn = self.replies.torn
        told = f"; kept replies cut short or altered, which count as not there: {torn}" if torn else ""
        return f"endpoints: {self.ledger.summary_line()}{told}"


# No argument of a step: what it is given decides its id, and this changes no result.
_current: ContextVar[Session] = ContextVar("session")


def current() -> Session:
    """The session of the run that this step belongs to."""
    return _current.get()


@contextmanager
def open_session(
    prices: Prices, max_cost: float | None, max_calls: int | None, logs: Path, kept: Path
) -> Iterator[Session]:
    """A session for the steps inside, with the replies of a folder; its servers are stopped for certain."""
    with Servers(logs) as servers, ReplyCache(kept / "endpoints") as replies:
        token = _current.set(Session(servers, Ledger(prices, max_cost, max_calls), replies))
        try:
            yield _current.get()
        finally:
            _current.reset(token)
