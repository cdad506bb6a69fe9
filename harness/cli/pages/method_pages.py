"""A page for each method, made from the method itself: formula, what it reads, settings and their sources.

docs/methods/adpa.md    what `bench methods ADPA` prints
docs/methods/README.md  the list that `bench methods` prints, with links
"""

import inspect
import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined

import methods
from harness.cli.pages import key_words
from harness.common.suggest import meant
from harness.common.text import aligned, printed, slug
from harness.suite import method_file as extension
from harness.suite.validation import parts
from methods import sources
from methods.api import Method, Reads

Form = Literal["sources", "json"] | Path | None  # a path: pages, written into that folder
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def cost(method: Method) -> str:
    """The class of what has to run beside the student's own steps."""
    views = method.needs(method.hparams).views
    roles = {role for reads in views.values() for role in reads.signal_roles()}
    # The dearest thing decides, so these stand in the order of what they cost.
    if "policy_rollout" in views:
        return "online"
    if views.keys() & {"teacher_rollout", "student_rollout", "group"}:
        return "rollouts"
    if roles & {"teacher", "teacher_ref"}:
        return "teacher"
    return "reference" if roles else "student"


def needs_line(method: Method) -> str:
    """What a method reads: its views, and whose signals on them."""
    views = []
    for view, reads in method.needs(method.hparams).views.items():
        roles = [*sorted(reads.signal_roles()), *reads.scores]
        views.append(f"{view} ({', '.join(roles)})" if roles else view)
    return ", ".join(views)


def listing(known: Iterable[Method]) -> str:
    """All methods, a line each: name, kind, cost class, what is read, paper."""
    rows = [("method", "kind", "cost", "reads; paper")]
    rows += [(m.name, m.kind, cost(m), f"{needs_line(m)}; {m.paper}") for m in known]
    return "\n".join(aligned(rows))


def page(method: Method) -> str:
    """One method in full, as Markdown."""
    needs = method.needs(method.hparams)
    text = TEMPLATES.get_template("method.md.j2").render(
        method=method,
        needs=needs,
        reads={view: "; ".join(_read(reads)) for view, reads in needs.views.items()},
        cost=cost(method),
        derivation=inspect.getdoc(inspect.getmodule(method.loss)) or "",
        settings_text=inspect.getdoc(method.hparams) or "",
        settings=parts(method.hparams),
        allowed=allowed,
        # LoRA is a suite's to switch on; no method has a default of its own.
        training={k: v for k, v in asdict(method.training).items() if k not in ("source", "lora")},
        card=sources.card(method),
    )
    # Parts that a method lacks leave blank lines; guards against each would make the template hard to read.
    return re.sub("\n{3,}", "\n\n", text).strip() + "\n"


def our_numbers(known: Iterable[Method]) -> str:
    """Every number that no paper or code stands behind, a line each: method, setting, value, why."""
    rows = [("method", "setting", "value", "why")]
    for method in known:
        ours = [row for row in sources.numbers(method) if row.whose in ("ours", sources.NOT_SAID)]
        rows += [(method.name, row.setting, str(row.value), row.where) for row in ours]
    return "\n".join(aligned(rows))


def as_json(known: Iterable[Method]) -> str:
    """Methods with their cards, as a JSON list."""
    found = [
        {
            "name": m.name,
            "kind": m.kind,
            "paper": m.paper,
            "cost": cost(m),
            "card": [row._asdict() for row in sources.card(m)],
        }
        for m in known
    ]
    return json.dumps(found, indent=1, ensure_ascii=False)


def allowed(settings: object) -> dict[str, str]:
    """What each field of a dataclass may be, as its type says: "number > 0", "integer >= 1 or full"."""
    return {field.name: key_words.allowed(field.hint) for field in key_words.fields_of(type(settings))}


def _read(reads: Reads) -> Iterable[str]:
    for stat in reads.stats:
        yield f"`{stat.name}` of {', '.join(('policy', *stat.reads))}"
    if reads.logps:
        yield f"log-probs of {', '.join(reads.logps)}"
    if reads.values:
        yield f"state values of {', '.join(reads.values)}"
    for score in reads.scores:
        yield f"the teacher's {score} scores"


def write(known: Iterable[Method], folder: Path) -> int:
    """The page of every method and a list of them, below `folder`; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [(method, f"{slug(method.name)}.md", cost(method), needs_line(method)) for method in known]
    for method, name, *_ in rows:
        (folder / name).write_text(printed(page(method)), encoding="utf-8")
    listed = TEMPLATES.get_template("methods.md.j2").render(rows=rows)
    (folder / "README.md").write_text(f"{printed(listed.strip())}\n", encoding="utf-8")
    return len(rows)


def show_methods(name: str | None, method_file: str | None, form: Form) -> None:
    """`bench methods`."""
    known = methods.registry(extension.methods_in(method_file))
    asked = known.values() if name is None else [methods.get(meant(name, known), known)]
    match form:
        case "json":
            typer.echo(as_json(asked))
        case "sources":
            typer.echo(printed(our_numbers(asked)))
        case Path():
            if name is not None:
                raise ValueError(f"--write {form}: writes the pages of all methods; leave {name} out")
            if form.is_file():
                raise ValueError(f"--write {form}: a file, where a folder is expected")
            typer.echo(printed(f"Written: {write(known.values(), form)} pages below {form}"))
        case None:
            typer.echo(printed(listing(asked) if name is None else page(*asked)))
