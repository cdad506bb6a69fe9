"""What endpoints replied, kept so that nothing is asked twice: append-only files of JSON lines.

    replies/openai/host-4711-9b2c.jsonl   {"key": "9f3a...", "text": "[[7]]", "model": "gpt-4", ...}

A reply counts once it is on the disk. Each process writes a file of its own and reads all of them. A line
that a kill cut short is left out and counted; of a key that stands twice the first is kept. Failures are not
kept.
"""

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Self
from uuid import uuid4


@dataclass(frozen=True)
class Given:
    """A reply. `logprobs`: the first token's alternatives -> log-probs; `model`, `fingerprint`: who served.

    finish_reason is the server's, or "refusal" where the server says that the model refused, or "too_long"
    where it refused the prompt for its length. `latency_s` is of the attempt that succeeded, of `attempts`.
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


class Replies:
    """The replies below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: IO[bytes] | None = None

    @cached_property
    def _read(self) -> tuple[dict[str, Given], int]:
        """Every reply by its key and the lines cut short, read when first asked for: most runs ask no
        endpoint.
        """
        known: dict[str, Given] = {}
        torn = 0
        for path in sorted(self.folder.glob("*.jsonl")):
            for row in _rows(path):
                if row is None:
                    torn += 1
                else:
                    known.setdefault(row.key, row)
        return known, torn

    @property
    def torn(self) -> int:
        """Lines that a kill cut short."""
        return self._read[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self._read[0]

    def __getitem__(self, key: str) -> Given:
        return self._read[0][key]

    def add(self, *given: Given) -> None:
        """Write replies, with one wait for the disk; when this returns, a kill does not lose them."""
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}.jsonl"
            self._file = (self.folder / name).open("xb")
        self._file.write(b"".join(json.dumps(asdict(one)).encode() + b"\n" for one in given))
        self._file.flush()
        os.fsync(self._file.fileno())
        for one in given:
            self._read[0].setdefault(one.key, one)


def _rows(path: Path) -> Iterator[Given | None]:
    """The replies of a file, None for a line cut short."""
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            if not line.endswith(b"\n"):
                raise ValueError("cut short")
            yield Given(**json.loads(line))
        except (ValueError, TypeError):
            yield None
