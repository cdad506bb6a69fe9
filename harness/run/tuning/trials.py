"""Trials: which settings of each method, the plan that makes them, and what came of each."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, inf
from typing import NamedTuple

from harness.endpoints.prices import Prices
from harness.executors.options import Machine, RunOptions, Spending
from harness.executors.scheduler import StepsFailed
from harness.forecast import planned
from harness.forecast.forecast import cost_of
from harness.forecast.sizes import PlanSizes
from harness.plan import plan as planning
from harness.plan.endpoints import Endpoints
from harness.plan.plan import Plan
from harness.plan.row_steps import own_stages
from harness.results import benchmarks, judging
from harness.results import records as collect
from harness.run import pipeline
from harness.run.failed_rows import as_made, stopped
from harness.store.step import Step
from harness.store.store import Store
from harness.suite.schema import Suite
from harness.suite.tuning import search
from harness.suite.tuning.search import Settings, Values
from harness.suite.tuning.section import Tuning
from methods.api import Method
from reports.records.groups import grouped
from reports.tables.main import main_tables

OK = "ok"


class Trial(NamedTuple):
    """One setting of a method, and its number in the main table: a mean over n verdicts; `lost` had none.

    A trial without a score says in its status why.
    """

    method: str
    settings: Settings
    score: float | None
    n: int = 0
    truncated: int = 0
    lost: int = 0
    status: str = OK


@dataclass
class Bench:
    """Where and how trials are made. `suite` is the one that they are scored by; `spending` what is left."""

    suite: Suite
    registry: Mapping[str, Method]
    store: Store
    where: Machine
    options: RunOptions
    prices: Prices
    spending: Spending
    endpoints: Endpoints
    method_file: str | None = None

    def plan(self, method: str, settings: Settings) -> Plan:
        """A trial."""
        return planning.plan(
            search.with_settings(self.suite, method, settings),
            self.registry,
            self.where,
            only=[method],
            method_file=self.method_file,
            is_done=self.store.is_done,
            endpoints=self.endpoints,
        )

    def planned(
        self, tuning: Tuning, method: str, values: Values, count: int | None
    ) -> list[tuple[Settings, Plan]]:
        """The trials of a method: `count`, or as many as its FLOPs allow."""
        if count is not None:
            return [(s, self.plan(method, s)) for s in search.first(tuning, method, values, count)]
        return self._within(tuning, method, values)

    def _within(self, tuning: Tuning, method: str, values: Values) -> list[tuple[Settings, Plan]]:
        """The trials whose own stages take no more FLOPs than there are, each shared step counted once."""
        assert tuning.flops
        found, made = list[tuple[Settings, Plan]](), dict[str, float]()
        for settings in search.drawn(tuning, method, values):
            plan = self.plan(method, settings)
            more = made | self._flops_of(plan, method)
            if fsum(more.values()) > tuning.flops:
                if not found:
                    one = f"one trial of {method} takes {fsum(more.values()):.3g}"
                    raise ValueError(f"tuning.flops: given {tuning.flops:g}; {one}")
                return found
            made, found = more, [*found, (settings, plan)]
        raise ValueError(
            f"tuning.methods.{method}: all its {len(found)} combinations take {fsum(made.values()):.3g} of "
            f"{tuning.flops:g} FLOPs; more values, or fewer FLOPs, for an equal budget"
        )

    def _flops_of(self, plan: Plan, method: str) -> dict[str, float]:
        """FLOPs of a trial's own stages by step; ValueError where nobody can say."""
        # Of the plan alone: what is done already must not change how many trials there are.
        sizes = PlanSizes(plan.suite, self.where, None, self.prices)
        costs = {step.id: cost_of(step, sizes) for step in _own(plan, method)}
        if unknown := next((cost.unknown for cost in costs.values() if cost.unknown), ""):
            raise ValueError(f"tuning.flops: no estimate for {method} ({unknown}); give `trials` instead")
        return {name: cost.flops for name, cost in costs.items()}

    def total_flops(self, plans: Sequence[Plan], method: str) -> float | None:
        """What the trials of a method take in its own stages, each shared step counted once; None where
        nobody can say.
        """
        try:
            return fsum({k: v for plan in plans for k, v in self._flops_of(plan, method).items()}.values())
        except ValueError:
            return None

    def merged(self, plans: Sequence[Plan]) -> Plan:
        """Trials as one plan, fitted to the GPUs that there are."""
        whole = planning.merged(plans, self.store.is_done)
        if self.where.device == "cuda":
            return planned.fit(whole, self.store, self.where, self.options, self.prices)
        return whole

    def make(self, plans: Sequence[Plan]) -> Mapping[str, str]:
        """Make trials, side by side; why those steps failed that did, by their ids."""
        logs = self.store.root.parent / self.suite.name / "logs"
        whole, common = self.merged(plans), (self.store, self.where, self.options, self.prices)
        try:
            ledger = pipeline.make(whole, *common, self.spending, logs).ledger
        except StepsFailed as failed:
            if self.spending.limited:  # what this took is not known here, so nothing more is asked
                self._spend(inf, sys.maxsize)
            return failed.lost
        self._spend(ledger.spent, ledger.calls)
        return {}

    def _spend(self, usd: float, calls: int) -> None:
        cost, most = self.spending.max_cost, self.spending.max_calls
        self.spending = Spending(
            None if cost is None else max(0.0, cost - usd),
            None if most is None else max(0, most - calls),
            self.spending.prices,
        )


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """The trials with a score, the best first; of equal ones the first that was tried."""
    return sorted((t for t in trials if t.score is not None), key=lambda t: -(t.score or 0.0))


def _own(plan: Plan, method: str) -> Iterator[Step]:
    for cell in plan.cells:
        if cell.method == method:
            yield from own_stages(cell)


def metric_of(suite: Suite) -> tuple[str, str]:
    """The benchmark that trials are scored by, and the metric of its first column in the main table."""
    ((name, chosen),) = suite.benchmarks.chosen.items()
    columns = chosen.declaration.presentation.columns
    first = sorted(columns, key=lambda c: (c.aggregate == "summary", not c.best))
    return name, first[0].metric if first else chosen.declaration.metric


def result(method: str, settings: Settings, plan: Plan, store: Store, lost: Mapping[str, str]) -> Trial:
    """What came of a trial; `lost` says why steps failed, by their ids."""
    cells = tuple(as_made(cell, lost) for cell in plan.cells if cell.method == method)
    for cell in cells:
        reasons = [*cell.failed.values(), *cell.missing.values()]
        if why := reasons[0] if reasons else stopped(cell, store):
            return Trial(method, settings, None, status=f"failed: {why}")
    made, (_, metric) = Plan(plan.suite, plan.steps, cells), metric_of(plan.suite)
    rows = collect.records(made, store)
    known, summaries = benchmarks.benchmarks(plan.suite), judging.summaries(made, store)
    tables = main_tables(grouped(rows, known), [method], summaries=summaries)
    values = [
        cell.value
        for table in tables
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
        if column.source and column.source.column.metric == metric
    ]
    judged = [r for r in rows if r.metric == metric]
    read = [r for r in judged if r.value is not None]
    numbers = [value for value in values if isinstance(value, int | float)]
    if not numbers or len(numbers) < len(values):
        return Trial(method, settings, None, lost=len(judged), status="failed: no verdict could be read")
    score, truncated = fsum(numbers) / len(numbers), sum(r.truncated for r in read)
    return Trial(method, settings, score, len(read), truncated, len(judged) - len(read))
