"""A trial's score is its number in the main table; what failed says why."""

from pathlib import Path
from statistics import fmean

import pytest

import methods
from harness.executors.options import Machine
from harness.plan import plan as planning
from harness.plan.plan import Plan
from harness.results import records as collect
from harness.run.tuning.trials import metric_of, result
from harness.store.store import Store
from harness.suite.benchmarks import Benchmarks
from tests import suites
from tests.paths import TINY


def trial(benchmark: str) -> Plan:
    """The tiny suite's DPO, measured by one of its benchmarks."""
    suite = suites.load(TINY)
    chosen = {benchmark: suite.benchmarks.chosen[benchmark]}
    suite = suite.model_copy(update={"benchmarks": Benchmarks(chosen)})
    return planning.plan(suite, methods.registry(), Machine(), only=["DPO"])


@pytest.mark.parametrize(
    ("benchmark", "metric"), [("rule", "score"), ("implicit-reward", "accuracy"), ("mt-bench", "score")]
)
def test_a_score_is_the_mean_of_its_verdicts(benchmark: str, metric: str, tiny_run: Path) -> None:
    plan, store = trial(benchmark), Store(tiny_run / "store")
    found = result("DPO", {"beta": 0.1}, plan, store, {})
    rows = [r for r in collect.records(plan, store) if r.method == "DPO" and r.metric == metric]
    values = [r.value for r in rows if r.value is not None]
    assert metric_of(plan.suite) == (benchmark, metric)
    assert found.score == pytest.approx(fmean(values), rel=1e-12)
    assert (found.n, found.lost) == (len(values), len(rows) - len(values))
    assert (found.status, found.truncated) == ("ok", sum(r.truncated for r in rows if r.value is not None))


def test_tasks_weigh_alike_whatever_their_sizes(tiny_run: Path) -> None:
    plan, store = trial("openllm"), Store(tiny_run / "store")
    by_task: dict[str, list[float]] = {}
    for r in collect.records(plan, store):
        if r.method == "DPO" and r.value is not None:
            by_task.setdefault(r.group, []).append(r.value)
    assert len(by_task) == 2
    found = result("DPO", {}, plan, store, {})
    assert found.score == pytest.approx(fmean(map(fmean, by_task.values())), rel=1e-12)


def test_a_trial_whose_training_or_judging_failed_says_why(tiny_run: Path) -> None:
    plan, store = trial("rule"), Store(tiny_run / "store")
    (cell,) = [cell for cell in plan.cells if cell.method == "DPO"]
    for step in (cell.model, cell.measures["rule"]["judgments"]):
        found = result("DPO", {}, plan, store, {step.id: "the disk is full"})
        assert (found.score, found.status) == (None, "failed: the disk is full")
    assert result("DPO", {}, plan, store, {"another": "no matter"}).status == "ok"
