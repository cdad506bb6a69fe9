"""A plan as programs read it: `bench run SUITE --plan --json`, `--check --json` and `--estimate --json`.

    {"suite": "pocket", "device": "cpu", "devices": 2, "seconds": 612.4, "notes": [...], "steps": [
      {"id": "3f9c01d2ab77", "kind": "train", "label": "DPO", "done": false, "why": "not made yet",
       "inputs": {"start": "..."}, "estimate": {"seconds": 9.1, "flops": 2.1e10, ...}, "unknown": "",
       "assumed": [...], "recorded": null}, ...]}

Bytes, seconds, USD. An estimate that nobody can make is null, and `unknown` says of what; `usd` is null where
a price is not known. `recorded` is what a finished step took.
"""

from collections.abc import Sequence
from typing import Any

from harness.forecast.forecast import Forecast
from harness.forecast.judging_estimate import lines
from harness.forecast.report import measured, usd_of
from harness.store.provenance import reason_to_run
from harness.store.step import Step
from harness.store.store import Store


def plan(found: Forecast, store: Store, devices: int, notes: Sequence[str]) -> dict[str, Any]:
    """What a plan takes on so many devices, and every step: done, or why it would run."""
    return {
        "suite": found.plan.suite.name,
        "device": found.device.name,
        "devices": devices,
        "seconds": found.on(devices).makespan,
        "notes": list(notes),
        "steps": [_step(found, step, store) for step in found.plan.steps],
    }


def judging(found: Forecast) -> dict[str, Any]:
    """What judging a plan would cost, by benchmark and judge, and all together."""
    asked = lines(found)
    rows = [
        {
            "benchmark": line.benchmark,
            "judge": line.judge,
            "rows": line.rows,
            **_calls(line.counts),
            "usd": line.usd,
        }
        for line in asked
    ]
    usd = usd_of(cost for line in asked for cost in line.costs)
    return {"suite": found.plan.suite.name, "judging": rows, "usd": usd}


def _calls(counts: Sequence[int]) -> dict[str, int]:
    return dict(zip(("calls", "prompt_tokens", "completion_tokens"), counts, strict=True))


def _step(found: Forecast, step: Step, store: Store) -> dict[str, Any]:
    cost, why, took = found.costs[step.id], reason_to_run(step, store), measured(step, store)
    estimate = {
        "seconds": found.seconds(step),
        "flops": cost.flops,
        "disk": cost.disk,
        "memory": cost.memory,
        **_calls((cost.calls, cost.prompt_tokens, cost.completion_tokens)),
        "usd": cost.usd,
    }
    return {
        "id": step.id,
        "kind": step.kind.name,
        "label": step.label,
        "done": not why,
        "why": why,
        "inputs": step.input_ids,
        "estimate": None if cost.unknown else estimate,
        "unknown": cost.unknown,
        "assumed": list(cost.assumed),
        "recorded": took._asdict() if took else None,
    }
