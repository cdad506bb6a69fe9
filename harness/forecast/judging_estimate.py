"""What judging a suite would cost, before anything is spent. It imports neither models nor torch.

| Benchmark | Judge | Rows | Calls | Tokens in | Tokens out | USD |
"""

from pathlib import Path
from typing import NamedTuple

from benchmarks.declaration import ComparedSettings
from harness.endpoints import prices
from harness.endpoints.prices import Prices, Usage
from harness.evaluate import questions
from harness.suite.schema import Suite, row_count


class Line(NamedTuple):
    """What one benchmark takes of one judge, for first verdicts or for repeats; usd is None where no price is
    known.
    """

    benchmark: str
    judge: str
    rows: int
    usage: Usage
    usd: float | None


def lines(suite: Suite, table: Prices) -> list[Line]:
    """A line for each benchmark that an endpoint judges, and one for its repeats, as if nothing of it were
    there yet.
    """
    found = []
    for name, chosen in suite.benchmarks.chosen.items():
        spec = chosen.settings
        judge = suite.judges.get(spec.judged_by())
        if not chosen.declaration.judged or judge is None or judge.kind.endpoint is None:
            continue
        # Every reference is a comparison of its own.
        times = len(spec.reference) if isinstance(spec, ComparedSettings) else 1
        repeats = judge.settings.repeats
        for what, again in ((name, None), *([(f"{name}, again", repeats)] if repeats else [])):
            usage = Usage(*(n * times * row_count(suite) for n in questions.judge_usage(chosen, again)))
            cost = judge.kind.usd(judge.settings, table, usage)
            found.append(Line(what, spec.judge, row_count(suite), usage, cost))
    return found


def show(suite: Suite, file: Path | None) -> None:
    """Print the estimate."""
    from rich.console import Console
    from rich.table import Table

    found = lines(suite, prices.load(file))
    table = Table("Benchmark", "Judge", title=f"Judging {suite.name}: an estimate")
    for head in ("Rows", "Calls", "Tokens in", "Tokens out", "USD"):
        table.add_column(head, justify="right")
    for line in found:
        counts = (f"{n:,}" for n in (line.rows, *line.usage))
        table.add_row(line.benchmark, line.judge, *counts, _money(line.usd))
    # Lines without a price are left out of the sum, and named below the table.
    known = [line.usd for line in found if line.usd is not None]
    total = [sum(line.usage[n] for line in found) for n in range(3)]
    table.add_section()
    table.add_row("total", "", "", *(f"{n:,}" for n in total), _money(sum(known) if known else None))
    console = Console()
    console.print(table)
    console.print(
        "Tokens are typical ones, measured with upstream's judges on models of 1B to 7B; longer answers cost "
        "more. What the store holds already costs nothing.",
        highlight=False,
    )
    for judge in sorted({line.judge for line in found if line.usd is None}):
        _, kind, settings = suite.judges[judge]
        model = kind.identity(settings).get("model", judge)
        console.print(f"No price of {model} is known: give one with --prices FILE.")


def _money(usd: float | None) -> str:
    return "-" if usd is None else f"{usd:,.2f}"
