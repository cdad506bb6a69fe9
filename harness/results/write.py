"""A finished plan into the folder of its results: rows, tables, and exports for other tools."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from harness.endpoints.prices import Prices
from harness.plan.plan import Plan
from harness.results import benchmarks, costs, exports, judge_checks, judging, records, texts, training
from harness.results.health import counts
from harness.store.store import Store
from reports import build
from reports.page import page
from reports.records import jsonl, run_folder
from reports.records.run_folder import Rows
from reports.tables.table import Table

STAMP = "written.json"  # the last that is written: what is there, which tables, and by which sources
SOURCES = ("harness", "reports", "benchmarks")
SUFFIXES = (".py", ".j2", ".css", ".js", ".json")
PARTS = ("", "tables", "exports")


class Written(NamedTuple):
    """A run's tables by name, the wide ones only where they were written, and its verdict's paragraphs."""

    tables: dict[str, list[Table]]
    verdict: list[str]


def write(plan: Plan, store: Store, out: Path, prices: Prices) -> Written:
    """Collect a finished plan's rows into `out` and write its tables.

    Tables, texts, exports and the page take seconds and are a function of the rows, which hold the ids of the
    artifacts behind them: where no row is another and all of it is there, they stay.
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
        benchmarks=benchmarks.benchmarks(plan.suite),
    )
    stamp, sources = out / STAMP, _sources()
    known = json.loads(stamp.read_text()) if stamp.is_file() else {}
    stays = known.get("sources") == sources and all((out / name).exists() for name in known["there"])
    # Names no sources before the first file changes: a folder of which a kill left half must not look whole.
    earlier = known.get("tables", [])
    changing = json.dumps({"sources": "", "there": [], "tables": earlier})
    if known and not stays:
        jsonl.replace(stamp, changing)
    if run_folder.write(rows, out) | texts.write_steps(plan, store, out):
        stays = False
        if known:
            jsonl.replace(stamp, changing)
    tables, told = build.build(rows, wide=not stays), build.verdict(rows)
    if not stays:
        names = build.write_tables(tables, out / "tables", told)
        # A table of an earlier run would be taken for a result of this one; files of others are theirs.
        for name in set(earlier) - set(names):
            (out / "tables" / name).unlink(missing_ok=True)
        texts.write(plan, store, out)
        exports.write(plan, store, out / "exports")
        page.write(out)
        there = sorted(str(p.relative_to(out)) for part in PARTS for p in (out / part).glob("*"))
        jsonl.replace(stamp, json.dumps({"sources": sources, "there": there, "tables": names}))
    return Written(tables, told)


def _sources() -> str:
    """A hash of the code that rows, exports and the page are made by."""
    # Of all files rather than of a version: whoever edits a table wants to see it at the next run.
    root, digest = Path(__file__).parents[2], hashlib.sha256()
    for path in sorted(p for house in SOURCES for p in (root / house).rglob("*") if p.suffix in SUFFIXES):
        digest.update(path.read_bytes())
    return digest.hexdigest()
