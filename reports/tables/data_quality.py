"""What was lost on the way to each method's numbers: training rows, ends of answers, judgments.

rows dropped 2 | rows truncated 11 | answers truncated 3 (n=240) | judgments unparsed 1 (n=160)
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from reports.records.groups import Records, grouped
from reports.records.rows import Cost, Judging, Record
from reports.tables.table import Cell, Column, Row, Table, by_pair, mean, title

COLUMNS = (
    Column("rows_dropped", "Rows dropped", "count"),
    Column("rows_truncated", "Rows truncated", "count"),
    Column("answers_truncated", "Answers truncated", "count"),
    Column("prompts_truncated", "Prompts truncated", "count"),
    Column("judgments_unparsed", "Judgments unparsed", "count"),
    Column("template_tokens", "Template tokens", "count"),
)
NOTES = (
    "rows of the training set, a mean over seeds",
    "answers cut at their token limit, and verdicts that could not be read (in judges' replies, or in "
    "answers that need no judge), of n over benchmarks and seeds",
    "prompts of OpenLLM that lost their beginning, too long for the model, of n documents",
    "tokens of chat templates in answers that were broken up before a judge read them",
)


def quality_tables(
    records: Records,
    costs: Iterable[Cost],
    methods: Sequence[str],
    judging: Iterable[Judging] = (),
) -> list[Table]:
    """One table per pair that has records or costs."""
    told, paid, judged = by_pair(grouped(records)), by_pair(costs), by_pair(judging)
    tables = []
    for pair in sorted({*told, *paid}):
        of_pair, of_costs = told.get(pair, []), paid.get(pair, [])
        of_rows: dict[tuple[str, str], list[Record]] = defaultdict(list)
        for g in of_pair:
            of_rows[g.dataset, g.method] += [r for r in g.records if r.question]
        rows = []
        for dataset in sorted({g.dataset for g in of_pair} | {c.dataset for c in of_costs}):
            for method in methods:
                own = of_rows[dataset, method]
                runs = [c for c in of_costs if (c.dataset, c.method) == (dataset, method)]
                asked = [j for j in judged.get(pair, []) if (j.dataset, j.method) == (dataset, method)]
                guarded = Cell(sum(j.guarded for j in asked)) if asked else Cell()
                cells = (*_rows_lost(runs), *_truncated(own), _unparsed(own, asked), guarded)
                rows.append(Row(dataset, method, cells))
        tables.append(Table(title("Data quality", *pair), COLUMNS, tuple(rows), NOTES))
    return tables


def _rows_lost(runs: list[Cost]) -> tuple[Cell, Cell]:
    return mean(c.rows_dropped for c in runs), mean(c.rows_truncated for c in runs)


def _truncated(records: list[Record]) -> tuple[Cell, Cell]:
    """Answers cut, and prompts of OpenLLM, of those that there are; several records (metrics, orders, judges)
    describe one. A record of 0 tokens is of no answer: the implicit reward scores texts that were there.
    """
    of_openllm = [r for r in records if r.benchmark.startswith("openllm")]
    of_answers = [r for r in records if not r.benchmark.startswith("openllm") and (r.tokens or r.truncated)]
    return _cut(of_answers), _cut(of_openllm)


def _cut(records: list[Record]) -> Cell:
    every, cut = {_answer(r) for r in records}, {_answer(r) for r in records if r.truncated}
    return Cell(len(cut), n=len(every)) if every else Cell()


def _answer(r: Record) -> tuple[int, str, str, str, int]:
    return r.seed, r.benchmark, r.group, r.question, r.turn


def _unparsed(records: list[Record], judging: list[Judging]) -> Cell:
    judged, unjudged = [r for r in records if r.judge], [j for j in judging if not j.judge]
    lost = sum(r.status == "unparsed" for r in judged) + sum(j.unparsed for j in unjudged)
    total = len(judged) + sum(j.judgments for j in unjudged)
    return Cell(lost, n=total) if total else Cell()
