"""`bench run`, `bench eval` and `bench judge check`: make the plan, look before, run it, write its tables."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

import methods
from harness.common import devices, hub
from harness.common.suggest import nearest
from harness.common.text import printed
from harness.endpoints import prices, session
from harness.evaluate import registry
from harness.executors import factory, scheduler
from harness.executors.options import (
    NO_LIMITS,
    RUN_DEFAULTS,
    TRAINING_DEFAULTS,
    CheckpointInterval,
    Machine,
    RunOptions,
    Spending,
    TrainingOptions,
)
from harness.executors.protocol import NOTHING, Executor, Foretold
from harness.forecast import planned
from harness.plan import judges, row_steps
from harness.plan import plan as planning
from harness.plan.context import PlanContext
from harness.plan.endpoints import Endpoints, asked_before
from harness.plan.plan import Plan
from harness.run import earlier_rows
from harness.run.checks import place_checks
from harness.run.earlier_rows import Settings
from harness.run.failed_rows import without_failed, without_stopped
from harness.run.plans import shown as plans
from harness.run.progress import show_progress
from harness.run.results import show_results, trials_of, writable
from harness.run.tracking import telling
from harness.store import maintenance, provenance
from harness.store.step import Step
from harness.store.store import Store
from harness.suite import method_file as extension
from harness.suite.schema import Suite
from harness.train.placing import accelerate_file
from reports import terminal


def machine(
    runs: Path, options: RunOptions = RUN_DEFAULTS, training: TrainingOptions = TRAINING_DEFAULTS
) -> Machine:
    """This machine: a GPU where there is one. A training has as many as the suite, the command line or the
    config file says. Where other machines run the steps, and of a plan, options name what there is.
    """
    factory.check(options)
    config = training.accelerate_config
    device = options.device if options.plan else options.elsewhere
    gpus = devices.gpu_count() if device is None else int(device != "cpu")
    there = gpus or devices.available_cpus()
    if device:
        there = (options.devices or 1) if options.plan else 0
    asked = accelerate_file.read(config) if config else None
    CheckpointInterval.parse(training.checkpoint_every)  # for its error, hours before a training
    return Machine(
        device="cuda" if gpus else "cpu",
        tokens=training.tokens,
        batch=options.batch,
        workers=options.workers,
        devices=there,
        processes=training.processes or (asked.processes if asked else 0),
        accelerate_config=str(config.resolve()) if config else "",
        shard=asked.shard if asked else "",
        checkpoint_every=training.checkpoint_every,
        replies=str(runs / "store" / "replies"),
    )


def make_plan(
    loaded: Suite,
    only: Sequence[str],
    store: Store,
    where: Machine,
    method_file: str | None,
    *,
    reuse: bool = False,
    err: bool = False,
) -> Plan:
    """The plan of a suite, with the methods of a file; what is to be told of its endpoints is printed."""
    endpoints = Endpoints(lambda: asked_before(store), reuse)
    made = _planned(loaded, only, store, where, method_file, endpoints)
    for note in dict.fromkeys(endpoints.notes):  # seeds share an endpoint
        typer.echo(printed(note), err=err)
    return made


def _planned(
    loaded: Suite,
    only: Sequence[str],
    store: Store,
    where: Machine,
    method_file: str | None,
    endpoints: Endpoints,
) -> Plan:
    own = extension.methods_in(method_file)
    known = methods.registry(own)
    loaded = extension.with_rows(loaded, own, only)
    return planning.plan(
        loaded, known, where, only=only, method_file=method_file, is_done=store.is_done, endpoints=endpoints
    )


def run(
    loaded: Suite,
    runs: Path,
    options: RunOptions = RUN_DEFAULTS,
    spending: Spending = NO_LIMITS,
    training: TrainingOptions = TRAINING_DEFAULTS,
    *,
    only: Sequence[str] = (),
    settings: Settings | None = None,
) -> None:
    """`bench run` and `bench eval`; `settings` is what was asked for, as the run's folder keeps it."""
    settings = settings or Settings(loaded.name)
    tracked = telling.known([*loaded.track, *(options.track or [])])
    method_file = settings.method_file
    trials_of(loaded)  # for its error, hours before results are written
    store = Store(runs / "store")
    where, table = machine(runs, options, training), prices.load(spending.prices)
    if options.only_told:
        _show_plan(loaded, only, store, where, options, table, method_file)
        return
    plan = make_plan(loaded, only, store, where, method_file, reuse=options.reuse)
    if where.device == "cuda":
        plan = planned.fit(plan, store, where, options, table)
    missing = sum(not store.is_done(s) for s in plan.steps)
    typer.echo(printed(f"{plan.suite.name}: {len(plan.steps)} steps, {missing} to do"))
    told = row_steps.passes_line(plan.cells), provenance.changed_code_line(plan.steps, store)
    for line in filter(None, (*told, *row_steps.format_lines(plan.cells))):
        typer.echo(printed(line))
    out = runs / plan.suite.name
    with telling.telling(plan, store.root, out, tracked):
        try:
            opened = make(plan, store, where, options, table, spending, out / "logs")
        except scheduler.StepsFailed as failed:
            whole = _with_earlier_rows(plan, settings, store, where, out)
            if made := without_failed(whole, failed.lost, store.is_done):
                made, _ = without_stopped(made, store)
            if made:
                show_results(made, store, out, table, options.registry_order)
            raise
        if line := opened.summary_line():
            typer.echo(printed(line))
        shown, stopped = without_stopped(_with_earlier_rows(plan, settings, store, where, out), store)
        if shown:
            show_results(shown, store, out, table, options.registry_order)
        if stopped:
            raise ValueError(stopped)


def _show_plan(
    loaded: Suite,
    only: Sequence[str],
    store: Store,
    where: Machine,
    options: RunOptions,
    table: prices.Prices,
    method_file: str | None,
) -> None:
    """Print a suite's plan, or what judging it would cost."""
    # What is only printed may hold names that nobody here can look up, so that it needs no network.
    with hub.unresolved_allowed() as names:
        plan = make_plan(loaded, only, store, where, method_file, reuse=options.reuse, err=options.as_json)
        if loaded.chat_template is not None and not options.estimate:
            from harness.run.checks import chat_checks  # it opens tokenizers

            chat_checks.check([step for step in plan.steps if not store.is_done(step)])
        if not options.estimate:
            plan = planned.fit(plan, store, where, options, table)
        plans.print_told(planned.forecast_of(plan, store, where, options, table), store, options)
    if not options.estimate and (unresolved := hub.unresolved_line(names)):
        typer.echo(printed(unresolved), err=options.as_json)


def _with_earlier_rows(plan: Plan, settings: Settings, store: Store, where: Machine, out: Path) -> Plan:
    """The plan with the rows that the folder holds already, which is kept there and said."""
    before = earlier_rows.read(out)
    method_file = settings.method_file or (before.method_file if before else None)

    def plan_of(wider: Suite, names: Sequence[str]) -> Plan:
        own = settings.method_file if set(names) <= {*wider.methods} else method_file
        return _planned(wider, names, store, where, own, Endpoints(lambda: asked_before(store), True))

    found, kept, left = earlier_rows.with_earlier_rows(plan, before, store.is_done, plan_of)
    unread = before is None and (out / earlier_rows.SETTINGS).exists()
    for line in earlier_rows.lines(kept, left, out, unread):
        typer.echo(printed(line))
    if writable(out):
        settings.of_rows(found, method_file).write(out)
    else:
        typer.echo(printed(f"bench: {out} cannot be written: it stays as it is, tables are shown"), err=True)
    return found


def make(
    plan: Plan,
    store: Store,
    where: Machine,
    options: RunOptions,
    table: prices.Prices,
    spending: Spending,
    logs: Path,
) -> session.Session:
    """Make what is missing of a plan, by the executor of the options; the session says what was asked."""

    def open_executor(missing: Sequence[Step]) -> tuple[Executor, Foretold]:
        known, limited = _foretold(plan, store, where, options, table), spending.limited
        executor = factory.open_executor(
            options, store, logs, table, limited=limited, foretold=known, steps=missing
        )
        return executor, known

    return _make(plan.steps, store, spending, table, logs, open_executor)


def check_judge(
    loaded: Suite,
    runs: Path,
    prompt: str | None,
    data: str | None,
    repeats: int,
    limit: int | None,
    spending: Spending,
) -> None:
    """`bench judge check`."""
    from harness.results import judge_checks  # what draws tables takes long to import
    from reports.render import to_terminal
    from reports.tables.judge_quality import judge_tables

    prompts = [name for name, b in registry.known().benchmarks.items() if b.declaration.comparison]
    prompt = prompt or prompts[0]
    if prompt not in prompts:
        raise ValueError(f"--prompt {prompt}: {nearest(prompt, prompts)}")
    store, table = Store(runs / "store"), prices.load(spending.prices)
    setting = PlanContext(loaded, {}, machine(runs), endpoints=Endpoints(lambda: asked_before(store)))
    (judge,) = loaded.judges
    step = judges.check_step(setting, judge, prompt, data, repeats, limit)
    steps = planning.ordered([step])
    _make(steps, store, spending, table, runs / loaded.name / "logs")
    for quality in judge_tables(judge_checks.judge_checks(loaded, setting, store)):
        typer.echo(to_terminal(quality, terminal.terminal_width(), sys.stdout.isatty()))
    typer.echo(printed(f"Written: {store.find(step)}; every run that {judge} judges says so in its tables"))


def _make(
    steps: Sequence[Step],
    store: Store,
    spending: Spending,
    table: prices.Prices,
    logs: Path,
    open_executor: Callable[[Sequence[Step]], tuple[Executor, Foretold]] | None = None,
) -> session.Session:
    """Make what is missing of steps, here, or by an executor in the order of what is foretold; the session
    says what endpoints were asked for it.
    """
    place_checks.check(steps, store, logs.parent)
    damages = store.damages(steps)
    for line in maintenance.damage_lines(damages, store):
        typer.echo(printed(line))
    missing = [s for s in steps if not store.is_done(s)]
    limits = spending.max_cost, spending.max_calls
    with session.open_session(table, *limits, logs, store.root / "replies") as opened:
        if missing:
            from harness.run import preflight  # it looks into models, so it imports torch

            # Before any work: what can't be read or asked fails in seconds, not after hours of training.
            for line in preflight.check(missing):
                typer.echo(printed(line))
        executor, known = open_executor(missing) if missing and open_executor else (None, NOTHING)
        with show_progress(steps, store, known.expected) as watcher:
            scheduler.run(steps, store, watcher, executor, known.rests)
    for line in maintenance.other_bytes_lines(damages, store):
        typer.echo(printed(line))
    return opened


def _foretold(
    plan: Plan, store: Store, where: Machine, options: RunOptions, table: prices.Prices
) -> Foretold:
    found = planned.forecast_of(plan, store, where, options, table)
    # Time limits of SLURM's jobs come from estimates for the device that somebody has named.
    return found.foretold(timed=options.elsewhere is not None)
