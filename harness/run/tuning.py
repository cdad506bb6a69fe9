"""An equal grid for every method, scored on validation questions: where a suite's settings come from.

A suite's key `tuning` names per method the values to try; every combination is one trial. Trials are made
side by side; a method that starts from another's result waits for it, and starts from its best. All trials
are written, not the best alone.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import typer

import methods
from harness.endpoints import prices
from harness.evaluate import registry
from harness.executors.options import NO_LIMITS, RUN_DEFAULTS, RunOptions
from harness.forecast import planned
from harness.plan import plan as planning
from harness.plan.plan import Plan, chosen_methods
from harness.results import records as collect
from harness.run import pipeline
from harness.store.store import Store
from harness.suite import loading
from harness.suite.benchmarks import Benchmarks
from harness.suite.loading import grid, with_settings
from harness.suite.schema import Suite
from methods.api import Method

COLUMNS = ("method", "lr", "setting", "value", "rule_score", "n", "truncated", "best")


class Trial(NamedTuple):
    """One combination of a method's grid and its mean rule score, 1-10, on the validation questions."""

    method: str
    settings: Mapping[str, Any]
    score: float
    n: int
    truncated: int


def run(
    name: str,
    only: Sequence[str],
    overrides: Sequence[str],
    runs: Path,
    out: Path,
    options: RunOptions = RUN_DEFAULTS,
) -> None:
    """`bench tune`: run every trial, write the table, print the best settings as YAML."""
    loaded = loading.load(name, overrides, registry.known())
    chosen = next((c for c in loaded.benchmarks.chosen.values() if c.declaration.tuning_data), None)
    if not loaded.tuning or chosen is None:
        raise ValueError(f"{name}: has no key `tuning`, or no benchmark to tune on, such as `rule`")
    known, store = loading.with_starts(loaded, methods.registry()), Store(runs / "store")
    # On validation questions: settings that were chosen on the test questions would be fitted to them.
    asked = chosen.settings.model_copy(update={"data": chosen.declaration.tuning_data})
    only_this = Benchmarks({chosen.name: chosen._replace(settings=asked)})
    # A trial is its first verdicts: how far a judge scatters is asked of the run.
    once = {name: judge.asked_once() for name, judge in loaded.judges.items()}
    loaded = loaded.model_copy(update={"benchmarks": only_this, "judges": once})
    loading.check_tuning(loaded, known)  # a value out of range is told before any trial
    names = chosen_methods(loaded, only, known)
    trials: dict[str, list[Trial]] = {}
    best: dict[str, Trial] = {}
    for group in side_by_side(names, known):
        found = _trials(loaded, known, store, group, options)
        trials |= found
        for method in group:
            best[method] = max(found[method], key=lambda t: t.score)
            # From here on the method has its best settings, for what starts from it.
            loaded = with_settings(loaded, method, best[method].settings)
    tried = [trial for method in names for trial in trials[method]]
    write(tried, best, out)
    for method in names:
        settings = with_settings(loaded, method, best[method].settings).methods[method] or {}
        typer.echo(f"  {method}: {dict(settings)}")
    typer.echo(f"Written: {out}, {len(tried)} trials")


def side_by_side(names: Sequence[str], known: Mapping[str, Method]) -> list[list[str]]:
    """The methods in groups, each in the order given: one that starts from another's result is in a later
    group than that.
    """

    def before(name: str) -> int:
        start = known[name].starts_from
        return 1 + before(start) if start in known else 0

    depths = {name: before(name) for name in names}
    return [[n for n in names if depths[n] == depth] for depth in sorted(set(depths.values()))]


def _trials(
    loaded: Suite, known: dict[str, Method], store: Store, group: Sequence[str], options: RunOptions
) -> dict[str, list[Trial]]:
    """Every trial of some methods, all made at once."""
    where, table = pipeline.machine(store.root.parent, options), prices.load(None)
    plans = {
        method: [
            (settings, planning.plan(with_settings(loaded, method, settings), known, where, only=[method]))
            for settings in grid(loaded, method)
        ]
        for method in group
    }
    whole = planning.merged([plan for tried in plans.values() for _, plan in tried], store.is_done)
    if where.device == "cuda":
        whole = planned.fit(whole, store, where, options, table)
    pipeline.make(whole, store, where, options, table, NO_LIMITS, store.root.parent / loaded.name / "logs")
    return {
        method: [_trial(method, settings, plan, store) for settings, plan in tried]
        for method, tried in plans.items()
    }


def _trial(method: str, settings: dict[str, Any], plan: Plan, store: Store) -> Trial:
    rows = [r for r in collect.records(plan, store) if r.method == method and r.value is not None]
    score = fmean(r.value for r in rows if r.value is not None)
    typer.echo(f"{method} {settings}: rule score {score:.3f}")
    return Trial(method, settings, score, len(rows), sum(r.truncated for r in rows))


def write(trials: Sequence[Trial], best: Mapping[str, Trial], out: Path) -> None:
    """All trials as CSV."""
    with out.open("w", newline="") as f:
        table = csv.writer(f, lineterminator="\n")
        table.writerow(COLUMNS)
        for t in trials:
            setting, value = next(((k, v) for k, v in t.settings.items() if k != "lr"), ("", ""))
            chosen, lr = "yes" if best[t.method] is t else "", t.settings.get("lr", "")
            table.writerow((t.method, lr, setting, value, f"{t.score:.4f}", t.n, t.truncated, chosen))
