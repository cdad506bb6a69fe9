"""What the commands do, once their heavy imports are wanted."""

import inspect
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import torch
import typer

import methods
from harness import execute, extension, suite, tables
from harness import plan as planning
from harness.plan import Plan
from harness.progress import watching
from harness.setting import Machine
from harness.store import Store
from methods.api import Method
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


def show_methods(name: str | None, method_file: str | None) -> None:
    """`bench methods`."""
    known = methods.registry(extension.methods_in(method_file))
    if name is not None:
        typer.echo(page(methods.get(name, known)))
        return
    width = max(map(len, known))
    for method in known.values():
        typer.echo(f"{method.name:{width}}  {needs_line(method)}; {method.paper}")


def needs_line(method: Method) -> str:
    """What a method reads: its views, and whose signals on them."""
    needs = method.needs(method.hparams)
    told = []
    for view, reads in needs.views.items():
        roles = sorted(reads.signal_roles())
        told.append(f"{view} ({', '.join(roles)})" if roles else view)
    return "reads " + ", ".join(told)


def page(method: Method) -> str:
    """One method in full: its formula, what it reads, its settings and where they come from."""
    module = inspect.getmodule(method.loss)
    hp = "".join(f"  {f.name} = {getattr(method.hparams, f.name)!r}\n" for f in fields(method.hparams))
    training = "".join(f"  {k} = {v!r}\n" for k, v in asdict(method.training).items())
    return (
        f"{method.name}: {method.paper}\n\n{inspect.getdoc(module) or ''}\n\n{needs_line(method)}\n"
        f"starts from: {method.starts_from}\n\nhyper-parameters ({inspect.getdoc(method.hparams)})\n{hp}\n"
        f"training\n{training}"
    )
