"""The one row type that evaluation writes and every table reads.

    {"suite": "pocket", "pair": "pocket", "dataset": "pocket", "method": "ADPA", "seed": 0, "benchmark": "mt-bench",
     "metric": "score", "group": "math", "question": "81", "turn": 1, "order": "", "judge": "rule", "reference": "",
     "value": 7.0, "status": "ok", "tokens": 21, "truncated": false, "artifacts": ["answers-0f3a...", "judgments-77b1..."]}

`results.jsonl` holds records; it is deterministic. What was measured (seconds, money) lies in `costs.jsonl`.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

KEY = ("suite", "pair", "dataset", "method", "seed", "benchmark", "metric", "group", "question", "turn", "order", "judge", "reference")


@dataclass(frozen=True)
class Record:
    """One value of one method on one item.

    `group` is the question's category (MT-Bench) or the task (OpenLLM); `value` is None unless `status` is "ok";
    win rates and accuracies are 0-1; `tokens` and `truncated` describe the answer.
    """

    suite: str
    pair: str
    dataset: str
    method: str
    seed: int
    benchmark: str
    metric: str
    group: str
    question: str
    turn: int
    order: str
    judge: str
    reference: str
    value: float | None
    status: str = "ok"
    tokens: int = 0
    truncated: bool = False
    artifacts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cost:
    """What one method cost, were it run alone: its own stages and its share-free part of the teacher's work.

    Seconds are measured; FLOPs are counted (6 x parameters x tokens for a training step, 2 x for a forward pass).
    """

    suite: str
    pair: str
    dataset: str
    method: str
    seed: int
    train_seconds: float
    train_flops: float
    teacher_flops: float
    train_tokens: int
    padding_share: float
    rows_dropped: int
    rows_truncated: int
    device: str


def write(rows: Iterable[Record] | Iterable[Cost], path: Path) -> None:
    """Write one JSON object a line, in the given order; a record's key must not stand twice."""
    rows = list(rows)
    seen: set[tuple[object, ...]] = set()
    for row in rows:
        if isinstance(row, Record):
            key = tuple(getattr(row, k) for k in KEY)
            if key in seen:
                raise ValueError(f"duplicate record: {dict(zip(KEY, key, strict=True))}")
            seen.add(key)
    aside = path.with_name(path.name + ".partial")
    aside.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))
    aside.replace(path)


def read(path: Path) -> list[Record]:
    """The records of a file; a line that is not a record raises ValueError with its number."""
    names = {f.name for f in fields(Record)}
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as e:
            raise ValueError(f"{path}:{number}: not JSON ({e.msg})") from e
        if not isinstance(row, dict) or set(row) != names:
            raise ValueError(f"{path}:{number}: not a record; keys must be {sorted(names)}")
        found.append(Record(**{**row, "artifacts": tuple(row["artifacts"])}))
    return found
