"""What methods save by standing in one run: the seconds of its steps, against those of each method's own."""

from collections.abc import Mapping

import methods
from harness.executors.options import Machine
from harness.plan import plan as planning
from harness.store.step import Step
from harness.suite.schema import Suite
from tests.perf.markdown import table

TEACHER = "Teacher"  # the row whose steps make the teachers' checkpoints
STARTS = {"empty": ("an empty store", 3), "teachers": ("the teachers' checkpoints", 1.3)}  # and goals


def measured(suite: Suite, seconds: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Seconds of all steps together and of each method's, by where they start; `seconds` by a step's id."""

    def plan(*only: str) -> planning.Plan:
        return planning.plan(suite, methods.registry(), Machine(), only=only)

    checkpoints = [c.source for c in plan().cells if c.method == TEACHER and isinstance(c.source, Step)]
    given = {"empty": set(), "teachers": {step.id for step in planning.ordered(checkpoints)}}
    runs = {"together": plan(), **{name: plan(name) for name in suite.methods}}
    return {
        start: {
            name: sum(seconds[s.id] for s in run.steps if s.id not in there) for name, run in runs.items()
        }
        for start, there in given.items()
    }


def tables(told: Mapping[str, Mapping[str, float]]) -> str:
    """The sums beside each other, from each start."""
    rows = []
    for start, (name, goal) in STARTS.items():
        together, alone = told[start]["together"], [s for n, s in told[start].items() if n != "together"]
        ratio = f"{sum(alone) / together:.2f}"
        rows.append([name, str(len(alone)), f"{sum(alone):.0f}", f"{together:.0f}", ratio, f">= {goal}"])
    return table(("from", "methods", "s, each alone, summed", "s, all in one run", "ratio", "goal"), rows)
