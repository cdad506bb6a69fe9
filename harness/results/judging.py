"""What the judges' steps add up to, and what they took."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from harness.endpoints.prices import Prices, Usage
from harness.evaluate.questions import JUDGMENTS
from harness.plan.measurements import Cell
from harness.plan.plan import Plan
from harness.results.records import folder_of, folders_of
from harness.store.step import Step
from harness.store.store import Store
from harness.suite.measurement import Chosen
from reports.records.rows import Judging, Summary


class JudgedRow(NamedTuple):
    """Whose judgments a step holds."""

    cell: Cell
    benchmark: Chosen
    reference: str
    step: Step

    def key(self, plan: Plan) -> dict[str, Any]:
        """The fields that name a row of judging."""
        return _key(plan, self.cell, self.benchmark, self.reference)


def _key(plan: Plan, cell: Cell, chosen: Chosen, reference: str) -> dict[str, Any]:
    """The fields that name a row of summaries or judging."""
    run: dict[str, Any] = {"suite": plan.suite.name, "pair": cell.pair, "dataset": cell.dataset}
    run |= {"method": cell.method, "seed": cell.seed, "benchmark": chosen.name}
    return run | {"judge": chosen.settings.judged_by(), "reference": reference}


def _judged_rows(plan: Plan) -> Iterator[JudgedRow]:
    for cell in plan.cells:
        for name, steps in cell.measures.items():
            for key in (k for k in steps if k.startswith(JUDGMENTS)):
                chosen = plan.suite.benchmarks.chosen[name]
                yield JudgedRow(cell, chosen, key.partition(".")[2], steps[key])


def summaries(plan: Plan, store: Store) -> list[Summary]:
    """Every number that a benchmark's own way of adding up gives, those of judgments first."""
    measured = [(cell, name) for cell in plan.cells for name in cell.measures]
    measured.sort(key=lambda m: not any(key.startswith(JUDGMENTS) for key in m[0].measures[m[1]]))
    return [
        Summary(**_key(plan, cell, chosen, found.reference), metric=found.metric, value=found.value)
        for cell, name in measured
        if (chosen := plan.suite.benchmarks.chosen[name])
        for found in chosen.benchmark.summaries(folders_of(cell, name, store))
    ]


def judging(plan: Plan, store: Store, prices: Prices) -> list[Judging]:
    """What each row's judgments took; those of a rule took no call."""
    rows = []
    for of in _judged_rows(plan):
        step = of.step
        folder = folder_of(store, step)
        measured = store.record(folder)["measured"]
        spent = measured["prompt_tokens"], measured["completion_tokens"]
        served = sorted(measured["served"])
        cost: float | None = 0.0
        if measured["calls"]:
            judge = plan.suite.judges[of.benchmark.settings.judged_by()]
            cost = judge.kind.usd(judge.settings, prices, Usage(measured["calls"], *spent))
        counts = {k: measured[k] for k in ("judgments", "unparsed", "guarded", "calls")}
        rows.append(
            Judging(
                **of.key(plan),
                **counts,
                prompt_tokens=spent[0],
                completion_tokens=spent[1],
                usd=cost,
                models=tuple(served),
            )
        )
    return rows
