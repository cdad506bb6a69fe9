"""Columns of measured values, before they are a table: which groups each reads, and its cells.

A cell is the mean over questions of the mean over a question's turns, orders and seeds; OpenLLM is the
unweighted mean over tasks of that. Two judges, or two references, make two slots.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reports.records.groups import Group, Measured
from reports.records.rows import Record
from reports.statistics import variance
from reports.statistics.bootstrap import Bootstrap, Draw, Estimate, bootstrap, difference, interval
from reports.statistics.variance import Part, Sample
from reports.tables.table import Cell, Column, Unit


class Spec(NamedTuple):
    """A column of the main table: which records it reads, how it is titled, whether its highest is best."""

    benchmark: str
    metric: str
    title: str
    unit: Unit
    best: bool


COLUMNS = (
    Spec("mt-bench", "score", "MT-Bench", "score", True),
    Spec("alpaca-eval", "win_rate", "AlpacaEval WR (%)", "share", True),
    Spec("alpaca-eval-2", "win_rate", "AlpacaEval 2 WR (%)", "share", True),
    Spec("gsm8k-cot", "accuracy", "GSM8K 0-shot CoT (%)", "share", True),
    Spec("openllm", "primary", "OpenLLM", "share", True),
    Spec("rule", "score", "Rule score", "score", True),
    Spec("implicit-reward", "accuracy", "Reward accuracy (%)", "share", True),
    Spec("teacher-reward", "reward", "Teacher reward", "nats", True),
    Spec("reward", "reward", "Reward", "score", True),
    Spec("reward", "win_rate", "Reward WR (%)", "share", True),
    Spec("teacher-reward", "length", "Length (tokens)", "tokens", False),
    Spec("teacher-reward", "truncated", "Truncated (%)", "share", False),
)
TASKS = {
    "arc_challenge": "ARC-Challenge",
    "gsm8k": "GSM8K",
    "hellaswag": "HellaSwag",
    "mmlu": "MMLU",
    "truthfulqa_mc2": "TruthfulQA",
    "winogrande": "Winogrande",
}
NATS = "sum over tokens of log pi_dpo - log pi_ref, nats"
ONE_SEED = "conditional on this checkpoint"
SEEDS = "rows of several seeds: t over chance of seeds and of questions"
Estimator = Callable[[Bootstrap, Sample, str], Estimate | None]
NOTHING = Measured({}, {})


@dataclass(frozen=True, eq=False)
class Slot:
    """A column with what it reads: (dataset, method) -> its group, and records that say why there is none."""

    spec: Spec
    judge: str
    reference: str
    groups: dict[tuple[str, str], Group]
    reasons: list[Record]


def find(groups: Iterable[Group]) -> list[Slot]:
    """The columns that any group of a pair is for; a reason that names no judge or reference is for all."""
    by_benchmark: dict[str, list[Group]] = defaultdict(list)
    for g in groups:
        by_benchmark[g.benchmark].append(g)
    slots = []
    for spec in COLUMNS:
        of_benchmark = by_benchmark.get(spec.benchmark, [])
        reasons = [r for g in of_benchmark for r in g.reasons]
        of_spec: dict[tuple[str, str], dict[tuple[str, str], Group]] = defaultdict(dict)
        for g in of_benchmark:
            if g.metric == spec.metric and g.records:
                of_spec[g.judge, g.reference][g.dataset, g.method] = g

        variants = set(of_spec)
        for r in reasons:
            if r.metric in ("", spec.metric) and not any(_is_for(r, *v) for v in variants):
                variants.add((r.judge, r.reference))
        for judge, reference in sorted(variants):
            why = [r for r in reasons if _is_for(r, judge, reference)]
            slots.append(Slot(spec, judge, reference, of_spec.get((judge, reference), {}), why))
    return slots


def mean(boot: Bootstrap, sample: Sample, method: str) -> Estimate:
    """The mean of a method; where it has several seeds, its interval is over seeds and questions."""
    return _two_level(interval(boot, method), variance.parts_of_mean(sample, method))


def less(baseline: str) -> Estimator:
    """The mean of a method minus that of `baseline`, which has none itself."""

    def estimate(boot: Bootstrap, sample: Sample, method: str) -> Estimate | None:
        if method == baseline or baseline not in boot.methods:
            return None
        parts = variance.parts_of_difference(sample, method, baseline)
        return _two_level(difference(boot, method, baseline), parts)

    return estimate


def _two_level(found: Estimate, parts: list[Part]) -> Estimate:
    """With the interval of these parts; without any, that of the resamples stays."""
    if not parts:
        return found
    half = variance.half_width(parts)
    return found._replace(low=found.value - half, high=found.value + half)


def _is_for(reason: Record, judge: str, reference: str) -> bool:
    return reason.judge in ("", judge) and reason.reference in ("", reference)


def cells(
    slot: Slot, dataset: str, methods: Sequence[str], estimate: Estimator, draw: Draw
) -> dict[str, Cell]:
    """method -> its cell. Methods that lack a task have none: means over different tasks do not compare."""
    groups = {m: g for m in methods if (g := slot.groups.get((dataset, m)))}
    strata = {stratum for g in groups.values() for stratum in g.strata}
    measured = {m: groups[m].measured if m in groups else NOTHING for m in methods}
    values = {m: of.values for m, of in measured.items()}
    lacks = {m: sorted(strata - {item.stratum for item in values[m]}) for m in methods}
    whole = {m: values[m] for m in methods if values[m] and not lacks[m]}
    told = {}
    if whole:
        weights = weights_of(strata)
        boot = bootstrap(whole, draw.seed, draw.resamples, weights)
        sample = variance.sample(whole, {m: measured[m].runs for m in whole}, weights)
        told = {m: estimate(boot, sample, m) for m in whole}

    found = {}
    notes_of = cell_notes(slot, dataset, methods)
    for m in methods:
        there, notes = told.get(m), notes_of[m]
        if values[m] and lacks[m]:
            notes += (f"no average without {', '.join(lacks[m])}",)
        found[m] = Cell(*there, notes=notes) if there else Cell(notes=notes)
    return found


def weights_of(strata: set[str]) -> dict[str, float]:
    """Tasks weigh the same; MMLU's subjects weigh as much as one task together, as on the leaderboard."""
    tasks = {name: "mmlu" if name.startswith("mmlu_") else name for name in strata}
    sizes = Counter(tasks.values())
    return {name: 1 / sizes[task] for name, task in tasks.items()}


def cell_notes(slot: Slot, dataset: str, methods: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What each cell lacks: values by their status, seeds that other rows have, and the reasons given."""
    every = set().union(*(g.seeds for m in methods if (g := slot.groups.get((dataset, m)))))
    found = {}
    for m in methods:
        notes, own = [], set[int]()
        if (g := slot.groups.get((dataset, m))) is not None:
            own = set(g.measured.runs)
            notes += [f"{count} of {len(g.records)} {status}" for status, count in sorted(g.lost.items())]
        if own and own != every:
            notes.append(f"seed {_listed(own)} of {_listed(every)}")
        reasons = [r for r in slot.reasons if (r.dataset, r.method) == (dataset, m)]
        found[m] = (*notes, *sorted({r.status for r in reasons if r.seed not in own}))
    return found


def column(slot: Slot, slots: list[Slot]) -> Column:
    """Titled by its spec, or its only task; by judge and reference as well where they tell columns apart."""
    spec = slot.spec
    siblings = [s for s in slots if s.spec == spec]
    told = ""
    if len({s.reference for s in siblings}) > 1:
        told += f" vs {slot.reference or 'none'}"
    if len({s.judge for s in siblings}) > 1:
        told += f" by {slot.judge or 'none'}"
    tasks = tasks_of(slot)
    name = TASKS.get(tasks[0], tasks[0]) if len(tasks) == 1 else spec.title
    return Column(f"{spec.benchmark}.{spec.metric}{told}", name + told, spec.unit, spec.best)


def tasks_of(slot: Slot) -> list[str]:
    """The tasks of OpenLLM's column; MMLU's subjects are one."""
    if slot.spec.benchmark != "openllm":
        return []
    return sorted({"mmlu" if t.startswith("mmlu_") else t for g in slot.groups.values() for t in g.tasks})


def notes(slots: list[Slot], methods: Sequence[str], draw: Draw) -> tuple[str, ...]:
    """Where the values of these columns come from, and how their intervals are drawn."""
    told = []
    for slot in slots:
        name = column(slot, slots).title
        sources = [f"{k} {v}" for k, v in (("judge", slot.judge), ("reference", slot.reference)) if v]
        if sources:
            told.append(f"{name}: {', '.join(sources)}")
        if tasks := tasks_of(slot):
            mean_over = "unweighted mean over " if len(tasks) > 1 else ""
            told.append(f"{name}: {mean_over}{', '.join(tasks)}, in percent")
        if slot.spec.unit == "nats":
            told.append(f"{name}: {NATS}")
    told.append(intervals(slots, draw))
    if any(s.spec.benchmark == "alpaca-eval" and s.reference in methods for s in slots):
        told.append("an AlpacaEval row equal to its reference is 50 by definition")
    return tuple(told)


def intervals(slots: list[Slot], draw: Draw) -> str:
    """How the intervals of these columns are drawn, and what they leave out."""
    seeds: dict[str, set[int]] = defaultdict(set)
    for g in (g for slot in slots for g in slot.groups.values()):
        seeds[g.method] |= g.seeds
    every, single = set().union(*seeds.values()), sorted(m for m, of in seeds.items() if len(of) < 2)
    kind = f"95 % bootstrap over questions, B = {draw.resamples:,}, seed {draw.seed}, paired"
    if len(every) < 2:
        return f"intervals: {kind}; {ONE_SEED}"
    rest = f"; {', '.join(single)}: {kind}, {ONE_SEED}" if single else ""
    return f"intervals: 95 %, means over seeds {_listed(every)}; {SEEDS}{rest}"


def _listed(seeds: set[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))
