"""A run's answers and judgments in the files of the benchmarks' own tools, for those tools to read.

exports/mt-bench/...    exports/alpaca-eval-2/...    as each benchmark's `export` writes them
"""

from pathlib import Path

from harness.plan.plan import Plan
from harness.results.judging import file_name, judged_rows
from harness.store.store import Store


def write(plan: Plan, store: Store, out: Path) -> None:
    """Write every export that the plan's benchmarks have into `out`."""
    names = _row_names(plan)
    for name, chosen in plan.suite.benchmarks.chosen.items():
        if export := chosen.declaration.export:
            rows = [row for row in judged_rows(plan) if row.chosen.name == name]
            if rows:
                export(out / name, [row.read(store, names[id(row.cell)]) for row in rows])


def _row_names(plan: Plan) -> dict[int, str]:
    """Each cell's row as a file's name: what tells it from the others."""
    # What is the same for all is left out: a run of one pair and one seed has plain methods' names.
    varied = [k for k in ("pair", "dataset", "seed") if len({getattr(c, k) for c in plan.cells}) > 1]
    parts = {id(c): [*(str(getattr(c, k)) for k in varied), c.method] for c in plan.cells}
    return {cell: file_name("-".join(words)) for cell, words in parts.items()}
