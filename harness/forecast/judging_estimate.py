"""What judging a plan would cost, as its steps reckon it, were nothing of it there yet.

| Benchmark | Judge | Rows | Calls | Tokens in | Tokens out | USD |
"""

from collections.abc import Iterator
from typing import NamedTuple

from harness.common.cost import Cost
from harness.evaluate.judge_noise.repeats import REPEATS
from harness.evaluate.judgments import JUDGMENTS
from harness.forecast.forecast import Forecast
from harness.forecast.report import money, usd_of
from harness.store.step import Step


class Line(NamedTuple):
    """What one benchmark takes of one judge, for first verdicts or for repeats."""

    benchmark: str
    judge: str
    rows: int
    costs: list[Cost]

    @property
    def usd(self) -> float | None:
        """None where no price is known."""
        return usd_of(self.costs)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Calls, tokens in, tokens out."""
        calls, tokens_in, tokens_out = (
            sum(getattr(cost, name) for cost in self.costs)
            for name in ("calls", "prompt_tokens", "completion_tokens")
        )
        return calls, tokens_in, tokens_out


def lines(found: Forecast) -> list[Line]:
    """A line for each benchmark that an endpoint judges, and one for its repeats."""
    chosen, judges = found.plan.suite.benchmarks.chosen, found.plan.suite.judges
    groups: dict[tuple[str, bool], list[Step]] = {}
    for step in found.plan.steps:
        if step.kind in (JUDGMENTS, REPEATS):
            first = step.settings.judgments if step.kind == REPEATS else step.settings
            name = step.context.get("benchmark_name", first.benchmark)
            groups.setdefault((name, step.kind == REPEATS), []).append(step)
    asked = []
    for (name, again), steps in sorted(groups.items(), key=lambda g: (list(chosen).index(g[0][0]), g[0][1])):
        judge = judges.get(chosen[name].settings.judged_by())
        if judge is not None and judge.kind.endpoint is not None:
            rows = len({step.inputs.answers.id for step in steps})
            what = f"{name}, again" if again else name
            asked.append(Line(what, judge.name, rows, [found.costs[step.id] for step in steps]))
    return asked


def show(found: Forecast) -> None:
    """Print the estimate."""
    from rich.console import Console
    from rich.table import Table

    asked = lines(found)
    table = Table("Benchmark", "Judge", title=f"Judging {found.plan.suite.name}: an estimate")
    for head in ("Rows", "Calls", "Tokens in", "Tokens out", "USD"):
        table.add_column(head, justify="right")
    for line in asked:
        table.add_row(
            line.benchmark, line.judge, *(f"{n:,}" for n in (line.rows, *line.counts)), money(line.usd)
        )
    total = Line("total", "", 0, [cost for line in asked for cost in line.costs])
    table.add_section()
    table.add_row(total.benchmark, "", "", *(f"{n:,}" for n in total.counts), money(total.usd))
    console = Console()
    console.print(table)
    console.print(
        "Tokens are typical ones, measured with upstream's judges on models of 1B to 7B; longer answers cost "
        "more. What the store holds already costs nothing.",
        highlight=False,
    )
    for told in _unpriced(found, asked):
        console.print(told)


def _unpriced(found: Forecast, asked: list[Line]) -> Iterator[str]:
    for judge in sorted({line.judge for line in asked if line.usd is None}):
        _, kind, settings = found.plan.suite.judges[judge]
        model = kind.identity(settings).get("model", judge)
        yield f"No price of {model} is known, so there is no sum: give one with --prices FILE."
