"""What each benchmark's own way of adding up says of each row: every number of it, a table for each judge.

Ratings by turn and category; win rates with upstream's standard error and ours; the sides of a judge.
"""

from collections.abc import Iterable, Sequence

from reports.records.benchmarks import DEFAULT, Benchmark, Benchmarks, Unit
from reports.records.rows import Summary
from reports.tables.table import Column, Row, Table, by_pair, mean, title

NOTES = (
    "n...: counts; what a benchmark's own tool prints stands beside ours (docs/evaluation.md)",
    "means over seeds",
)


def summary_tables(
    summaries: Iterable[Summary], methods: Sequence[str], benchmarks: Benchmarks = DEFAULT
) -> list[Table]:
    """One table per pair, benchmark, judge and reference, with a column for each number."""
    tables = []
    for pair, rows in by_pair(summaries).items():
        for key in dict.fromkeys((s.benchmark, s.judge, s.reference) for s in rows):
            own = [s for s in rows if (s.benchmark, s.judge, s.reference) == key]
            benchmark = benchmarks.get(key[0])
            # A flag is no number: the main table says it in words.
            metrics = [m for m in dict.fromkeys(s.metric for s in own) if m not in benchmark.flags]
            values: dict[tuple[str, str, str], list[float]] = {}
            for s in own:
                values.setdefault((s.dataset, s.method, s.metric), []).append(s.value)
            columns = tuple(Column(m, m, _unit(benchmark, m)) for m in metrics)
            body = [
                Row(dataset, m, tuple(mean(values.get((dataset, m, metric), [])) for metric in metrics))
                for dataset in sorted({s.dataset for s in rows})
                for m in methods
            ]
            what = " by ".join(filter(None, key[:2])) + (f" against {key[2]}" if key[2] else "")
            tables.append(Table(title(f"Numbers of {what}", *pair), columns, tuple(body), NOTES))
    return tables


def _unit(benchmark: Benchmark, metric: str) -> Unit:
    if metric == "n" or metric.startswith("n_"):
        return "count"
    return "tokens" if "length" in metric else benchmark.summary_unit
