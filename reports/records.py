"""The row types that a run writes and every table reads: one JSON object a line.

    {"suite": "pocket", "pair": "pocket", "dataset": "pocket", "method": "ADPA", "seed": 0, "benchmark":
    "mt-bench",
     "metric": "score", "group": "math", "question": "81", "turn": 1, "order": "", "judge": "rule",
     "reference": "", "value": 7.0, "status": "ok", "tokens": 21, "truncated": false, "artifacts":
     ["answers-0f3a...", "judgments-77b1..."]}

`results.jsonl` holds records and `training.jsonl` what training changed; both are deterministic.
`costs.jsonl` holds what was measured (seconds).
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Record:
    """One value of one method on one item.

    `group` is the question's category (MT-Bench) or the task (OpenLLM); `value` is finite, and None exactly
    where `status` is not "ok"; win rates and accuracies are 0-1; `tokens` and `truncated` describe the
    answer. A result that could not be had at all is one record per method and benchmark with `question` "",
    `value` None and the reason as its `status` ("not run: no answers of the reference ADPA").
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

    def __post_init__(self) -> None:
        if (self.value is None) == (self.status == "ok"):
            raise ValueError(
                f"value {self.value} with status {self.status!r}: a value has status 'ok', None has a reason"
            )
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"value {self.value} of {self.method} on {self.benchmark}: must be finite")


@dataclass(frozen=True)
class Cost:
    """What one method cost, were it run alone: its own stages and its share-free part of the teacher's work.

    Seconds are measured; FLOPs are counted (6 x parameters x tokens for a training step, 2 x for a forward
    pass). `padding_share` is 0-1; `rows_dropped` and `rows_truncated` count rows of the training set.
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


@dataclass(frozen=True)
class Training:
    """What training changed, from before its first step to after its last.

    `loss_*` is the method's own loss on a fixed probe of its training set (no two methods share a scale);
    `margin_*` is log pi(y_w|x) - log pi(y_l|x) in nats, the mean over held-out pairs; None is a number that
    is not finite or was not computed. `moved` is the share, 0-1, of weights whose stored value changed.
    `terms` names the loss's terms: (name, before, after). `held_*` is the loss on held-out prompts or, where
    `objective` names another mean, that mean, which the method raises. `watched` are means on the probe
    (name, before, after); `warnings` those of them that pass a limit, in words.
    """

    suite: str
    pair: str
    dataset: str
    method: str
    seed: int
    loss_before: float | None
    loss_after: float | None
    margin_before: float | None
    margin_after: float | None
    moved: float
    steps: int
    terms: tuple[tuple[str, float, float], ...] = ()
    objective: str = "loss"
    held_before: float | None = None
    held_after: float | None = None
    watched: tuple[tuple[str, float, float], ...] = ()
    warnings: tuple[str, ...] = ()


RUN = ("suite", "pair", "dataset", "method", "seed")
ITEM = ("benchmark", "metric", "group", "question", "turn", "order", "judge", "reference")
KEYS: dict[type, tuple[str, ...]] = {Record: RUN + ITEM, Cost: RUN, Training: RUN}

Row = TypeVar("Row", Record, Cost, Training)


def write(rows: Iterable[Row], path: Path) -> None:
    """Write one JSON object a line, in the given order; a key must not stand twice. The file is replaced
    atomically.
    """
    lines, seen = [], set()
    for row in rows:
        key = _key(row)
        if key in seen:
            raise ValueError(f"duplicate {_noun(type(row))}: {dict(zip(KEYS[type(row)], key, strict=True))}")
        seen.add(key)
        lines.append(json.dumps(vars(row), allow_nan=False) + "\n")
    aside = path.with_name(path.name + ".partial")
    aside.write_text("".join(lines), encoding="utf-8")
    aside.replace(path)


def read(path: Path) -> list[Record]:
    """The records of a `results.jsonl`."""
    return _read(path, Record)


def read_costs(path: Path) -> list[Cost]:
    """The rows of a `costs.jsonl`."""
    return _read(path, Cost)


def read_training(path: Path) -> list[Training]:
    """The rows of a `training.jsonl`."""
    return _read(path, Training)


def _read(path: Path, kind: type[Row]) -> list[Row]:
    """The rows of a file; a line that is not a row of this kind raises ValueError with its number."""
    types = {name: _json_types(hint) for name, hint in get_type_hints(kind).items()}
    found: list[Row] = []
    seen = set()
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = _row(line, kind, types)
                key = _key(row)
                if key in seen:
                    raise ValueError(f"duplicate {_noun(kind)}")
            except ValueError as e:
                raise ValueError(f"{path}:{number}: {e}") from e
            seen.add(key)
            found.append(row)
    return found


def _row(line: bytes, kind: type[Row], types: dict[str, frozenset[type]]) -> Row:
    try:
        row = DECODER.decode(line.decode("utf-8"))
    except ValueError as e:  # JSONDecodeError, UnicodeDecodeError
        raise ValueError(f"not JSON ({e})") from e
    if not isinstance(row, dict) or row.keys() != types.keys():
        raise ValueError(f"not a {_noun(kind)}; keys must be {', '.join(types)}")
    for name, value in row.items():
        if type(value) not in types[name]:
            raise ValueError(f"{name} is {value!r}; must be {get_type_hints(kind)[name]}")
    fields: dict[str, Any] = {name: _frozen(value) for name, value in row.items()}
    return kind(**fields)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


DECODER = json.JSONDecoder(parse_constant=_refuse)


def _json_types(hint: object) -> frozenset[type]:
    """The Python types of the JSON values that a field takes; an int is a float, a bool is not an int."""
    if isinstance(hint, UnionType):
        return frozenset().union(*(_json_types(member) for member in get_args(hint)))
    if hint is float:
        return frozenset((float, int))
    if get_origin(hint) is tuple:
        return frozenset((list,))
    assert isinstance(hint, type)
    return frozenset((hint,))


def _frozen(value: object) -> object:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value


def _key(row: Record | Cost | Training) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in KEYS[type(row)])


def _noun(kind: type) -> str:
    return kind.__name__.lower()
