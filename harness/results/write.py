"""A finished plan into the folder of its results: rows, tables, and exports for other tools."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.endpoints.prices import Prices
from harness.plan.plan import Plan
from harness.results import (
    benchmarks,
    costs,
    exports,
    judge_checks,
    judging,
    manifest,
    records,
    texts,
    training,
)
from harness.results.health import counts
from harness.store.store import Store
from reports import build
from reports.page import page
from reports.records import run_folder
from reports.records.run_folder import Rows
from reports.terminal import FirstScreen, first_screen


class Written(NamedTuple):
    """What a terminal shows of a run first, and the files that were written, those of tables by their names
    in `tables/` too.
    """

    screen: FirstScreen
    files: list[str]
    tables: list[str]


def write(plan: Plan, store: Store, out: Path, prices: Prices, earlier: Sequence[str]) -> Written:
    """Collect a finished plan's rows into `out` and write all that is made of them. `earlier` names the
    tables' files that were written before.
    """
    rows = Rows(
        records=records.records(plan, store),
        summaries=judging.summaries(plan, store),
        judging=judging.judging(plan, store, prices),
        costs=costs.costs(plan, store),
        training=training.training(plan, store),
        checks=judge_checks.judge_checks(plan.suite, plan.cells[0].setting, store),
        counts=counts.counts(plan, store),
        repeats=records.repeats(plan, store),
        curves=training.curves(plan, store),
        benchmarks=benchmarks.benchmarks(plan.suite),
    )
    run_folder.write(rows, out)
    judged = judging.read_rows(plan, store)
    made, said = texts.write_steps(plan, store, out), texts.write(judged, out)
    paired = build.paired(rows)
    built, told = build.build(paired), build.verdict(paired)
    tables = build.write_tables(built, out / "tables", told)
    # A table of an earlier run would be taken for a result of this one; files of others are theirs.
    for name in set(earlier) - set(tables):
        (out / "tables" / name).unlink(missing_ok=True)
    exports.write(plan, store, judged, out / "exports")
    page.write_of(paired, said, made, out)
    return Written(first_screen(told, built), _written(out, tables), tables)


def _written(out: Path, tables: Sequence[str]) -> list[str]:
    """All files of a run's results, below its folder."""
    exported = manifest.read(out / "exports")
    assert exported, "just written"
    names = [*(p.name for p in out.glob("*.jsonl")), "benchmarks.json", page.NAME]
    exports = [f"exports/{name}" for name in (manifest.NAME, *exported.files)]
    return [*names, *(f"tables/{name}" for name in tables), *exports]
