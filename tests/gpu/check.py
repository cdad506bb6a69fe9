"""What every part is given, and the lines that a check writes.

{"part": "attention", "at": 31.2, "cudnn": true, "shape": [16, 1000], "first_ms": 480.1, "again_ms": 1.9}
{"part": "attention", "at": 40.7, "seconds": 9.5}                    it ended
{"part": "dpo", "at": 55.0, "error": "OutOfMemoryError: ...", "where": ["..."]}
{"part": "vllm", "at": 400.2, "absent": "vllm is not installed"}
{"part": "trl", "at": 420.0, "left_out": "the budget of 420 s is spent"}
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LINES = "gpu_check.jsonl"
Line = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """folder: what several parts read, made by the first of them; small: in a size for a CPU; until: when the
    budget ends, in seconds since the epoch.
    """

    folder: Path
    small: bool
    until: float


class Absent(Exception):
    """Why a part has nothing to measure here."""


Part = Callable[[Check], Iterator[Line]]  # what it finds, line by line
