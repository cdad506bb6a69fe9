"""A page for each method, made from the method itself: formula, what it reads, settings and their sources.

docs/methods/adpa.md    what `bench methods ADPA` prints
docs/methods/README.md  the list that `bench methods` prints, with links
"""

import inspect
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path

import typer

import methods
from harness.common.text import aligned, slug
from harness.suite import method_file as extension
from methods.api import Method, Needs, Reads

KINDS = {
    "paper": "row of the papers' tables",
    "ablation": "ablation",
    "variant": "another reading",
    "addition": "addition",
}
COST_NOTES = """\
Cost classes, each with what stands before it: `student` nothing but the student runs; `reference` its frozen
start passes once over the data; `teacher` so do the teachers; `rollouts` responses are sampled once; `online`
responses are sampled and scored while it trains."""
RECIPES = {
    "chosen": "the preferred responses",
    "rejected": "the dispreferred responses",
    "mismatched": "each prompt with a response to another",
    "teacher_rollout": "the DPO teacher's responses, sampled once; those cut at their limit are left out",
    "student_rollout": "responses of the model that the stage starts from, sampled once",
    "policy_rollout": "responses of the policy, sampled while it trains",
}


def cost(method: Method) -> str:
    """The class of what has to run beside the student's own steps."""
    views = method.needs(method.hparams).views
    roles = {role for reads in views.values() for role in reads.signal_roles()}
    if "policy_rollout" in views:
        return "online"
    if views.keys() & {"teacher_rollout", "student_rollout", "group"}:
        return "rollouts"
    if roles & {"teacher", "teacher_ref"}:
        return "teacher"
    return "reference" if roles else "student"


def needs_line(method: Method) -> str:
    """What a method reads: its views, and whose signals on them."""
    told = []
    for view, reads in method.needs(method.hparams).views.items():
        roles = [*sorted(reads.signal_roles()), *reads.scores]
        told.append(f"{view} ({', '.join(roles)})" if roles else view)
    return ", ".join(told)


def listing(known: Iterable[Method]) -> str:
    """All methods, a line each: name, kind, cost class, what is read, paper."""
    rows = [("method", "kind", "cost", "reads; paper")]
    rows += [(m.name, m.kind, cost(m), f"{needs_line(m)}; {m.paper}") for m in known]
    return "\n".join(aligned(rows))


def page(method: Method) -> str:
    """One method in full, as Markdown."""
    needs, module = method.needs(method.hparams), inspect.getmodule(method.loss)
    parts = [
        f"# {method.name}",
        f"{KINDS[method.kind].capitalize()}; {method.paper}. {method.about}".rstrip(),
        "## Formula",
        inspect.getdoc(module) or "",
        f"`{method.formula}`",
        "## Reads",
        "\n".join(_reads_lines(needs)),
        *_made(method, needs),
        f"Cost class: `{cost(method)}`. Starts from: {method.starts_from}.",
        "## Settings",
        inspect.getdoc(method.hparams) or "",
        _table(
            ("setting", "default"),
            [(f.name, getattr(method.hparams, f.name)) for f in fields(method.hparams)],
        ),
        f"Training (source: {method.training.source}):",
        _table(
            ("setting", "default"),
            [(k, v) for k, v in asdict(method.training).items() if k not in ("source", "lora")],
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _reads_lines(needs: Needs) -> Iterable[str]:
    for view, reads in needs.views.items():
        recipe = RECIPES.get(view, "")
        if view == "group" and needs.group:
            g = needs.group
            recipe = (
                f"the {g.keep} most different of {g.samples} responses of the model that the stage starts "
                f"from, temperature {g.temperature}, top_p {g.top_p}"
            )
        yield f"- `{view}`, {recipe}: {'; '.join(_told(reads))}"


def _told(reads: Reads) -> Iterable[str]:
    for stat in reads.stats:
        of = f" of {', '.join(('policy', *stat.reads))}"
        yield f"`{stat.name}`{of}"
    if reads.logps:
        yield f"log-probs of {', '.join(reads.logps)}"
    if reads.values:
        yield f"state values of {', '.join(reads.values)}"
    for score in reads.scores:
        yield f"the teacher's {score} scores"


def _made(method: Method, needs: Needs) -> Iterable[str]:
    if method.roles:
        yield "Roles: " + ", ".join(f"{role} is {other}" for role, other in method.roles.items()) + "."
    if needs.distinct:
        yield "Examples whose two responses are the same are left out and counted."
    if needs.online:
        yield (
            f"The policy is sampled for {needs.online.batches} optimizer steps' prompts at a time, which are "
            f"gone through {needs.online.passes} times."
        )
    if needs.rounds > 1:
        yield f"The stage is run {needs.rounds} times, each with a like share of the epochs."


def _table(head: tuple[str, str], rows: Iterable[tuple[str, object]]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in rows]
    return "\n".join(lines) if len(lines) > 2 else ""


def write(known: Iterable[Method], folder: Path) -> int:
    """The page of every method and a list of them, below `folder`; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        "# Methods",
        COST_NOTES,
        "| method | kind | cost | reads | paper |\n| --- | --- | --- | --- | --- |",
    ]
    methods = list(known)
    for method in methods:
        name = f"{slug(method.name)}.md"
        (folder / name).write_text(page(method), encoding="utf-8")
        link = f"[{method.name}]({name})"
        rows[-1] += f"\n| {link} | {method.kind} | {cost(method)} | {needs_line(method)} | {method.paper} |"
    (folder / "README.md").write_text("\n\n".join(rows) + "\n", encoding="utf-8")
    return len(methods)


def show_methods(name: str | None, method_file: str | None, folder: Path | None) -> None:
    """`bench methods`."""
    known = methods.registry(extension.methods_in(method_file))
    if folder:
        typer.echo(f"Written: {write(known.values(), folder)} pages below {folder}")
    elif name is not None:
        typer.echo(page(methods.get(name, known)))
    else:
        typer.echo(listing(known.values()))
