"""What the commands do, once their heavy imports are wanted."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import typer

import methods
from harness.common import hub
from harness.common.suggest import nearest
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
from harness.plan import judges as harness_plan_judges
from harness.plan import plan as planning
from harness.plan import row_steps
from harness.plan.context import PlanContext
from harness.plan.plan import Plan
from harness.results import judge_checks
from harness.results import write as tables
from harness.run import preflight
from harness.run.progress import show_progress
from harness.store import provenance
from harness.store.store import Store
from harness.suite import method_file as extension
from harness.suite.schema import Suite
from reports.build import WIDE
from reports.render import to_terminal
from reports.tables.judge_quality import judge_tables

if TYPE_CHECKING:
    from harness.forecast.forecast import Forecast


def machine(
    runs: Path, options: RunOptions = RUN_DEFAULTS, training: TrainingOptions = TRAINING_DEFAULTS
) -> Machine:
    """This machine: a GPU where there is one; a training has them all, or what the config file says. Where
    other machines run the steps, an option names what they have, and a training has one.
    """
    config, device = training.accelerate_config, options.elsewhere
    gpus = torch.cuda.device_count() if device is None else int(device != "cpu")
    if config and not config.is_file():
        raise ValueError(f"--accelerate-config {config}: no such file; `accelerate config` writes one")
    CheckpointInterval.parse(training.checkpoint_every)
    processes = training.processes
    return Machine(
        device="cuda" if gpus else "cpu",
        tokens=training.tokens,
        batch=options.batch,
        workers=options.workers,
        processes=processes if processes is not None else 0 if config else max(1, gpus),
        accelerate_config=str(config.resolve()) if config else "",
        checkpoint_every=training.checkpoint_every,
        replies=str(runs / "store" / "replies"),
    )


def make_plan(
    loaded: Suite, only: Sequence[str], store: Store, where: Machine, method_file: str | None
) -> Plan:
    """The plan of a suite; methods of a file join the suite's."""
    own = extension.methods_in(method_file)
    known = methods.registry(own)
    if own and not only:
        loaded = loaded.model_copy(
            update={"methods": {**dict.fromkeys(m.name for m in own), **loaded.methods}}
        )
    return planning.plan(
        loaded,
        known,
        where,
        only=only,
        method_file=method_file,
        is_done=lambda step: store.find(step) is not None,
    )


def run(
    loaded: Suite,
    runs: Path,
    options: RunOptions = RUN_DEFAULTS,
    spending: Spending = NO_LIMITS,
    training: TrainingOptions = TRAINING_DEFAULTS,
    *,
    only: Sequence[str] = (),
    method_file: str | None = None,
) -> None:
    """`bench run` and `bench eval`."""
    store = Store(runs / "store")
    where, table = machine(runs, options, training), prices.load(spending.prices)
    if options.plan or options.check:
        with hub.unresolved_allowed() as names:
            plan = make_plan(loaded, only, store, where, method_file)
            print_plan(plan, store, where, options, table)
        if unresolved := hub.unresolved_line(names):
            typer.echo(unresolved)
        return
    plan = make_plan(loaded, only, store, where, method_file)
    missing = [s for s in plan.steps if store.find(s) is None]
    typer.echo(f"{plan.suite.name}: {len(plan.steps)} steps, {len(missing)} to do")
    for told in (row_steps.passes_line(plan.cells), provenance.changed_code_line(plan.steps, store)):
        if told:
            typer.echo(told)
    out = runs / plan.suite.name
    limits = spending.max_cost, spending.max_calls
    with session.open_session(table, *limits, out / "logs", store.root / "replies") as opened:
        preflight.check(missing)
        executor = None
        if missing:
            device, limited = options.elsewhere, spending.limited
            seconds = forecast_of(plan, store, where, device, table).estimate if device else None
            executor = factory.open_executor(
                options, store, out / "logs", table, limited=limited, seconds=seconds
            )
        with show_progress(plan.steps, store) as watcher:
            scheduler.run(plan.steps, store, watcher, executor)
    if told := opened.summary_line():
        typer.echo(told)
    built = tables.write(plan, store, out, table)
    for part in [t for name, parts in built.items() if name not in WIDE for t in parts]:
        typer.echo(to_terminal(part, styled=sys.stdout.isatty()))
    typer.echo(f"Written: {out}/: report.html, results.jsonl and other rows, tables/, exports/")


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
    prompts = [name for name, b in registry.known().benchmarks.items() if b.declaration.comparison]
    prompt = prompt or prompts[0]
    if prompt not in prompts:
        raise ValueError(f"--prompt {prompt}: {nearest(prompt, prompts)}")
    store, table = Store(runs / "store"), prices.load(spending.prices)
    setting = PlanContext(loaded, {}, machine(runs))
    (judge,) = loaded.judges
    step = harness_plan_judges.check_step(setting, judge, prompt, data, repeats, limit)
    steps = planning.ordered([step])
    missing = [s for s in steps if store.find(s) is None]
    limits, logs = (spending.max_cost, spending.max_calls), runs / loaded.name / "logs"
    with session.open_session(table, *limits, logs, store.root / "replies"):
        preflight.check(missing)
        with show_progress(steps, store) as watcher:
            scheduler.run(steps, store, watcher)
    for part in judge_tables(judge_checks.judge_checks(loaded, setting, store)):
        typer.echo(to_terminal(part, styled=sys.stdout.isatty()))
    typer.echo(f"Written: {store.find(step)}; every run that {judge} judges says so in its tables")


def print_plan(plan: Plan, store: Store, where: Machine, options: RunOptions, table: prices.Prices) -> None:
    """Print what a plan takes, and every step: done, or why it would run."""
    from harness.forecast.forecast import this_device
    from harness.forecast.report import plan_lines, record_lines

    found = forecast_of(plan, store, where, options.device or this_device(), table)
    for line in record_lines(found, store) if options.check else plan_lines(found, store, options.devices):
        typer.echo(line)


def forecast_of(plan: Plan, store: Store, where: Machine, device: str, table: prices.Prices) -> "Forecast":
    """What a plan takes on a device."""
    from harness.forecast.forecast import device_named, forecast
    from harness.forecast.sizes import PlanSizes

    sizes = PlanSizes(plan.suite, where, store, table)
    return forecast(plan, sizes, device_named(device))
