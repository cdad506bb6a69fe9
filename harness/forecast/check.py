"""Estimates against what finished steps recorded: operations, seconds and bytes, as ratios by kind of step.

A step's estimate reads the records of its inputs and never its own, so it is what would have been said just
before the step ran.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.forecast.forecast import Forecast
from harness.forecast.report import aligned, power, size, time
from harness.store.step import Step
from harness.store.store import Store

HEAD = ("kind", "done", "FLOPs", "recorded", "ratio", "time", "recorded", "ratio", "disk", "on disk", "ratio")


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


def checked(found: Forecast, store: Store) -> Iterator[str]:
    """A line for each kind with finished steps, and one for all."""
    done = {s.id: m for s in found.plan.steps if (m := measured(s, store)) is not None}
    rows = [HEAD]
    kinds = dict.fromkeys(s.kind for s in found.plan.steps)
    for kind in (*kinds, "all"):
        pairs = [(s, m) for s in found.plan.steps if (m := done.get(s.id)) and kind in (s.kind, "all")]
        if not pairs:
            continue
        counted = [(found.costs[s.id].flops, m.flops) for s, m in pairs if m.flops is not None]
        flops = sum(a for a, _ in counted), sum(b for _, b in counted)
        seconds = sum(found.seconds(s) for s, _ in pairs), sum(m.seconds for _, m in pairs)
        disk = sum(found.costs[s.id].disk for s, _ in pairs), sum(m.disk for _, m in pairs)
        rows.append(
            (
                kind,
                str(len(pairs)),
                *(power(flops[0]), power(flops[1]), _ratio(*flops)),
                *(time(seconds[0]), time(seconds[1]), _ratio(*seconds)),
                *(size(disk[0]), size(disk[1]), _ratio(*disk)),
            )
        )
    yield "estimated against recorded, of the steps that are done:"
    yield from aligned(rows)


def _ratio(estimated: float, recorded: float) -> str:
    return f"{estimated / recorded:.2f}" if recorded and estimated else ""
