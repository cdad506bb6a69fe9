"""What endpoints replied, kept so that nothing is asked twice: append-only files of JSON lines.

    replies/openai/host-4711-9b2c.jsonl   {"key": "9f3a...", "text": "[[7]]", "model": "gpt-4", ...}

A reply counts once it is on the disk (store/append_log). A line that a kill cut short, or that differs from
its checksum, is left out and counted; of a key that stands twice the first is kept. Failures are not kept,
and what a server did not take, or sent no reply to that can be read, is asked again by the next run.
"""

from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

from benchmarks.api import NOT_TAKEN
from harness.store.append_log import AppendOnlyLog


@dataclass(frozen=True)
class EndpointReply:
    """A reply. `logprobs`: the first token's alternatives -> log-probs; `model`, `fingerprint`: who served.

    finish_reason is the server's, or "refusal" where the server says that the model refused, "too_long" where
    it refused the prompt for its length, "rejected" where it did so in other words, which `told` holds, and
    "unreadable" where it sent no reply. `latency_s` is of the attempt that succeeded, of `attempts`;
    `lowered_to` is its max_tokens where the server had no room for those that were asked for, else 0.
    """

    key: str
    text: str
    logprobs: dict[str, float] = field(default_factory=dict)
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    model: str = ""
    fingerprint: str = ""
    latency_s: float = 0.0
    attempts: int = 1
    lowered_to: int = 0
    told: str = ""

    @property
    def served_by(self) -> str:
        """The model that replied, as the server names it, which need not be the one that was asked."""
        return " ".join(filter(None, (self.model, self.fingerprint)))


class ReplyCache:
    """The replies below one folder."""

    def __init__(self, folder: Path) -> None:
        self._lines = AppendOnlyLog(folder)

    @cached_property
    def _read(self) -> tuple[dict[str, EndpointReply], int]:
        """Every reply by its key and the lines left out, read when first asked for: most runs ask no
        endpoint.
        """
        rows, torn = self._lines.read()
        known: dict[str, EndpointReply] = {}
        for row in rows:
            try:
                given = EndpointReply(**row)
            # A reply with other fields is one of another version: to ask again is safe, to guess is not.
            except TypeError:
                torn += 1
                continue
            # A server that is started again, or has new rules, may take it.
            if given.finish_reason in NOT_TAKEN:
                continue
            known.setdefault(given.key, given)
        return known, torn

    @property
    def torn(self) -> int:
        """Lines that a kill cut short or something altered."""
        return self._read[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()

    def __contains__(self, key: str) -> bool:
        return key in self._read[0]

    def __getitem__(self, key: str) -> EndpointReply:
        return self._read[0][key]

    def add(self, *given: EndpointReply) -> None:
        """Write replies, with one wait for the disk; when this returns, a kill does not lose them."""
        self._lines.add(*map(asdict, given))
        for one in given:
            self._read[0].setdefault(one.key, one)
