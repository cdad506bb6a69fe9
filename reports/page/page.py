"""A run as one page, `report.html`: tables, figures, the plan, and every answer with its verdicts.

The page is a function of the files in the run's folder, and one file that loads nothing. Its policy allows
its own style and script alone, by their hashes; what models wrote is data that the script shows as text.
The order of costs.jsonl is that of the methods, that of summaries.jsonl that of its columns; other rows may
stand in any order.
"""

import base64
import hashlib
from collections.abc import Sequence, Sized
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports import build, escapes
from reports.build import Paired, Run
from reports.page import answer_data, first_screen, plan_view, table_views, tuning_trials
from reports.page.figures import categories, curves, forest, scatter, sensitivity, steps, training
from reports.page.figures.curves import Look
from reports.page.figures.figure import Figure
from reports.page.first_screen import Sign
from reports.page.table_views import TableView
from reports.page.tuning_trials import UNTUNED, Tuning
from reports.records import jsonl, run_folder, texts
from reports.records.run_folder import Rows
from reports.records.texts import StepRecord, Text
from reports.tables import main as main_table
from reports.tables.table import STUDENT, is_untrained

FOLDER = Path(__file__).parent
NAME = "report.html"
# Which sheet of the page a table stands on, by its name in `tables/`; the rest stand together.
MAIN = "main"  # stands on the first sheet
TRAINING = ("training", "direction", "ablation")
# The parts of the page's one script, in their order.
SCRIPTS = ("base", "tables", "figures", "answers", "address", "start")


class First(NamedTuple):
    """A table of the first sheet, the figures beside it, and how to read it."""

    table: TableView
    figures: Sequence[Figure]
    legend: Sequence[Sign]


class Section(NamedTuple):
    """Figures that are read together, how methods look in them, and what they leave out."""

    title: str
    note: str
    figures: Sequence[Figure]
    looks: Sequence[Look] = ()
    lacks: Sequence[str] = ()


def write(folder: Path) -> Path:
    """Write the page of a run's folder into it; ValueError where the folder is no run."""
    made, said = texts.read_steps(folder / "steps.jsonl"), texts.read_texts(folder / "texts.jsonl")
    return write_of(run_folder.read(folder), said, made, folder)


def write_of(run: Run, said: Sequence[Text], made: Sequence[StepRecord], folder: Path) -> Path:
    """Write the page of what a run's folder holds into it."""
    path = folder / NAME
    jsonl.replace(path, render(run, said, made, tuning_trials.read(folder)))
    return path


def render(
    run: Run, said: Sequence[Text] = (), made: Sequence[StepRecord] = (), tuning: Tuning = UNTUNED
) -> str:
    """The page of a run's rows, and of its texts, steps and trials where there are any."""
    paired = build.paired(run)
    rows = paired.rows
    methods, sets = rows.methods(), table_views.groups(said)
    tables = _tables(paired, sets)
    kinds = plan_view.by_kind(made)
    # Texts are data that a script shows as text: what a model wrote never becomes markup.
    data = answer_data.data(said, methods, rows.benchmarks)
    style, code = _file("page.css"), _script()
    html = (
        _environment()
        .get_template("template.html.j2")
        .render(
            name=_name(rows),
            facts=_facts(rows, said, made),
            style=style,
            code=code,
            policy=policy(style, code),
            methods=list(dict.fromkeys(m for names in methods.values() for m in names)),
            verdict=build.verdict(paired),
            first=_first(paired, sets),
            training=[t for t in tables if t.name in TRAINING],
            others=[t for t in tables if t.name not in TRAINING],
            results=_results(paired),
            learning=[*_learning(rows), *_sensitivity(tuning, rows)],
            kinds=kinds,
            kinds_figure=steps.kinds([(k.name, k.seconds, len(k.steps)) for k in kinds]) if kinds else None,
            labels={step.id: step.label for step in made},
            trained=plan_view.trained(made),
            settings=plan_view.settings(made),
            data=data,
        )
    )
    return html + "\n"


def policy(style: str, code: str) -> str:
    """The page's Content-Security-Policy: nothing but this style and this script."""
    allowed = {"style-src": style, "script-src": code}
    return "; ".join(
        [
            "default-src 'none'",
            *(f"{kind} '{_hash(text)}'" for kind, text in allowed.items()),
            "base-uri 'none'",
        ]
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _file(name: str) -> Markup:
    return Markup((FOLDER / name).read_text(encoding="utf-8"))


def _script() -> Markup:
    """The parts in one function, so that none of their names is the document's."""
    parts = Markup("").join(_file(f"js/{name}.js") for name in SCRIPTS)
    return Markup('"use strict";\n(() => {\n') + parts + Markup("})();\n")


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=escapes.html,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _name(rows: Rows) -> str:
    suites = {r.suite for r in rows.records} | {r.suite for r in rows.costs} | {r.suite for r in rows.judging}
    return ", ".join(sorted(suites)) or "run"


def _facts(rows: Rows, said: Sequence[Text], made: Sequence[StepRecord]) -> list[tuple[str, str]]:
    """What the run is, in a few numbers: (number, what it counts)."""
    worlds = {r.world_seed for r in rows.records}
    counted: dict[str, Sized] = {
        "methods": {m for names in rows.methods().values() for m in names if not is_untrained(m)},
        "pairs": {r.pair for r in rows.records},
        "datasets": {r.dataset for r in rows.records},
        "world seeds": worlds if len(worlds) > 1 else set[int](),
        "seeds": {r.seed for r in rows.records},
        "benchmarks": {r.benchmark for r in rows.records},
        "judgments": range(len(said)),
        "steps": range(len(made)),
    }
    counts = [(len(members), noun) for noun, members in counted.items() if members]
    return [(f"{n:,}", noun.removesuffix("s") if n == 1 else noun) for n, noun in counts]


def _tables(run: Paired, sets: Sequence[table_views.JudgmentSet]) -> list[TableView]:
    """Every table but the main ones, pair by pair, since links need to know whose it is."""
    by_name: dict[str, list[TableView]] = {}
    for pair, of_pair in run.tables:
        for name, tables in of_pair.items():
            if name != MAIN:
                views = (table_views.view(name, table, pair, sets) for table in tables)
                by_name.setdefault(name, []).extend(views)
    return [
        *(view for views in by_name.values() for view in views),
        *(table_views.view("judges", table, "", sets) for table in build.judges(run.rows)),
    ]


def _first(run: Paired, sets: Sequence[table_views.JudgmentSet]) -> list[First]:
    """The main table of each pair, with its forests."""
    found = []
    for pair, (_, tables) in zip(run.by_name, run.tables, strict=True):
        for main in tables[MAIN]:
            shown = first_screen.view(main, pair, tables["comparison"], sets)
            found.append(First(shown, first_screen.beside(shown), first_screen.legend(shown)))
    return found


def _results(run: Paired) -> list[Section]:
    forests, spent, taxes, by_category = [], [], [], []
    for (pair, names, own, groups), (_, of_pair) in zip(run.by_name, run.tables, strict=True):
        whose = pair if len(run.pairs) > 1 else ""
        main, cost = ([table_views.view(n, t, pair, ()) for t in of_pair[n]] for n in (MAIN, "cost"))
        forests += _of(whose, [f for t in main for f in forest.forests(t)])
        # Without costs, as of a run that trained nothing, there is nothing to draw against.
        spent += _of(whose, [f for m, c in zip(main, cost, strict=False) for f in scatter.costs(m, c)])
        by_category += _of(whose, categories.categories(own.summaries, names, own.benchmarks))
        if STUDENT in names:
            less = main_table.difference_tables(groups, names, STUDENT)
            drawn = [f for t in less for f in scatter.taxes(table_views.view("", t, pair, ()))]
            taxes += _of(whose, drawn)
    ability = ", ".join(
        b.title for b in run.rows.benchmarks if any(c.alignment_tax == "cost" for c in b.columns)
    )
    sections = [
        Section("Every column with its intervals", "The dashed line is the Student.", forests),
        Section(
            "Score against cost",
            "FLOPs of the method's own training and of the teacher's work for it. The dashed "
            "line joins the methods that none beats at their cost.",
            spent,
        ),
        Section(
            "Alignment tax",
            f"What a method wins over the Student, against what it gains or loses on {ability}: paired "
            "differences with their intervals. Left of the line, alignment cost ability.",
            taxes,
        ),
        Section("By category", "", by_category),
    ]
    return [section for section in sections if section.figures]


def _of(pair: str, figures: Sequence[Figure]) -> list[Figure]:
    """Figures with their pair in their titles, where there are several pairs."""
    return [f._replace(title=f"{f.title}, {pair}") if pair else f for f in figures]


def _learning(rows: Rows) -> list[Section]:
    changes, rewards, logged = [], [], list[Section]()
    for pair, names in sorted(rows.methods().items()):
        own, whose = rows.of_pair(pair), pair if len(rows.methods()) > 1 else ""
        changes += _of(whose, training.changes(own.training, names))
        rewards += _of(whose, training.curves(own.records, names, rows.benchmarks))
        logged += _logged(own, names, whose)
    sections = [
        Section(
            "What training changed",
            "Losses of two methods share no scale: each is told as a share of its own.",
            changes,
        ),
        Section(
            "Reward of checkpoints",
            "Mean reward on the held-out prompts; all panels share one scale.",
            rewards,
        ),
    ]
    return [*(section for section in sections if section.figures), *logged]


def _sensitivity(tuning: Tuning, rows: Rows) -> list[Section]:
    """What the settings of the run's methods were chosen from."""
    methods = dict.fromkeys(m for names in rows.methods().values() for m in names)
    trained = [m for m in methods if not is_untrained(m)]
    if not (drawn := sensitivity.figures(tuning, trained)):
        return []
    note = (
        "Trials of `bench tune` on validation questions, all on one scale; filled is the one that was "
        "chosen, and the line joins the best at each value."
    )
    lacks = sensitivity.notes(tuning, trained)
    return [Section("Sensitivity to settings", note, drawn, lacks=lacks)]


def _logged(own: Rows, names: Sequence[str], pair: str) -> list[Section]:
    """What the trainings of a pair logged on their way; `pair` is told where there are several."""
    title, trained = f"Training curves{f', {pair}' if pair else ''}", [t.method for t in own.training]
    if not own.curves:
        lacks = ["No logs of these trainings are in the run's folder: `bench run` of its suite writes them."]
        return [Section(title, "", (), lacks=lacks)] if trained else []
    looks = curves.looks(names)
    note = "A thin line is one training: the last stage of a method with one seed, every ten optimizer steps."
    return [Section(title, note, curves.figures(own.curves, looks), looks, curves.notes(own.curves, trained))]
