"""What is printed of a plan that nobody runs."""

import typer

from harness.common.secrets.redaction import json_text
from harness.common.text import printed
from harness.executors.options import RunOptions
from harness.forecast import judging_estimate
from harness.forecast.cards import planned as devices_of
from harness.forecast.forecast import Forecast
from harness.forecast.report import plan_lines, record_lines
from harness.plan import row_steps
from harness.run import data_counts
from harness.run.plans import as_json
from harness.store.store import Store


def print_told(found: Forecast, store: Store, options: RunOptions) -> None:
    """Print what the options ask of a plan."""
    if options.estimate:
        print_judging(found, options)
    else:
        print_plan(found, store, options)


def print_plan(found: Forecast, store: Store, options: RunOptions) -> None:
    """Print what a plan takes, and every step: done, or why it would run; or estimates beside records."""
    formats, devices = row_steps.format_lines(found.plan.cells), devices_of(options)
    if options.as_json:
        notes = [*formats, *data_counts.data_lines(found.plan.steps, store)]
        typer.echo(json_text(as_json.plan(found, store, devices, notes)))
        return
    told = () if options.check else data_counts.data_lines(found.plan.steps, store)
    shown = record_lines(found, store) if options.check else plan_lines(found, store, devices)
    for line in (*formats, *told, *shown):
        typer.echo(printed(line))


def print_judging(found: Forecast, options: RunOptions) -> None:
    """Print what judging a plan would cost."""
    if options.as_json:
        typer.echo(json_text(as_json.judging(found)))
    else:
        judging_estimate.show(found)
