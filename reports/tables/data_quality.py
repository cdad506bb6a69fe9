"""What was lost on the way to each method's numbers: training rows, ends of answers, judgments.

rows dropped 2 | rows truncated 11 | answers truncated 3 (n=240) | judgments unparsed 1 (n=160)
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from reports.records.groups import Group, Records, grouped
from reports.records.rows import Cost, Judging, Record
from reports.statistics.bootstrap import Replicate
from reports.tables.table import Cell, Column, Row, Table, by_pair, mean, title

COLUMNS = (
    Column("rows_dropped", "Rows dropped", "count"),
    Column("rows_truncated", "Rows truncated", "count"),
    Column("answers_truncated", "Answers truncated", "count"),
    Column("prompts_truncated", "Prompts truncated", "count"),
    Column("judgments_unparsed", "Judgments unparsed", "count"),
    Column("template_tokens", "Template tokens", "count"),
)
ROWS_NOTE = "rows of the training set, a mean over seeds"
ANSWERS_NOTE = (
    "answers cut at their token limit, and verdicts that could not be read (in judges' replies, or in "
    "answers that need no judge), of n over benchmarks and seeds"
)
PROMPTS_NOTE = "prompts of {} that lost their beginning, too long for the model, of n documents"
TEMPLATE_NOTE = "tokens of chat templates in answers that were broken up before a judge read them"


def quality_tables(
    records: Records,
    costs: Iterable[Cost],
    methods: Sequence[str],
    judging: Iterable[Judging] = (),
) -> list[Table]:
    """One table per pair that has records or costs."""
    all_groups = grouped(records)
    measured, paid, judged = by_pair(all_groups), by_pair(costs), by_pair(judging)
    prompts = dict.fromkeys(b.family or b.title for b in all_groups.benchmarks if b.length_of == "prompt")
    notes = (ROWS_NOTE, ANSWERS_NOTE, PROMPTS_NOTE.format(", ".join(prompts)), TEMPLATE_NOTE)
    tables = []
    for pair in sorted({*measured, *paid}):
        groups, runs = measured.get(pair, []), paid.get(pair, [])
        by_row: dict[tuple[str, str], list[Group]] = defaultdict(list)
        for g in groups:
            by_row[g.dataset, g.method].append(g)
        rows = []
        for dataset in sorted({g.dataset for g in groups} | {c.dataset for c in runs}):
            for method in methods:
                own = by_row[dataset, method]
                trained = [c for c in runs if (c.dataset, c.method) == (dataset, method)]
                asked = [j for j in judged.get(pair, []) if (j.dataset, j.method) == (dataset, method)]
                guarded = Cell(sum(j.guarded for j in asked)) if asked else Cell()
                lost = mean(c.rows_dropped for c in trained), mean(c.rows_truncated for c in trained)
                cells = (*lost, *_truncated(own), _unparsed(own, asked), guarded)
                rows.append(Row(dataset, method, cells))
        tables.append(Table(title("Data quality", *pair), COLUMNS, tuple(rows), notes))
    return tables


def _truncated(groups: list[Group]) -> tuple[Cell, Cell]:
    """Answers cut, and prompts, of those that there are; several records (metrics, orders, judges) describe
    one. A record of 0 tokens is of no answer: the implicit reward scores texts that were there.
    """
    # An answer that was cut to nothing has 0 tokens too.
    answers = [r for r in _asked(groups, "answer") if r.tokens or r.truncated]
    return _cut(answers), _cut(_asked(groups, "prompt"))


def _asked(groups: list[Group], length_of: str) -> list[Record]:
    """The records of questions whose length is that of the answer, or of the prompt."""
    return [r for g in groups if g.declared.length_of == length_of for r in g.records if r.question]


def _cut(records: list[Record]) -> Cell:
    answers, cut = {_answer(r) for r in records}, {_answer(r) for r in records if r.truncated}
    return Cell(len(cut), n=len(answers)) if answers else Cell()


def _answer(r: Record) -> tuple[Replicate, str, str, str, int]:
    return r.replicate, r.benchmark, r.group, r.question, r.turn


def _unparsed(groups: list[Group], judging: list[Judging]) -> Cell:
    # A judge's records say which are unparsed; of verdicts without one only the count is kept.
    judged = [r for g in groups if g.judge for r in g.records if r.question]
    unjudged = [j for j in judging if not j.judge]
    lost = sum(r.status == "unparsed" for r in judged) + sum(j.unparsed for j in unjudged)
    total = len(judged) + sum(j.judgments for j in unjudged)
    half = sum(g.measured.half_judged for g in groups)
    notes = (f"{half} questions half-judged: a verdict in one order of two, in no number",) if half else ()
    return Cell(lost, n=total, notes=notes) if total else Cell()
