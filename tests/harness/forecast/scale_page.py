"""The tables of docs/scale.md; `--runs FOLDER` gives those of a pocket run.

    python -m tests.harness.forecast.scale_page

What is estimated is the same on every machine: nothing is looked up, nothing is done, prices and sizes ship.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import methods
from harness.common import hub
from harness.common.text import size
from harness.endpoints import prices
from harness.executors.options import Machine
from harness.forecast.fitting import fitted
from harness.forecast.forecast import ON_DEVICE, Forecast, device_named, forecast
from harness.forecast.report import power, record_lines, time, total
from harness.forecast.sizes import PlanSizes
from harness.plan import plan as planning
from harness.run import pipeline
from harness.store.step import Step
from harness.store.store import Store
from tests import suites
from tests.paths import ROOT

PAGE = ROOT / "docs" / "scale.md"
PAIRS = ("adpa-llama", "adpa-danube-1.8b", "adpa-danube-500m", "adpa-llama2")
SMALL = {"adpa-llama2": Machine(batch=16), "smol": Machine(tokens=4096, batch=32)}
CARDS = {"smol": "4090"}
DEVICES = (1, 8, 64)
WORK = {
    "teacher stages": lambda s: s.kind.name == "train" and s.label in ("sft teacher", "dpo teacher"),
    "students": lambda s: s.kind.name == "train" and s.label not in ("sft teacher", "dpo teacher"),
    "teacher passes": lambda s: s.kind.name in ("signals", "head"),
    "responses": lambda s: s.kind.name in ("rollouts", "rewards"),
    "answers": lambda s: s.kind.name == "answers",
    "OpenLLM": lambda s: s.kind.name == "openllm",
}


def hours(f: Forecast, steps: Sequence[Step]) -> float:
    """Device-hours of some steps."""
    on_device = [s for s in steps if f.costs[s.id].work in ON_DEVICE]
    return sum(f.seconds(s) * f.costs[s.id].devices for s in on_device) / 3600


@cache
def found(name: str, devices: int = 1) -> Forecast:
    """The estimate of a suite with nothing done and nothing at hand, its trainings fitted to the devices."""
    machine = replace(SMALL.get(name, Machine()), devices=devices)
    with hub.unresolved_allowed():
        plan = planning.plan(suites.load(name), methods.registry(), machine)
    sizes = PlanSizes(plan.suite, machine, None, prices.load())
    card = device_named(CARDS.get(name, "h200"))
    return forecast(fitted(plan, sizes, card), sizes, card)


def costs() -> Iterator[str]:
    """The estimated tables."""
    estimates = {name: found(name) for name in (*PAIRS, "smol")}
    yield "| suite | steps | FLOPs | device-hours | disk | largest step | does not fit | judging |"
    yield "| --- | ---: | ---: | ---: | ---: | --- | --- | ---: |"
    for name, f in estimates.items():
        x, large = total(f, f.plan.steps), f.too_large
        biggest = max(f.plan.steps, key=lambda s: f.costs[s.id].memory)
        peak = f"{biggest.label}, {size(f.costs[biggest.id].memory)}"
        absent = ", ".join(sorted({s.label for s in large})) or "-"
        device_hours = f"{hours(f, f.plan.steps):,.0f} ({f.device.name})"
        usd = f"USD {x.usd:,.0f}" if x.usd else "-"
        cells = (name, len(f.plan.steps), power(x.flops), device_hours, size(x.disk), peak, absent, usd)
        yield f"| {' | '.join(map(str, cells))} |"
    yield ""
    yield f"| device-hours | {' | '.join(WORK)} |"
    yield f"| --- |{' ---: |' * len(WORK)}"
    for name, f in estimates.items():
        yield f"| {name} | {' | '.join(f'{hours(f, of(f, part)):,.1f}' for part in WORK)} |"
    yield ""
    heads = ("teacher passes needed", "run", "teacher responses needed", "run", "steps one by one", "shared")
    yield f"| sharing | {' | '.join((*heads, 'FLOPs one by one', 'shared'))} |"
    yield f"| --- |{' ---: |' * 8}"
    for name, f in estimates.items():
        s = f.sharing
        counts = (
            s.passes_needed,
            s.passes_run,
            s.responses_needed,
            s.responses_run,
            s.steps_alone,
            s.steps_run,
        )
        yield f"| {' | '.join(map(str, (name, *counts, power(s.flops_alone), power(s.flops_run))))} |"
    yield ""
    yield (
        "| done in | "
        + " | ".join(f"{n} device{'s'[: n > 1]}" for n in DEVICES)
        + " | longest chain on one |"
    )
    yield f"| --- |{' ---: |' * len(DEVICES)} --- |"
    for name, f in estimates.items():
        yield f"| {name} | {' | '.join(spans(name))} | {chain(f)} |"


def of(f: Forecast, part: str) -> list[Step]:
    return [s for s in f.plan.steps if WORK[part](s)]


def spans(name: str) -> Iterator[str]:
    """Makespan and use on each number of devices."""
    for n in DEVICES:
        plan = found(name, n).on(n)
        yield f"{time(plan.makespan)}, {100 * plan.used:.0f} % used"


def chain(f: Forecast) -> str:
    """The steps of the longest chain that take a hundredth of it or more."""
    plan, labels = f.on(1), {s.id: s.label for s in f.plan.steps}
    long = [i for i in plan.chain if f.device.seconds(f.costs[i]) > plan.chain_seconds / 100]
    return f"{time(plan.chain_seconds)}: {' > '.join(labels[i] for i in long)}"


def measured(runs: Path) -> Iterator[str]:
    """Estimates of a finished pocket run against its records."""
    store, where = Store(runs / "store"), pipeline.machine(runs)
    plan = pipeline.make_plan(suites.load("pocket"), [], store, where, None)
    sizes = PlanSizes(plan.suite, where, store, prices.load())
    yield "```"
    yield from list(record_lines(forecast(plan, sizes, device_named("cpu")), store))[1:]
    yield "```"


def put(text: str, name: str, lines: Iterator[str]) -> str:
    """A page with the lines of one of its blocks replaced."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    block = "\n".join((begin, *lines, end))
    return re.sub(f"{begin}.*{end}", lambda _: block, text, flags=re.S)


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--runs", type=Path, help="the folder of a finished pocket run")
    given = words.parse_args()
    page = put(PAGE.read_text(), "costs", costs())
    PAGE.write_text(put(page, "measured", measured(given.runs)) if given.runs else page)
