"""What the numbers of a column vary by, and what more of each would buy.

    | Source            | SD of a value | Of a value (%) | Of a mean (%) | Of a difference (%) |
    | question          |          1.53 |           60.7 |          62.7 |                 0.0 |
    | method x question |          0.79 |           16.0 |          16.6 |                44.4 |

A value is that of one question in one run. A mean is over all questions and runs that there are, a difference
is of two such means: what moves all methods alike is not in it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import floor, fsum, sqrt

from reports.records import replicates
from reports.records.groups import Groups
from reports.records.rows import Repeat
from reports.statistics import planning
from reports.statistics.noise import components
from reports.statistics.noise.components import (
    METHOD_QUESTION,
    METHOD_WORLD,
    METHOD_WORLD_QUESTION,
    SEED,
)
from reports.tables import columns
from reports.tables.column_noise import ColumnNoise, column_noise
from reports.tables.columns import heading
from reports.tables.judge_noise import Judged, scatters
from reports.tables.table import Cell, Column, Row, Table, by_pair, title

QUESTIONS = 100  # more of them
TENTHS = 1_000  # of a percent, in a whole
NEGATIVE = "estimated below 0, taken as 0"
ONE_RUN = {METHOD_QUESTION: "method x question, and residual"}
ONE_SEED = {METHOD_WORLD: "method x base model, and seed", METHOD_WORLD_QUESTION: "residual"}


def noise_tables(
    groups: Groups, repeats: Sequence[Repeat], methods: Sequence[str], difference: float | None = None
) -> list[Table]:
    """Of each pair, dataset and column that is a mean over questions: its components, what more would buy,
    and what a difference needs, that of the first two where none is given (in the unit that is printed).
    """
    tables = []
    for pair, own in by_pair(groups).items():
        again = scatters(
            [r for r in repeats if (r.suite, r.pair) == pair], replace(groups, groups=tuple(own))
        )
        known = columns.find([g for g in own if g.method in methods], groups.benchmarks)
        shown = [c for c in known if not c.is_summary]
        for dataset in sorted({dataset for column in shown for dataset, _ in column.groups}):
            for column in shown:
                source, head = column.source, heading(column, shown)
                judged = Judged(source.judge, source.benchmark.name, source.column.metric)
                noise = column_noise(column, dataset, methods, again.get(judged))
                tables += [
                    replace(t, title=title(f"{t.title}, {head.title}, {dataset}", *pair))
                    for t in _tables(dataset, head, noise, difference)
                ]
    return tables


def _tables(dataset: str, head: Column, noise: ColumnNoise | None, difference: float | None) -> list[Table]:
    """Those of one column; titles say what each shows."""
    if noise is None:
        return [Table("Noise", (), (), ("no two rows that were trained share two questions of every task",))]
    found = [_components(dataset, head, noise)]
    if noise.is_replicated and not noise.unplanned:
        found += [_more(dataset, head, noise), _needed(dataset, head, noise, difference)]
    return found


def _components(dataset: str, head: Column, noise: ColumnNoise) -> Table:
    found, runs = noise.components, noise.runs
    variances = {e: max(0.0, v) for e, v in found.items()}
    means = {e: components.of_mean(e, v, runs) for e, v in variances.items()}
    differences = {e: 0.0 if e.is_shared else v for e, v in means.items()}
    shares = [_shares(list(of.values())) for of in (variances, means, differences)]
    labels = {} if SEED in found else ONE_SEED if runs.worlds > 1 else ONE_RUN
    rows = [
        Row(
            dataset,
            labels.get(e, e.name),
            (
                Cell(sqrt(variances[e]), notes=(NEGATIVE,) if found[e] < 0 else ()),
                *(Cell(share) for share in of),
            ),
        )
        for e, *of in zip(found, *shares, strict=True)
    ]
    total = [Cell(fsum(share) if any(share) else None) for share in shares]
    rows.append(Row(dataset, "all", (Cell(sqrt(fsum(variances.values()))), *total)))
    heads = (
        replace(head, name=f"{head.name}.sd", title="SD of a value", best=False),
        Column(f"{head.name}.of_value", "Of a value (%)", "share"),
        Column(f"{head.name}.of_mean", "Of a mean (%)", "share"),
        Column(f"{head.name}.of_difference", "Of a difference (%)", "share"),
    )
    return Table("Noise", heads, tuple(rows), tuple(_component_notes(noise, head)), "Source")


def _component_notes(noise: ColumnNoise, head: Column) -> Iterator[str]:
    runs = noise.runs
    kept, left = f"{runs.questions} questions", runs.left_out
    yield (
        f"over {len(noise.methods)} trained rows and the {kept} that all of their runs have"
        f" ({left} items left out)"
    )
    if not noise.is_replicated:
        yield "one run a method: what two trainings of one method differ by is not known, and nothing planned"
    else:
        yield f"replicates: {replicates.replicated(noise.replicates)}"
        if noise.unplanned:
            yield f"nothing planned: {noise.unplanned}"
    if noise.lacking:
        yield f"left out, as others have more base models: {', '.join(noise.lacking)}"
    yield "a value: of a question, in one run; a mean, a difference of two: over these questions and runs"
    yield "by mean squares (analysis of variance); shares are rounded so that they sum to 100 %"
    if noise.judge is None and head.source and head.source.judge:
        yield "the judge's noise, if any, is in the residual: no verdict was asked for again"


def _more(dataset: str, head: Column, noise: ColumnNoise) -> Table:
    now = noise.effort
    efforts = {"as it is": now}
    if SEED in noise.components:
        efforts["1 more seed"] = now._replace(seeds=now.seeds + 1)
    if now.worlds > 1:
        efforts["1 more base model"] = now._replace(worlds=now.worlds + 1)
    efforts[f"{QUESTIONS} more questions"] = now._replace(questions=now.questions + QUESTIONS)
    if noise.judge is not None:
        efforts["1 more judge repeat"] = now._replace(verdicts=2)
    widths = {name: planning.half_width(noise.design(effort)) for name, effort in efforts.items()}
    rows = tuple(
        Row(
            dataset,
            name,
            (
                Cell(widths[name]),
                Cell(1 - widths[name] / widths["as it is"]),
                *(Cell(planning.detectable(noise.design(effort), a)) for a in _alphas(noise)),
            ),
        )
        for name, effort in efforts.items()
    )
    heads = (
        replace(head, name=f"{head.name}.half_width", title="Half-width", best=False),
        Column(f"{head.name}.less", "less by (%)", "share"),
        replace(head, name=f"{head.name}.mde", title="MDE, one pair", best=False),
        replace(head, name=f"{head.name}.mde_family", title=f"MDE, of {noise.pairs} pairs", best=False),
    )
    return Table("What more would buy", heads, rows, _plan_notes(noise), "With")


def _needed(dataset: str, head: Column, noise: ColumnNoise, given: float | None) -> Table:
    first, second, gap = noise.lead()
    label = "asked for" if given is not None else f"{first} less {second}, the first two"
    # Shares are printed in percent.
    difference = gap if given is None else given / 100 if head.unit == "share" else given
    found = [noise.needed(difference, alpha) for alpha in _alphas(noise)]
    never = (
        "the two do not differ"
        if not difference
        else f"not by {planning.MOST:,}: the questions alone leave too much to chance"
    )
    cells = (Cell(k, notes=() if k else (never,)) for k in found)
    level = "base models" if noise.runs.worlds > 1 else "seeds"
    heads = (
        replace(head, name=f"{head.name}.difference", title="Difference", best=False),
        Column(f"{head.name}.needed", f"{level.capitalize()}, one pair", "count"),
        Column(f"{head.name}.needed_family", f"{level.capitalize()}, of {noise.pairs} pairs", "count"),
    )
    row = Row(dataset, label, (Cell(difference), *cells))
    return Table(
        "What a difference needs",
        heads,
        (row,),
        (f"{level} of each row that find it four times in five",),
        "Difference",
    )


def _alphas(noise: ColumnNoise) -> tuple[float, float]:
    """Of one pair, and of one among all."""
    return planning.ALPHA, planning.ALPHA / noise.pairs


def _plan_notes(noise: ColumnNoise) -> tuple[str, ...]:
    return (
        "half-width: of the 95 % interval of a difference of two rows, by their t; MDE: the difference found "
        f"with 80 % power at p < {planning.ALPHA}, and at {planning.ALPHA} by the number of pairs",
        "trainings vary as the tests reckon, by the mean of their posterior: of few rows or replicates more "
        "than the component above",
    )


def _shares(variances: Sequence[float]) -> list[float]:
    """Of their sum, in tenths of a percent that add up to a whole: the largest remainders are rounded up."""
    total = fsum(variances)
    if not total:
        return [0.0] * len(variances)
    exact = [TENTHS * v / total for v in variances]
    short = TENTHS - sum(map(floor, exact))
    raised = sorted(range(len(exact)), key=lambda i: floor(exact[i]) - exact[i])[:short]
    return [(floor(x) + (i in raised)) / TENTHS for i, x in enumerate(exact)]
