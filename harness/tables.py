"""A finished plan into the folder of its results: rows, tables, and exports for other tools."""

from pathlib import Path

from harness import (
    collect,
    collect_costs,
    collect_judging,
    collect_texts,
    collect_training,
    exports,
    judge_check,
)
from harness.plan import Plan
from harness.prices import Prices
from harness.store import Store
from reports import run
from reports.page import page
from reports.run import Rows
from reports.table import Table

PAGE = "report.html"


def write(plan: Plan, store: Store, out: Path, prices: Prices) -> dict[str, list[Table]]:
    """Collect a finished plan's rows into `out` and write its tables; returns them by name."""
    rows = Rows(
        measured=collect.records(plan, store),
        summed=collect_judging.summaries(plan, store),
        judging=collect_judging.judging(plan, store, prices),
        paid=collect_costs.costs(plan, store),
        trained=collect_training.training(plan, store),
        checks=judge_check.found(plan.suite, plan.cells[0].setting, store),
    )
    before = _bytes(out)
    run.write(rows, out)
    collect_texts.write(plan, store, out)
    tables = run.build(rows)
    run.write_tables(tables, out / "tables")
    exports.write(plan, store, out / "exports")
    if _bytes(out) != before or not (out / PAGE).exists():  # it takes seconds, and is a function of the rows
        page.write(out)
    return tables


def _bytes(out: Path) -> dict[str, bytes]:
    """The rows that the page is made of, as they stand in a run's folder."""
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.jsonl"))}
