"""A plan as it is printed: what it takes by kind of step, what is shared, and every step with why it runs.

Numbers behind a "~" rest on something assumed, which is listed; a step without an estimate has "-".
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.common.cost import Cost
from harness.common.text import aligned, size
from harness.executors.options import Machine
from harness.forecast.forecast import ROOM, Forecast
from harness.forecast.threads import threads
from harness.store.provenance import reason_to_run
from harness.store.step import Step
from harness.store.store import Store
from harness.train.costs import TRAIN

HEAD = ("kind", "steps", "to do", "FLOPs", "time", "disk", "memory", "judging")
LONGEST_CHAIN = 8  # steps of the chain that are named


class Total(NamedTuple):
    """Sums over some steps; memory is the largest, usd None where a price is missing."""

    flops: float
    seconds: float
    disk: float
    memory: float
    usd: float | None
    assumed: bool


def total(found: Forecast, steps: Iterable[Step]) -> Total:
    """Sums over some steps."""
    steps = list(steps)
    costs = [found.costs[s.id] for s in steps]
    return Total(
        sum(c.flops for c in costs),
        sum(found.seconds(s) for s in steps),
        sum(c.disk for c in costs),
        max((c.memory for c in costs), default=0.0),
        usd_of(costs),
        any(c.assumed or c.unknown for c in costs),
    )


def usd_of(costs: Iterable[Cost]) -> float | None:
    """Their sum; one price that is missing makes it unknown rather than too small."""
    usd = [c.usd for c in costs]
    return None if None in usd else sum(u for u in usd if u is not None)


def money(usd: float | None) -> str:
    """USD to the cent, "-" where no price is known."""
    return "-" if usd is None else f"{usd:,.2f}"


def plan_lines(found: Forecast, store: Store, devices: int) -> Iterator[str]:
    """The lines of a plan."""
    device, plan = found.device, found.plan
    note = f"; {device.note}" if device.note else ""
    yield f"{plan.suite.name} on {devices} x {device.name} ({size(device.memory)} each{note}), an estimate:"
    yield from by_kind(found)
    told = _sharing(found), _schedule(found, devices), _threads(found), _trainings(found), _limits(found)
    yield from (f"  {line}" for lines in told for line in lines)
    yield from _assumed(found.costs)
    yield ""
    # Summaries first: the list of steps of a large suite is longer than a screen.
    for step in plan.steps:
        reason = reason_to_run(step, store)
        line = f"{step.kind.name}-{step.id}  {step.label}"
        yield f"run   {line}  [{reason}]  {columns(found, step)}".rstrip() if reason else f"done  {line}"
    yield f"{plan.suite.name}: {len(plan.steps)} steps, {len(found.todo)} to do"


def by_kind(found: Forecast) -> list[str]:
    """A line for each kind of step, for all, and for what is to do."""
    steps = found.plan.steps
    todo = [s for s in steps if s.id in found.todo]
    kinds = dict.fromkeys(s.kind.name for s in steps)
    groups = {kind: [s for s in steps if s.kind.name == kind] for kind in kinds}
    rows: list[tuple[str, ...]] = [HEAD]
    for name, group in (*groups.items(), ("all", list(steps)), ("to do", todo)):
        counts = str(len(group)), str(sum(s.id in found.todo for s in group))
        rows.append((name, *counts, *_cells(total(found, group))))
    return _table(rows)


def _cells(x: Total) -> tuple[str, ...]:
    about = "~" if x.assumed else ""
    usd = "" if x.usd == 0 else "-" if x.usd is None else f"USD {money(x.usd)}"
    numbers = (power(x.flops), time(x.seconds), size(x.disk), size(x.memory))
    return (*(f"{about}{n}" if n else "" for n in numbers), usd)


def columns(found: Forecast, step: Step) -> str:
    """The numbers of one step."""
    cost = found.costs[step.id]
    if cost.unknown:
        return "-"
    numbers = _cells(total(found, [step]))
    words = ("FLOPs", "", "disk", "memory", "")
    return ", ".join(f"{n} {w}".strip() for n, w in zip(numbers, words, strict=True) if n)


def _sharing(found: Forecast) -> Iterator[str]:
    s = found.sharing
    yield (
        f"teacher passes: {s.passes_needed} needed by the rows one by one, {s.passes_run} run; "
        f"teacher responses: {s.responses_needed} needed, {s.responses_run} run"
    )
    yield (
        f"steps to the rows' checkpoints: {s.steps_alone} one by one, {s.steps_run} in this plan "
        f"(FLOPs {power(s.flops_alone) or 0}, {power(s.flops_run) or 0})"
    )


def _schedule(found: Forecast, devices: int) -> Iterator[str]:
    plan = found.on(devices)
    if not plan.makespan:
        return
    labels = {s.id: s.label for s in found.plan.steps}
    # Steps of less than a hundredth of its time, such as links, would hide those that matter.
    timed = [i for i in plan.chain if found.device.seconds(found.costs[i]) > plan.chain_seconds / 100]
    names = [labels[i] for i in timed[:LONGEST_CHAIN]]
    more = f" > {len(timed) - len(names)} more" if len(timed) > len(names) else ""
    yield (
        f"on {devices}: done in {time(plan.makespan)}, {100 * plan.used:.0f} % of the devices' time used; "
        f"the longest chain takes {time(plan.chain_seconds)}: {' > '.join(names)}{more}"
    )


def _threads(found: Forecast) -> Iterator[str]:
    """Of steps on CPUs; beside a GPU they compute next to nothing there."""
    if found.device.name == "cpu":
        counts = Counter(threads(step, found.sizes) for step in found.plan.steps)
        told = ", ".join(f"{n} in {steps} steps" for n, steps in sorted(counts.items()))
        yield f"threads of a step: {told}, by the size of its models; --resources cpus=N gives each N"


def _trainings(found: Forecast) -> Iterator[str]:
    """How trainings run that do not run as they come: as the suite says, or so that they fit the device."""
    labels: dict[str, set[str]] = {}
    for step in found.plan.steps:
        if step.kind == TRAIN and step.id in found.todo and (how := _runs(step, found.sizes.machine)):
            labels.setdefault(how, set()).add(step.label)
    for how, names in labels.items():
        yield f"{how}: {', '.join(sorted(names))}"


def _runs(step: Step, machine: Machine) -> str:
    context = step.context
    devices, shard, tokens = context["processes"], context["shard"], context["tokens"]
    words = {
        f"{devices} devices{', ' * bool(shard)}{shard}": devices > 1,
        "recomputed layers": context["checkpointing"] is True,
        f"micro-batches of {tokens:,} positions": tokens < machine.tokens,
        "AdamW without `foreach`": not context.get("foreach", True),
        "AdamW in 8 bits": step.settings.training.optimizer == "adamw8bit",
    }
    return ", ".join(word for word, is_so in words.items() if is_so)


def _limits(found: Forecast) -> Iterator[str]:
    if large := found.too_large:
        first, limit = large[0], found.device.memory
        # Weights and optimizer states stay whatever the batch is.
        fixed = [s for s in large if found.costs[s.id].fixed > ROOM * limit]
        names = ", ".join(sorted({s.label for s in fixed}))
        never = f"; no single device holds these, several do (`devices`, `shard`): {names}" if fixed else ""
        yield (
            f"does not fit into {size(limit)}: {len(large)} steps, the largest {first.label!r} with "
            f"{size(found.costs[first.id].memory)}; answers take less with a smaller --batch{never}"
        )
    reasons = Counter(c.unknown for c in found.costs.values() if c.unknown)
    for reason, count in reasons.items():
        yield f"no estimate for {count} steps, left out above: {reason} is not known here"


def _assumed(costs: Mapping[str, Cost]) -> Iterator[str]:
    notes = Counter(note for cost in costs.values() for note in cost.assumed)
    if notes:
        yield "  ~ rests on what is assumed, in so many steps:"
    for note, count in notes.items():
        yield f"      {note} ({count})"


def power(flops: float) -> str:
    """3.1e16; nothing for none."""
    return f"{flops:.1e}".replace("e+", "e") if flops else ""


def time(seconds: float) -> str:
    """Seconds, minutes or hours; nothing for less than a tenth of a second."""
    if seconds < 0.05:
        return ""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


CHECK_HEAD = (
    *("kind", "done", "FLOPs", "recorded", "ratio"),
    *("time", "recorded", "ratio", "disk", "on disk", "ratio"),
)


class Measured(NamedTuple):
    """What a finished step recorded; flops None where its kind counts none. seconds; bytes on disk."""

    flops: float | None
    seconds: float
    disk: int


def measured(step: Step, store: Store) -> Measured | None:
    """The record of a step, None where it is not done."""
    folder = store.find(step)
    if folder is None:
        return None
    record = store.record(folder)
    counted = record["measured"]
    flops = counted["flops"] + counted.get("teacher_flops", 0) if "flops" in counted else None
    return Measured(flops, float(record["seconds"]), written(folder))


def written(folder: Path) -> int:
    """Bytes that a step wrote: what its folder links to is not among them."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


def record_lines(found: Forecast, store: Store) -> Iterator[str]:
    """A line for each kind with finished steps, and one for all."""
    done = {s.id: m for s in found.plan.steps if (m := measured(s, store)) is not None}
    rows: list[tuple[str, ...]] = [CHECK_HEAD]
    kinds = dict.fromkeys(s.kind.name for s in found.plan.steps)
    for kind in (*kinds, "all"):
        pairs = [(s, m) for s in found.plan.steps if (m := done.get(s.id)) and kind in (s.kind.name, "all")]
        if not pairs:
            continue
        # What counts no operations is left out of both sums, or their ratio would say nothing.
        flops = [(found.costs[s.id].flops, m.flops) for s, m in pairs if m.flops is not None]
        seconds = [(found.seconds(s), m.seconds) for s, m in pairs]
        disk = [(found.costs[s.id].disk, float(m.disk)) for s, m in pairs]
        cells = (*_compared(flops, power), *_compared(seconds, time), *_compared(disk, size))
        rows.append((kind, str(len(pairs)), *cells))
    yield "estimated against recorded, of the steps that are done:"
    yield from _table(rows)


def _compared(pairs: Sequence[tuple[float, float]], shown: Callable[[float], str]) -> tuple[str, ...]:
    """Sums of estimates and of what was recorded, and their ratio."""
    estimated, recorded = sum(e for e, _ in pairs), sum(r for _, r in pairs)
    ratio = f"{estimated / recorded:.2f}" if recorded and estimated else ""
    return shown(estimated), shown(recorded), ratio


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"  {line}" for line in aligned(rows, numbers=range(1, len(rows[0])))]
