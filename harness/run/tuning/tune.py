"""`bench tune`: an equal number of trials of every method, scored on validation questions.

Trials are made side by side; a method that starts from another's result waits for it, and starts from its
best. All trials are written, not the best alone, and a trial that is in the store is not made again.
"""

import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import typer

import methods
from harness.common import hub
from harness.common.secrets.redaction import json_text
from harness.common.text import printed
from harness.endpoints import prices
from harness.evaluate import registry
from harness.executors.options import (
    NO_LIMITS,
    RUN_DEFAULTS,
    TRAINING_DEFAULTS,
    RunOptions,
    Spending,
    TrainingOptions,
)
from harness.forecast import planned
from harness.plan import row_steps
from harness.plan.context import PlanContext
from harness.plan.endpoints import Endpoints, asked_before
from harness.plan.plan import Plan, chosen_methods
from harness.run import pipeline, run_names
from harness.run.plans import shown
from harness.run.tuning import outcome as written
from harness.run.tuning.outcome import Outcome
from harness.run.tuning.trials import Bench, Trial, metric_of, ranked, result
from harness.run.tuning.validation_questions import Validation, checked
from harness.store.store import Store
from harness.suite import loading
from harness.suite.method_file import methods_in, with_rows
from harness.suite.schema import Suite
from harness.suite.tuning import scoring, search
from harness.suite.tuning.search import Settings, Values
from harness.suite.tuning.section import TRIALS
from methods.api import Method
from reports import terminal


@dataclass(frozen=True)
class Wanted:
    """What is typed: a suite with what is set in it, its methods, and files that define more; `out` is one
    that all trials are written to as well.
    """

    suite: str
    overrides: Sequence[str] = ()
    only: Sequence[str] = ()
    method_file: str | None = None
    benchmark_file: str | None = None
    judge_file: str | None = None
    name: str | None = None
    out: Path | None = None

    @property
    def files(self) -> list[str]:
        """The options that name files of one's own."""
        given = {"method": self.method_file, "benchmark": self.benchmark_file, "judge": self.judge_file}
        return [word for what, file in given.items() if file for word in (f"--{what}-file", file)]

    @property
    def read(self) -> set[Path]:
        """The files that are read for it."""
        own = self.method_file, self.benchmark_file, self.judge_file
        return {Path(name).resolve() for name in (loading.suite_file(self.suite), *own) if name}

    @property
    def command(self) -> str:
        """The command that asks for it, without what changes no result."""
        sets = [word for given in self.overrides for word in ("--set", given)]
        only = [word for given in self.only for word in ("--only", given)]
        return shlex.join(["bench", "tune", self.suite, *only, *sets, *self.files])


@dataclass(frozen=True)
class Search:
    """A suite, the same as its trials are scored, the tuned methods, and how many trials each has."""

    suite: Suite
    scored: Suite
    registry: Mapping[str, Method]
    names: Sequence[str]
    count: int | None

    def values(self, method: str) -> Values:
        """What is tried of a method."""
        return search.values_of(self.suite, self.registry[method], self.count)


def run(
    wanted: Wanted,
    runs: Path,
    options: RunOptions = RUN_DEFAULTS,
    spending: Spending = NO_LIMITS,
    training: TrainingOptions = TRAINING_DEFAULTS,
) -> None:
    """`bench tune`: make every trial, write them and the best settings, print the table."""
    if options.track:
        raise ValueError(
            "--track: trackers are told of runs and not of trials; give it to the run of the best"
        )
    if wanted.out and (wanted.out.is_dir() or not wanted.out.parent.is_dir()):
        raise ValueError(f"--out {wanted.out}: a file in a folder that is there")
    if wanted.out and wanted.out.resolve() in wanted.read:
        raise ValueError(f"--out {wanted.out}: is read here, and would be written over; another file")
    looked = _look(wanted)
    store, where = Store(runs / "store"), pipeline.machine(runs, options, training)
    folder = runs / f"{looked.suite.name}-tune"
    scored = looked.scored.model_copy(update={"name": folder.name})
    endpoints = Endpoints(lambda: asked_before(store), options.reuse)
    common = store, where, options, prices.load(spending.prices), spending, endpoints, wanted.method_file
    bench = Bench(scored, looked.registry, *common)
    if options.plan or options.check or options.estimate:
        # What is only printed may hold names that nobody here can look up, so that it needs no network.
        with hub.unresolved_allowed():
            _show_plan(looked, bench)
        return
    # What a program reads is the JSON alone.
    with redirect_stdout(sys.stderr) if options.as_json else nullcontext():
        if looked.count is None:
            # Of methods that start from others, too: theirs are planned again when those are done.
            for name in looked.names:
                bench.planned(looked.suite.tuning, name, looked.values(name), None)
        validation = _validation(looked, bench)
        found = _search(wanted, looked, bench, validation)
        written.write(found, folder)
        if wanted.out:
            wanted.out.write_text(written.csv_text(found), encoding="utf-8")
    if options.as_json:
        typer.echo(json_text({**found.as_json(), "folder": str(folder)}))
    else:
        typer.echo(written.show(found, terminal.terminal_width()), nl=False)
        places = [folder / TRIALS, folder / written.BEST, *([wanted.out] if wanted.out else [])]
        then = written.run_command(found, folder)
        typer.echo(printed(f"Written: {', '.join(map(str, places))}; next: {then}"))
    if nothing := [name for name in looked.names if found.best(name) is None]:
        why = next(t.status for t in found.trials[nothing[0]])
        raise ChildProcessError(f"no trial of {', '.join(nothing)} has a score: {why}")


def _look(wanted: Wanted) -> Search:
    """All that can be said of a search before any work; ValueError, one line, for a fault."""
    known = registry.known(wanted.benchmark_file, wanted.judge_file)
    given = [*wanted.overrides, *([f"name={wanted.name}"] if wanted.name else [])]
    only = [f"only={','.join(wanted.only)}"] if wanted.only else []
    suite, _ = run_names.named(
        given, lambda others: loading.load(wanted.suite, others, known), run_names.NO_NUMBER, only
    )
    own = methods_in(wanted.method_file)
    suite = with_rows(suite, own, wanted.only)
    named_methods = loading.with_starts(suite, methods.registry(own))
    names = chosen_methods(suite, wanted.only, named_methods)
    if not names:
        raise ValueError(f"{wanted.suite}: it has no methods, so there is nothing to tune")
    for name in names:
        if (seeds := suite.seeds_of(name)) != suite.seeds_of(names[0]):
            other = suite.seeds_of(names[0])
            raise ValueError(
                f"seeds: {name} has {list(seeds)}, {names[0]} {list(other)}; trials of every method have the "
                "same: --set seeds=[0]"
            )
    search.check_tuning(suite, named_methods)
    scored = scoring.scored(suite, known, names)
    looked = Search(suite, scored, named_methods, names, search.budget(suite, names))
    if looked.count is not None:
        for name in names:
            search.first(suite.tuning, name, looked.values(name), looked.count)
    return looked


def _validation(looked: Search, bench: Bench) -> Validation:
    """The validation questions, none of which is a test question; the world is made for a look at it."""
    contexts = [
        PlanContext(suite, bench.registry, bench.where, bench.method_file)
        for suite in (looked.suite, looked.scored)
    ]
    if looked.suite.world:
        lost = bench.make([Plan(bench.suite, (contexts[0].world(),), ())])
        if lost:
            raise ChildProcessError(next(iter(lost.values())))
    return checked(contexts[0], contexts[1], looked.names[0], bench.store)


def _show_plan(looked: Search, bench: Bench) -> None:
    """What the trials take, where each method starts as the suite says."""
    plans = []
    for name in looked.names:
        own = bench.planned(looked.suite.tuning, name, looked.values(name), looked.count)
        plans += [plan for _, plan in own]
        typer.echo(f"{name}: {len(own)} trials", err=bench.options.as_json)
    whole = bench.merged(plans)
    found = planned.forecast_of(whole, bench.store, bench.where, bench.options, bench.prices)
    shown.print_told(found, bench.store, bench.options)


def _search(wanted: Wanted, looked: Search, bench: Bench, validation: Validation) -> Outcome:
    """Every trial of every method."""
    trials: dict[str, list[Trial]] = {}
    flops: dict[str, float | None] = {}
    for group in side_by_side(looked.names, looked.registry):
        found = _trials(looked, bench, group, flops)
        trials |= found
        for method in group:
            if best_first := ranked(found[method]):
                # From here on the method has its best settings, for what starts from it.
                bench.suite = search.with_settings(bench.suite, method, best_first[0].settings)
    return Outcome(
        command=wanted.command,
        named=wanted.suite,
        suite=looked.suite.model_copy(update={"methods": bench.suite.methods}),
        score=metric_of(looked.scored),
        validation=validation,
        values={name: looked.values(name) for name in looked.names},
        trials={name: trials[name] for name in looked.names},
        flops=flops,
        seeds=looked.suite.seeds_of(looked.names[0]),
        files=wanted.files,
    )


def _trials(
    looked: Search, bench: Bench, group: Sequence[str], flops: dict[str, float | None]
) -> dict[str, list[Trial]]:
    """Every trial of some methods, all made at once; `flops` gets what each method's take."""
    plans: dict[str, list[tuple[Settings, Plan]]] = {}
    for name in group:
        plans[name] = bench.planned(looked.suite.tuning, name, looked.values(name), looked.count)
        flops[name] = bench.total_flops([plan for _, plan in plans[name]], name)
    whole = [plan for own in plans.values() for _, plan in own]
    # The trials of a group share models and endpoints, so a line of one is that of all.
    for line in dict.fromkeys([*bench.endpoints.notes, *row_steps.format_lines(whole[0].cells)]):
        typer.echo(printed(line))
    lost = bench.make(whole)
    found = {
        name: [result(name, settings, plan, bench.store, lost) for settings, plan in own]
        for name, own in plans.items()
    }
    for trial in (t for own in found.values() for t in own):
        told = trial.status if trial.score is None else f"{trial.score:.4f}"
        typer.echo(printed(f"{trial.method}, {written.written(trial.settings)}: {told}"))
    return found


def side_by_side(names: Sequence[str], known: Mapping[str, Method]) -> list[list[str]]:
    """The methods in groups, each in the order given: one that starts from another's result is in a later
    group than that.
    """

    def before(name: str) -> int:
        start = known[name].starts_from
        return 1 + before(start) if start in known else 0

    depths = {name: before(name) for name in names}
    return [[n for n in names if depths[n] == depth] for depth in sorted(set(depths.values()))]
