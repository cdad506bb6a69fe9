"""What the commands do, once their heavy imports are wanted."""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import typer

import methods
from harness import execute, extension, pages, suite, tables
from harness import plan as planning
from harness.plan import Plan
from harness.progress import watching
from harness.setting import Machine
from harness.store import Store
from reports.render import to_terminal


def machine() -> Machine:
    """This machine: a GPU where there is one."""
    return Machine(device="cuda" if torch.cuda.is_available() else "cpu")


def planned(
    name: str, only: Sequence[str], overrides: Sequence[str], store: Store, method_file: str | None
) -> Plan:
    """The plan of a suite; methods of a file join the suite's."""
    own = extension.methods_in(method_file)
    known = methods.registry(own)
    loaded = suite.load(name, overrides)
    if own and not only:
        loaded = loaded.model_copy(
            update={"methods": {**dict.fromkeys(m.name for m in own), **loaded.methods}}
        )
    return planning.plan(
        loaded,
        known,
        machine(),
        only=only,
        method_file=method_file,
        done=lambda step: store.find(step) is not None,
    )


def run(
    name: str, only: Sequence[str], overrides: Sequence[str], runs: Path, method_file: str | None, dry: bool
) -> None:
    """`bench run`."""
    store = Store(runs / "store")
    plan = planned(name, only, overrides, store, method_file)
    if dry:
        describe(plan, store)
        return
    missing = sum(store.find(s) is None for s in plan.steps)
    typer.echo(f"{plan.suite.name}: {len(plan.steps)} steps, {missing} to do")
    with watching(plan.steps, store) as watcher:
        execute.run(plan.steps, store, watcher)
    out = runs / plan.suite.name
    built = tables.write(plan, store, out)
    for part in [t for parts in built.values() for t in parts]:
        typer.echo(to_terminal(part, styled=sys.stdout.isatty()))
    typer.echo(f"Written: {out}/results.jsonl, {out}/costs.jsonl, {out}/training.jsonl, {out}/tables/")


def describe(plan: Plan, store: Store) -> None:
    """Print every step: done, or why it would run."""
    redone = set()
    for step in plan.steps:
        reason = execute.why(step, store)
        if reason:
            redone.add(step.id)
        line = f"{step.kind}-{step.id}  {step.label}"
        typer.echo(f"run   {line}  [{reason}]" if reason else f"done  {line}")
    typer.echo(f"{plan.suite.name}: {len(plan.steps)} steps, {len(redone)} to do")


def show_methods(name: str | None, method_file: str | None, write: Path | None) -> None:
    """`bench methods`."""
    known = methods.registry(extension.methods_in(method_file))
    if write:
        typer.echo(f"Written: {pages.write(known.values(), write)} pages below {write}")
    elif name is not None:
        typer.echo(pages.page(methods.get(name, known)))
    else:
        typer.echo(pages.listing(known.values()))
