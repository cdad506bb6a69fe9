"""The commands `bench eval`, `bench judge` and `bench data`."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import (
    AsJson,
    BenchmarkFile,
    Judged,
    JudgeEndpoint,
    JudgeFile,
    Overrides,
    Runs,
    echo_json,
    gathered,
    quiet_libraries,
)
from harness.common.text import printed
from harness.executors.options import RunOptions, Spending

judge_commands = typer.Typer(no_args_is_help=True, help="How good a judge is.")
data_commands = typer.Typer(no_args_is_help=True, help="The benchmarks' data.")


@judge_commands.callback()  # typer makes a group of one command that command itself, unless it has this
def of_judges() -> None:
    """How good a judge is."""


@gathered
def evaluate(
    options: RunOptions,
    spending: Spending,
    judge_endpoint: JudgeEndpoint,
    models: Annotated[
        list[str], typer.Argument(help="Folders, hub ids or URL#MODEL, each with NAME= before it if wanted.")
    ],
    bench: Annotated[str, typer.Option(help="Benchmarks with commas between, by their names in a suite.")],
    judge: Judged = None,
    reference: Annotated[
        str | None, typer.Option(help="What comparisons are with: one of the models, another, or baseline.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="BENCHMARK=FOLDER, where it was not fetched or added.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The first questions of each benchmark.")] = None,
    controls: Annotated[bool, typer.Option("--controls", help="Add rows that should gain nothing.")] = False,
    name: Annotated[str | None, typer.Option(help="The name of the results' folder.")] = None,
    overrides: Overrides = None,
    runs: Runs = Path("runs"),
    benchmark_file: BenchmarkFile = None,
    judge_file: JudgeFile = None,
) -> None:
    """Measure models that exist, any Hugging Face folder or endpoint, without training anything."""
    quiet_libraries()
    from harness.evaluate import registry
    from harness.suite import from_command_line

    # Benchmarks that a rule reads want no judge.
    words = judge_endpoint.arguments(judge) if judge else None
    suite = from_command_line.evaluation_suite(
        models,
        [b.strip() for b in bench.split(",")],
        registry.known(benchmark_file, judge_file),
        from_command_line.BenchmarkArguments(words, reference, data or [], limit),
        controls=controls,
        name=name,
        overrides=overrides or [],
    )
    from harness.run import earlier_rows, pipeline

    measured = earlier_rows.measured_by(suite)
    if not name:
        suite = suite.model_copy(update={"name": earlier_rows.free_name(suite.name, measured, runs)})
    settings = earlier_rows.Settings("bench eval", overrides or [], measured=measured)
    pipeline.run(suite, runs, options, spending, settings=settings)


@judge_commands.command()
@gathered
def check(
    spending: Spending,
    judge_endpoint: JudgeEndpoint,
    judge: Annotated[str, typer.Option(help="The judge: a model at an endpoint, or a folder to serve.")],
    prompt: Annotated[
        str | None, typer.Option(help="The comparison whose prompt it gets; the first that is known.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A folder of gold pairs; LLMBar's if fetched or added.")
    ] = None,
    # Two are the fewest that show noise.
    repeats: Annotated[int, typer.Option(min=1, help="How often each pair is asked, for the noise.")] = 2,
    limit: Annotated[int | None, typer.Option(min=1, help="The first pairs.")] = None,
    runs: Runs = Path("runs"),
    judge_file: JudgeFile = None,
) -> None:
    """Run a judge over pairs whose better answer is known: agreement, position bias and repeat noise."""
    quiet_libraries()
    from harness.evaluate import registry
    from harness.run import pipeline
    from harness.suite import from_command_line

    words = judge_endpoint.arguments(judge)
    suite = from_command_line.judge_suite(words, registry.known(judge_file=judge_file))
    pipeline.check_judge(suite, runs, prompt, data, repeats, limit, spending)


@data_commands.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A data set; `bench data list` names them.")],
    mirror: Annotated[str | None, typer.Option(help="The URL of a copy of the data folder.")] = None,
) -> None:
    """Download a benchmark's data from its public home, at its revision and checksum."""
    from harness.evaluate import benchmark_files

    typer.echo(printed(f"{name}: {benchmark_files.fetch(name, mirror=mirror)}"))


@data_commands.command()
def add(
    name: Annotated[str, typer.Argument(help="A data set; `bench data list` names them.")],
    path: Annotated[Path, typer.Argument(help="The folder that holds its files.")],
) -> None:
    """Read a benchmark's data from a folder of your own; nothing is copied."""
    from harness.evaluate import benchmark_files

    added = benchmark_files.add(name, path)
    counts = {"differ": len(added.other), "missing": len(added.missing)}
    faults = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    typer.echo(printed(f"{name}: {added.folder}" + (f" ({faults})" if faults else "")))


@data_commands.command(name="list")
def list_(as_json: AsJson = False) -> None:
    """Every data set: where it is, whether its files are as pinned, its licence."""
    from rich.console import Console
    from rich.table import Table

    from harness.evaluate import benchmark_files

    if as_json:
        echo_json([row.as_json() for row in benchmark_files.listing()])
        return
    table = Table("Data set", "Where", "As pinned", "Other content", "Missing", "Licence")
    for row in benchmark_files.listing():
        states = [str(len(row.in_state(state))) for state in ("as pinned", "other content", "missing")]
        table.add_row(row.name, str(row.folder or "-"), *states, row.licence)
    Console().print(table)
