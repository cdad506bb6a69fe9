"""An equal grid for every method, scored on validation questions: where a suite's settings come from.

A suite's key `tuning` names per method the values to try; every combination is one trial. Methods are tuned
in table order, and one that starts from another's result starts from its best. All trials are written, not
the best alone.
"""

import csv
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import typer

import methods
from harness.evaluate import registry
from harness.executors import scheduler
from harness.executors.this_machine.inline import Inline
from harness.forecast.sizes import PlanSizes
from harness.forecast.threads import threads
from harness.plan import plan as planning
from harness.plan.plan import chosen_methods
from harness.results import records as collect
from harness.run import pipeline
from harness.run.progress import PlainProgress
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


def run(name: str, only: Sequence[str], overrides: Sequence[str], runs: Path, out: Path) -> None:
    """`bench tune`: run every trial, write the table, print the best settings as YAML."""
    loaded = loading.load(name, overrides, registry.known())
    chosen = next((c for c in loaded.benchmarks.chosen.values() if c.declaration.tuning_data), None)
    if not loaded.tuning or chosen is None:
        raise ValueError(f"{name}: has no key `tuning`, or no benchmark to tune on, such as `rule`")
    known, store = methods.registry(), Store(runs / "store")
    # On validation questions: settings that were chosen on the test questions would be fitted to them.
    asked = chosen.settings.model_copy(update={"data": chosen.declaration.tuning_data})
    only_this = Benchmarks({chosen.name: chosen._replace(settings=asked)})
    # A trial is its first verdicts: how far a judge scatters is asked of the run.
    once = {name: judge.asked_once() for name, judge in loaded.judges.items()}
    loaded = loaded.model_copy(update={"benchmarks": only_this, "judges": once})
    loading.check_tuning(loaded, known)  # a value out of range is told before any trial
    trials: list[Trial] = []
    best: dict[str, Trial] = {}
    for method in chosen_methods(loaded, only, known):
        found = [_trial(loaded, known, store, method, settings) for settings in grid(loaded, method)]
        best[method] = max(found, key=lambda t: t.score)
        # From here on the method has its best settings, for what starts from it.
        loaded = with_settings(loaded, method, best[method].settings)
        trials += found
    write(trials, best, out)
    for method, trial in best.items():
        typer.echo(f"  {method}: {dict(with_settings(loaded, method, trial.settings).methods[method] or {})}")
    typer.echo(f"Written: {out}, {len(trials)} trials")


def _trial(
    loaded: Suite, known: dict[str, Method], store: Store, method: str, settings: dict[str, Any]
) -> Trial:
    tried = with_settings(loaded, method, settings)
    where = pipeline.machine(store.root.parent)
    plan = planning.plan(tried, known, where, only=[method])
    waiting = sum(not store.is_done(step) for step in plan.steps)
    of_models = partial(threads, sizes=PlanSizes(tried, where, store, {}))
    scheduler.run(plan.steps, store, PlainProgress(waiting), Inline(store, of_models))
    rows = [r for r in collect.records(plan, store) if r.method == method and r.value is not None]
    score = fmean(r.value for r in rows if r.value is not None)
    typer.echo(f"{method} {settings}: rule score {score:.3f}")
    return Trial(method, settings, score, len(rows), sum(r.truncated for r in rows))


def write(trials: Sequence[Trial], best: Mapping[str, Trial], out: Path) -> None:
    """All trials as CSV, in the order they ran."""
    with out.open("w", newline="") as f:
        table = csv.writer(f, lineterminator="\n")
        table.writerow(COLUMNS)
        for t in trials:
            setting, value = next(((k, v) for k, v in t.settings.items() if k != "lr"), ("", ""))
            chosen, lr = "yes" if best[t.method] is t else "", t.settings.get("lr", "")
            table.writerow((t.method, lr, setting, value, f"{t.score:.4f}", t.n, t.truncated, chosen))
