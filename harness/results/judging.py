"""What the judges' steps add up to, and what they took."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from harness.endpoints.prices import Prices, Usage, usd
from harness.plan.measurements import Cell
from harness.plan.plan import Plan
from harness.results.records import folder_of
from harness.store.step import Step
from harness.store.store import Store
from harness.suite.benchmarks import Judged
from reports.records.rows import Judging, Summary


class Of(NamedTuple):
    """Whose judgments they are."""

    cell: Cell
    benchmark: str
    judge: str
    reference: str
    step: str

    def key(self, plan: Plan) -> dict[str, Any]:
        """The fields that name a row of summaries or judging."""
        cell = self.cell
        run: dict[str, Any] = {"suite": plan.suite.name, "pair": cell.pair, "dataset": cell.dataset}
        run |= {"method": cell.method, "seed": cell.seed}
        return run | {"benchmark": self.benchmark, "judge": self.judge, "reference": self.reference}


def _of(plan: Plan) -> Iterator[Of]:
    specs = plan.suite.benchmarks.named()
    for cell in plan.cells:
        for benchmark, steps in cell.measures.items():
            spec = specs[benchmark]
            judge = spec.judge if isinstance(spec, Judged) else ""
            for name in (n for n in steps if n.startswith("judgments")):
                yield Of(cell, benchmark, judge, name.partition(".")[2], name)


def summaries(plan: Plan, store: Store) -> list[Summary]:
    """Every number that a benchmark's own way of adding up gives."""
    rows = []
    for of in _of(plan):
        folder = folder_of(store, of.cell.measures[of.benchmark][of.step])
        for metric, value in json.loads((folder / "metrics.json").read_text()).items():
            rows.append(Summary(**of.key(plan), metric=metric, value=value))
    for cell in plan.cells:
        for benchmark, steps in cell.measures.items():
            if "results" in steps:
                key = Of(cell, benchmark, "", "", "results").key(plan)
                measured = store.record(folder_of(store, steps["results"]))["measured"]
                rows += [Summary(**key, metric=m, value=v) for m, v in _leaderboard(measured).items()]
    return rows


def _leaderboard(measured: dict[str, Any]) -> dict[str, float]:
    """A leaderboard's score of each benchmark that is whole, and their average where all are."""
    found = {"n": float(measured["documents"])}
    for name, score in measured["scores"].items():
        found |= {f"raw/{name}": score["raw"], f"normalised/{name}": score["normalised"]}
    for average in measured["averages"].values():  # of v1 or v2, never both: a benchmark has one of them
        found["average"] = average
    return found


def judging(plan: Plan, store: Store, prices: Prices) -> list[Judging]:
    """What each row's judgments took; those of a rule took no call."""
    rows = []
    for of in _of(plan):
        step = of.cell.measures[of.benchmark][of.step]
        folder = folder_of(store, step)
        measured = store.record(folder)["measured"]
        spent = measured["prompt_tokens"], measured["completion_tokens"]
        served = sorted(measured["served"])
        cost = _usd(step, prices, *spent) if measured["calls"] else 0.0
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


def _usd(step: Step, prices: Prices, prompt_tokens: int, completion_tokens: int) -> float | None:
    """What the judge's calls cost; a server of our own costs nothing but its time."""
    judge = step.settings["judge"]
    if judge["kind"] == "server":
        return 0.0
    return usd(prices, judge["model"], Usage(0, prompt_tokens, completion_tokens))
