"""What another run says of how far trainings lie apart, lent to the same column of a run without replicates.

Of a lender with several base models it is one seed on each: all that two single runs may differ by.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from reports.records import replicates
from reports.records.groups import Group, Lender, Measured
from reports.statistics.bootstrap import Item, Replicate
from reports.statistics.variance import UNKNOWN
from reports.tables.scores import NOTHING, Lent, Scores, scored, untrained
from reports.tables.table import Source


def lend(lender: Lender, source: Source, pair: str, dataset: str) -> Lent:
    """Of the same benchmark, metric, judge and reference; of the same pair and data set where it has them.

    Rows without a data set were measured as they are: no training of theirs has any chance.
    """
    if not dataset:
        return NOTHING
    key = (source.benchmark.name, source.column.metric, source.judge, source.reference)
    alike = [g for g in lender.groups if (g.benchmark, g.metric, g.judge, g.reference) == key]
    alike = [g for g in alike if g.pair == pair] or alike
    alike = [g for g in alike if g.dataset == dataset] or alike
    tables: dict[tuple[str, str], dict[str, Group]] = defaultdict(dict)
    for g in alike:
        tables[g.pair, g.dataset][g.method] = g
    tasks, is_share = source.benchmark.tasks, source.column.unit == "share"
    several = [
        _of_single_runs(scored(own, tasks, is_share, source.reference, fixed=untrained(own.values())))
        for own in tables.values()
    ]
    varied = tuple(v for scores in several for v in scores.varied)
    common = max(
        (s.chance.variations.common for s in several if s.values), key=lambda v: v.df, default=UNKNOWN
    )
    if not varied and not common.df:
        return NOTHING
    known = [own.keys() for scores in several for own in scores.runs.values()]
    whose = f"{len(varied)} methods" if varied else "the reference"
    words = f"{replicates.replicated(known)}, of {whose}"
    return Lent(
        varied,
        common,
        frozenset().union(*(s.fixed for s in several)),
        f"the chance of training is taken from run {lender.run}: {words}",
    )


def _of_single_runs(scores: Scores) -> Scores:
    """The same of one seed on each base model, where there are several of these."""
    if len({r.world for own in scores.runs.values() for r in own}) < 2:
        return scores
    runs = {m: _one_seed(own) for m, own in scores.runs.items()}
    return replace(scores, values={m: Measured.of(own).values for m, own in runs.items()}, runs=runs)


def _one_seed(runs: Mapping[Replicate, Mapping[Item, float]]) -> dict[Replicate, dict[Item, float]]:
    first = [Replicate(world, seeds[0]) for world, seeds in replicates.by_world(runs).items()]
    return {r: dict(runs[r]) for r in first}
