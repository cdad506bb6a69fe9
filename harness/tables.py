"""Rows into files: results.jsonl, costs.jsonl, training.jsonl, and every table in every format."""

from pathlib import Path

from harness import collect
from harness.plan import Plan
from harness.store import Store
from reports import records
from reports.ablation_tables import ablation_tables
from reports.cost_table import cost_tables
from reports.direction_table import direction_tables
from reports.main_table import main_tables
from reports.quality_table import quality_tables
from reports.records import Cost, Record, Training
from reports.render import to_csv, to_latex, to_markdown
from reports.table import Table
from reports.training_table import training_tables

FORMATS = {"md": to_markdown, "csv": to_csv, "tex": to_latex}


def write(plan: Plan, store: Store, out: Path) -> dict[str, list[Table]]:
    """Collect a finished plan's rows into `out` and write its tables; returns them by name."""
    out.mkdir(parents=True, exist_ok=True)
    measured, paid, trained = (
        collect.records(plan, store),
        collect.costs(plan, store),
        collect.training(plan, store),
    )
    records.write(measured, out / "results.jsonl")
    records.write(paid, out / "costs.jsonl")
    records.write(trained, out / "training.jsonl")
    names = list(dict.fromkeys(cell.method for cell in plan.cells))
    tables = build(measured, paid, trained, names)
    folder = out / "tables"
    folder.mkdir(exist_ok=True)
    for name, parts in tables.items():
        for ending, render in FORMATS.items():
            path = folder / f"{name}.{ending}"
            aside = path.with_name(path.name + ".partial")
            aside.write_text("\n".join(render(part) for part in parts), encoding="utf-8")
            aside.replace(path)
    for path in folder.iterdir():
        if path.stem not in tables:  # of an earlier run, with rows that this one has not
            path.unlink()
    return tables


def build(
    measured: list[Record], paid: list[Cost], trained: list[Training], methods: list[str]
) -> dict[str, list[Table]]:
    """Every table of a run that has something to show, by name; a function of the rows alone."""
    built = {
        "main": main_tables(measured, methods),
        "ablation": ablation_tables(measured, methods),
        "direction": direction_tables(measured, trained, methods),
        "cost": cost_tables(paid, methods),
        "training": training_tables(trained, [m for m in methods if any(t.method == m for t in trained)]),
        "quality": quality_tables(measured, paid, methods),
    }
    return {name: tables for name, tables in built.items() if tables}
