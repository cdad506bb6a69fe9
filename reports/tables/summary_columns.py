"""Columns of numbers that no mean over items gives: what a benchmark's own way of adding up says of a row.

A cell is the mean over seeds; its interval is the one that was drawn with the number (clustered by question,
refitted where a model was fitted), so it is there for one seed only.
"""

from collections.abc import Sequence
from math import fsum
from typing import NamedTuple

from reports.records.rows import Summary
from reports.tables.table import Cell, Column, Unit


class Spec(NamedTuple):
    """A column: its benchmark and metric, the metrics of its bounds and of its number of items."""

    benchmark: str
    metric: str
    title: str
    unit: Unit
    bounds: tuple[str, str] | None
    n: str
    note: str


NORMALISED = "normalised as the leaderboard does, guessing is 0; no interval"
COLUMNS = (
    Spec(
        "alpaca-eval-2",
        "lc_win_rate",
        "AlpacaEval 2 LC (%)",
        "share",
        ("lc_low", "lc_high"),
        "n",
        "alpaca_eval's GLM; interval: bootstrap over instructions with the GLM refitted, B = 1,000",
    ),
    Spec(
        "arena-hard",
        "win_rate",
        "Arena-Hard (%)",
        "share",
        ("low", "high"),
        "n",
        "Arena-Hard's weights for clear verdicts; interval: bootstrap over questions, both games together",
    ),
    Spec("openllm-v2", "average", "OpenLLM v2", "share", None, "n", NORMALISED),
)


class Slot(NamedTuple):
    """A column with what it reads."""

    spec: Spec
    judge: str
    reference: str
    summaries: list[Summary]


def find(summaries: Sequence[Summary]) -> list[Slot]:
    """The columns that there is a number for; two judges, or two references, make two."""
    slots = []
    for spec in (*COLUMNS, *_parts(summaries)):
        own = [s for s in summaries if s.benchmark == spec.benchmark]
        there = sorted({(s.judge, s.reference) for s in own if s.metric == spec.metric})
        slots += [Slot(spec, *key, [s for s in own if (s.judge, s.reference) == key]) for key in there]
    return slots


def _parts(summaries: Sequence[Summary]) -> list[Spec]:
    """A column for each benchmark of OpenLLM v2, where its average could not be had."""
    metrics = {s.metric for s in summaries if s.benchmark == "openllm-v2"}
    if "average" in metrics:
        return []
    parts = sorted(m for m in metrics if m.startswith("normalised/"))
    return [
        Spec("openllm-v2", m, m.rpartition("leaderboard_")[2], "share", None, "", NORMALISED) for m in parts
    ]


def column(slot: Slot, slots: Sequence[Slot]) -> Column:
    """Titled by its spec, and by judge and reference where they tell columns apart."""
    siblings = [s for s in slots if s.spec == slot.spec]
    told = f" vs {slot.reference}" if len({s.reference for s in siblings}) > 1 else ""
    told += f" by {slot.judge}" if len({s.judge for s in siblings}) > 1 else ""
    spec = slot.spec
    return Column(f"{spec.benchmark}.{spec.metric}{told}", spec.title + told, spec.unit, True)


def cell(slot: Slot, dataset: str, method: str) -> Cell:
    """A method's number in a column, "-" where it has none."""
    spec = slot.spec
    own = [s for s in slot.summaries if (s.dataset, s.method) == (dataset, method)]
    values = {s.seed: s.value for s in own if s.metric == spec.metric}
    if not values:
        return Cell()
    of = {(s.seed, s.metric): s.value for s in own}
    mean, count = fsum(values.values()) / len(values), int(sum(of.get((seed, spec.n), 0) for seed in values))
    notes = ("df_gamed.csv is a stand-in",) if any(of.get((s, "lc_stand_in")) for s in values) else ()
    if spec.bounds is None or len(values) > 1:
        return Cell(mean, n=count, notes=notes)
    (seed,) = values
    low, high = (of.get((seed, bound)) for bound in spec.bounds)
    return Cell(mean, low, high, n=count, notes=notes)


def notes(slots: Sequence[Slot]) -> tuple[str, ...]:
    """Where the numbers come from."""
    told = []
    for slot in slots:
        sources = [f"{k} {v}" for k, v in (("judge", slot.judge), ("reference", slot.reference)) if v]
        told.append(f"{column(slot, slots).title}: {', '.join([*sources, slot.spec.note])}")
    return tuple(told)
