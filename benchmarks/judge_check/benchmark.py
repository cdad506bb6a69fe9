"""How good is a judge? Its verdicts on pairs whose better answer is known, in both orders and repeated.

    {"input": "Describe a glowing ...", "output_1": "...", "output_2": "...", "label": 1}

Reads pairs in the format of LLMBar (Zeng et al., 2024): 419 in five files, four of them with a worse answer
that is written to please. The judge gets a pairwise benchmark's own prompt, output_1 as our answer and
output_2 as the reference's, so what is measured is judge and prompt together. A verdict is 0-1, 1 for
output_1; an item is one pair in one repeat, and its value the mean of both orders.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from pathlib import Path
from statistics import fmean, variance
from typing import Literal

from benchmarks.api import Answer, JudgedBenchmark, JudgeRequest, Question, Unparsed
from benchmarks.json_files import json_list

ORDERS = {"ab", "ba"}
TIE = 1e-9  # soft verdicts p and 1 - p of two orders need not add up to 1 exactly


@dataclass(frozen=True)
class GoldPair:
    """Two answers to one instruction; `label` says which is the better, 1 or 2."""

    id: str
    subset: str
    instruction: str
    output_1: str
    output_2: str
    label: Literal[1, 2]


@dataclass(frozen=True)
class Asked:
    """A request to the judge on a pair; `repeat` counts from 0."""

    pair: GoldPair
    repeat: int
    request: JudgeRequest


@dataclass(frozen=True)
class Verdict:
    """What `benchmark.parse` made of the reply to one request: 0-1, 1 where output_1 is better."""

    pair: GoldPair
    repeat: int
    order: str
    value: float | Unparsed


@dataclass(frozen=True)
class Rate:
    """A share of n pairs, 0-1; tables give it an interval (reports/statistics/shares.py)."""

    value: float
    n: int


@dataclass(frozen=True)
class JudgeQuality:
    """All shares are 0-1. None: could not be had, for want of complete pairs or of repeats.

    n               pairs with both orders parsed in some repeat, of `pairs`; the shares are of these
    agreement       the mean of both orders names the gold's winner; a tie counts half
    by_subset       the same for each file
    consistent      both orders name the same winner; a tie names none
    first_slot_rate verdicts for the answer that stands first, a tie counts half; 0.5 is unbiased
    repeat_noise    standard deviation of an item's value between repeats, pooled over pairs
    flips           two repeats of one request with different verdicts (1, 2 or tie), of all such twos
    kappa           Cohen's, against the gold; a tie is half a vote for each
    unparsed        verdicts that could not be read, of `verdicts`
    """

    n: int
    pairs: int
    agreement: Rate | None
    by_subset: Mapping[str, Rate]
    consistent: Rate | None
    first_slot_rate: float | None
    repeat_noise: float | None
    flips: float | None
    kappa: float | None
    unparsed: int
    verdicts: int


def load_gold(folder: Path) -> list[GoldPair]:
    """The pairs of every *.json of a folder, by name; ValueError: no file, or a row that is no gold pair."""
    files = sorted(folder.glob("*.json"))
    if not files:
        raise ValueError(f"no *.json with gold pairs in {folder}")
    return [_gold(path, n, row) for path in files for n, row in enumerate(json_list(path))]


def requests(gold: Iterable[GoldPair], benchmark: JudgedBenchmark, repeats: int = 1) -> list[Asked]:
    """Every pair in both orders, `repeats` times; ValueError: a benchmark that does not ask in both."""
    if not benchmark.pairwise or repeats < 1:
        raise ValueError(f"a check wants a pairwise benchmark and repeats >= 1: {benchmark.name}, {repeats}")
    asked = []
    for pair in gold:
        question = Question(pair.id, (pair.instruction,), pair.subset)
        first, second = (Answer(pair.id, (t,), (0,), (False,)) for t in (pair.output_1, pair.output_2))
        items = benchmark.requests(question, first, second)
        found = [r for r in items if isinstance(r, JudgeRequest)]
        if len(found) != len(items) or sorted(r.order for r in found) != sorted(ORDERS):
            orders = ", ".join(r.order or "none" for r in found) or "none"
            raise ValueError(
                f"{benchmark.name} asks {pair.id} in orders: {orders}; a check wants ab, ba: order='both'"
            )
        asked += [Asked(pair, repeat, request) for repeat in range(repeats) for request in found]
    return asked


def report(values: Iterable[Verdict]) -> JudgeQuality:
    """What the verdicts say of the judge. ValueError: two verdicts for one pair, repeat and order.

    An item of which one order could not be read is left out, as half of it would favour a position, and shows
    in `unparsed`. Of a pair with several repeats the mean counts, so that n is a number of pairs.
    """
    verdicts, table = list(values), dict[GoldPair, dict[int, dict[str, float | Unparsed]]]()
    for v in verdicts:
        orders = table.setdefault(v.pair, {}).setdefault(v.repeat, {})
        if v.order not in ORDERS or v.order in orders:
            raise ValueError(f"{v.pair.id}, repeat {v.repeat}: order {v.order!r} is unknown or there twice")
        orders[v.order] = v.value
    items = {pair: found for pair, repeats in table.items() if (found := _complete(repeats.values()))}

    right = {pair: fmean(_right(pair, fmean(item)) for item in found) for pair, found in items.items()}
    subsets = sorted({pair.subset for pair in items})
    sides = [(item[0], 1 - item[1]) for found in items.values() for item in found]
    return JudgeQuality(
        n=len(items),
        pairs=len(table),
        agreement=_rate(list(right.values())),
        by_subset={
            name: rate
            for name in subsets
            if (rate := _rate([share for pair, share in right.items() if pair.subset == name]))
        },
        consistent=_rate([fmean(_same_winner(item) for item in found) for found in items.values()]),
        first_slot_rate=fmean(_half(side) for pair in sides for side in pair) if sides else None,
        repeat_noise=_pooled([[fmean(item) for item in found] for found in items.values()]),
        flips=_flips(items.values()),
        kappa=_kappa(items),
        unparsed=sum(isinstance(v.value, Unparsed) for v in verdicts),
        verdicts=len(verdicts),
    )


Item = tuple[float, float]  # the values of orders ab and ba, both from the view of output_1


def _gold(path: Path, n: int, row: Mapping[str, object]) -> GoldPair:
    match row:
        case {
            "input": str() as asked,
            "output_1": str() as one,
            "output_2": str() as two,
            "label": int() as label,
        }:
            if one != two and label in (1, 2) and not isinstance(label, bool):
                return GoldPair(f"{path.stem}/{n}", path.stem, asked, one, two, 1 if label == 1 else 2)
    raise ValueError(
        f"{path}, row {n + 1}: no gold pair; wants input, two different outputs, and label 1 or 2"
    )


def _complete(repeats: Iterable[Mapping[str, float | Unparsed]]) -> list[Item]:
    """The repeats in which both orders were read."""
    found = []
    for orders in repeats:
        ab, ba = orders.get("ab"), orders.get("ba")
        if isinstance(ab, float | int) and isinstance(ba, float | int):
            found.append((float(ab), float(ba)))
    return found


def _half(value: float) -> float:
    """1 for a win, 0 for a loss, 0.5 for a tie."""
    return 0.5 if abs(value - 0.5) < TIE else float(value > 0.5)


def _right(pair: GoldPair, value: float) -> float:
    return _half(value) if pair.label == 1 else 1 - _half(value)


def _same_winner(item: Item) -> bool:
    return _half(item[0]) == _half(item[1]) != 0.5


def _rate(shares: Sequence[float]) -> Rate | None:
    return Rate(fmean(shares), len(shares)) if shares else None


def _pooled(rows: Iterable[Sequence[float]]) -> float | None:
    """sqrt of the mean variance within rows, each weighing its degrees of freedom."""
    repeated = [row for row in rows if len(row) > 1]
    freedom = sum(len(row) - 1 for row in repeated)
    return sqrt(sum(variance(row) * (len(row) - 1) for row in repeated) / freedom) if freedom else None


def _flips(items: Iterable[Sequence[Item]]) -> float | None:
    """Over every two repeats of a pair and an order."""
    twos = [
        _half(one) != _half(other)
        for found in items
        for order in (0, 1)
        for one, other in combinations([item[order] for item in found], 2)
    ]
    return fmean(twos) if twos else None


def _kappa(items: Mapping[GoldPair, Sequence[Item]]) -> float | None:
    """(observed - expected) / (1 - expected); None where chance alone agrees always."""
    if not items:
        return None
    votes = {pair: fmean(_half(fmean(item)) for item in found) for pair, found in items.items()}
    observed = fmean(vote if pair.label == 1 else 1 - vote for pair, vote in votes.items())
    judge, gold = fmean(votes.values()), fmean(pair.label == 1 for pair in votes)
    expected = judge * gold + (1 - judge) * (1 - gold)
    return (observed - expected) / (1 - expected) if expected < 1 else None
