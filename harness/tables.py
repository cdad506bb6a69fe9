"""Rows into files: one .jsonl for each kind of row, and every table in every format."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness import collect, collect_costs, collect_judging, collect_training, exports, judge_check
from harness.plan import Plan
from harness.prices import Prices
from harness.store import Store
from reports import jsonl
from reports.ablation_tables import ablation_tables
from reports.cost_table import cost_tables
from reports.direction_table import direction_tables
from reports.judge_table import judge_tables
from reports.judging_table import judging_tables
from reports.main_table import main_tables
from reports.quality_table import quality_tables
from reports.records import Cost, JudgeCheck, Judging, Record, Summary, Training
from reports.render import to_csv, to_latex, to_markdown
from reports.summary_tables import summary_tables
from reports.table import Table
from reports.training_table import training_tables


class Rows(NamedTuple):
    """All rows that a run's tables read."""

    measured: Sequence[Record] = ()
    summed: Sequence[Summary] = ()
    judging: Sequence[Judging] = ()
    paid: Sequence[Cost] = ()
    trained: Sequence[Training] = ()
    checks: Sequence[JudgeCheck] = ()

    def of(self, pair: str) -> "Rows":
        """The rows of one pair."""
        return Rows(
            measured=[r for r in self.measured if r.pair == pair],
            summed=[r for r in self.summed if r.pair == pair],
            judging=[r for r in self.judging if r.pair == pair],
            paid=[r for r in self.paid if r.pair == pair],
            trained=[r for r in self.trained if r.pair == pair],
            checks=self.checks,
        )


FORMATS = {"md": to_markdown, "csv": to_csv, "tex": to_latex}


def write(plan: Plan, store: Store, out: Path, prices: Prices) -> dict[str, list[Table]]:
    """Collect a finished plan's rows into `out` and write its tables; returns them by name."""
    out.mkdir(parents=True, exist_ok=True)
    rows = Rows(
        measured=collect.records(plan, store),
        summed=collect_judging.summaries(plan, store),
        judging=collect_judging.judging(plan, store, prices),
        paid=collect_costs.costs(plan, store),
        trained=collect_training.training(plan, store),
        checks=judge_check.found(plan.suite, plan.cells[0].setting, store),
    )
    jsonl.write(rows.measured, out / "results.jsonl")
    jsonl.write(rows.summed, out / "summaries.jsonl")
    jsonl.write(rows.judging, out / "judging.jsonl")
    jsonl.write(rows.checks, out / "judges.jsonl")
    jsonl.write(rows.paid, out / "costs.jsonl")
    jsonl.write(rows.trained, out / "training.jsonl")
    names: dict[str, list[str]] = {}
    for cell in plan.cells:
        names.setdefault(cell.pair, []).append(cell.method)
    tables = build(rows, {pair: list(dict.fromkeys(of_pair)) for pair, of_pair in names.items()})
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
    exports.write(plan, store, out / "exports")
    return tables


def build(rows: Rows, methods: Mapping[str, list[str]]) -> dict[str, list[Table]]:
    """Every table of a run that has something to show, by name; a function of the rows alone.

    `methods` names the rows of each pair, in their order.
    """
    built: dict[str, list[Table]] = {}
    for pair, names in sorted(methods.items()):
        own = rows.of(pair)
        trained = {t.method for t in own.trained}
        found = {
            "main": main_tables(own.measured, names, summaries=own.summed, checks=own.checks),
            "ablation": ablation_tables(own.measured, names),
            "direction": direction_tables(own.measured, own.trained, names),
            "cost": cost_tables(own.paid, names),
            "judging": judging_tables(own.judging, names),
            "training": training_tables(own.trained, [m for m in names if m in trained]),
            "summaries": summary_tables(own.summed, names),
            "quality": quality_tables(own.measured, own.paid, names, own.judging),
        }
        for name, tables in found.items():
            built.setdefault(name, []).extend(tables)
    built["judges"] = judge_tables(rows.checks)
    return {name: tables for name, tables in built.items() if tables}
