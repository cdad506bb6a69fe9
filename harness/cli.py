"""The command `bench`."""

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from harness.suite import Suite

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Which way of aligning a small language model is best, by how much, at what cost, and is it real?",
)

judges = typer.Typer(no_args_is_help=True, help="How good a judge is.")
app.add_typer(judges, name="judge")
data_of_benchmarks = typer.Typer(no_args_is_help=True, help="The benchmarks' data.")
app.add_typer(data_of_benchmarks, name="data")

INTERRUPTED = 130
AE1 = "alpaca-eval"

SuiteName = Annotated[str, typer.Argument(help="A suite by name, or a path that ends in .yaml.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one key of the suite, such as methods.ADPA.gamma_beta=0.2."),
]
Only = Annotated[
    list[str] | None, typer.Option("--only", "-o", help="Run these methods, with all that they need.")
]
Runs = Annotated[
    Path, typer.Option(envvar="BENCH_RUNS", help="The folder of the store and of each suite's results.")
]
MethodFile = Annotated[str | None, typer.Option(help="A Python file that defines methods of your own.")]

PlanOnly = Annotated[
    bool, typer.Option("--plan", help="Print every step, whether it is done and why it would run.")
]
Budget = Annotated[float | None, typer.Option("--max-cost", help="Stop before judging costs more, in USD.")]
Calls = Annotated[int | None, typer.Option("--max-calls", help="Stop before more calls to endpoints.")]
Prices = Annotated[Path | None, typer.Option(help="A YAML file of prices, over those that ship.")]
Estimate = Annotated[
    bool, typer.Option("--estimate", help="Print what judging would cost, by benchmark; run nothing.")
]
Workers = Annotated[int, typer.Option(min=1, help="Processes that measure one model; results do not change.")]


@judges.callback()
def of_judges() -> None:
    """How good a judge is."""


@app.callback()
def bench() -> None:
    """Compare methods that align small language models."""


@app.command()
def run(
    suite: SuiteName = "pocket",
    only: Only = None,
    overrides: Overrides = None,
    runs: Runs = Path("runs"),
    method_file: MethodFile = None,
    workers: Workers = 1,
    max_cost: Budget = None,
    max_calls: Calls = None,
    prices: Prices = None,
    plan: PlanOnly = False,
    estimate: Estimate = False,
) -> None:
    """Compute what is missing of a suite, then print and write its tables.

    Safe to stop and start again: finished steps are never done twice.
    """
    _quiet_libraries()
    from harness import suite as suites

    loaded = suites.load(suite, overrides or [])
    if estimate:
        _estimate(loaded, prices)
        return
    from harness import command

    spending = command.Spending(max_cost, max_calls, prices, workers)
    command.run(loaded, runs, only=only or [], method_file=method_file, dry=plan, spending=spending)


Judged = Annotated[
    str | None, typer.Option("--judge", help="The judge: a model at an endpoint, or a folder to serve.")
]
JudgeUrl = Annotated[str | None, typer.Option(help="The judge's endpoint; OpenAI's if absent.")]
JudgeKey = Annotated[
    str | None, typer.Option(help="The environment variable with the judge's key; OPENAI_API_KEY.")
]
JudgeEngine = Annotated[
    str | None, typer.Option(help="What serves a judge from a folder or hub id: transformers or vllm.")
]


@app.command(name="eval")
def evaluate(
    models: Annotated[
        list[str], typer.Argument(help="Folders, hub ids or URL#MODEL, each with NAME= before it if wanted.")
    ],
    bench: Annotated[str, typer.Option(help="Benchmarks with commas between: mt-bench,alpaca-eval-2.")],
    judge: Judged = None,
    judge_url: JudgeUrl = None,
    judge_key_env: JudgeKey = None,
    judge_engine: JudgeEngine = None,
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
    workers: Workers = 1,
    max_cost: Budget = None,
    max_calls: Calls = None,
    prices: Prices = None,
    plan: PlanOnly = False,
    estimate: Estimate = False,
) -> None:
    """Measure models that exist, any Hugging Face folder or endpoint, without training anything."""
    _quiet_libraries()
    from harness import evaluation

    words = evaluation.JudgeWords(judge, judge_url, judge_key_env, judge_engine) if judge else None
    suite = evaluation.evaluation(
        models,
        [b.strip() for b in bench.split(",")],
        judge=words,
        reference=reference,
        data=data or [],
        limit=limit,
        controls=controls,
        name=name,
        overrides=overrides or [],
    )
    if estimate:
        _estimate(suite, prices)
        return
    from harness import command

    command.run(suite, runs, dry=plan, spending=command.Spending(max_cost, max_calls, prices, workers))


@app.command()
def report(
    run: Annotated[list[str], typer.Argument(help="Runs by name below --runs, or their folders.")],
    table: Annotated[str | None, typer.Option(help="One table: main, cost, training, quality, ...")] = None,
    format: Annotated[str, typer.Option(help="terminal, md, csv or tex.")] = "terminal",
    beside: Annotated[
        str | None, typer.Option(help="`paper`: the published numbers beside ours, and nothing else.")
    ] = None,
    runs: Runs = Path("runs"),
) -> None:
    """Print the tables of finished runs again, from their rows alone."""
    from harness import report_command

    report_command.report(run, table, format, runs, beside)


@judges.command()
def check(
    judge: Annotated[str, typer.Option(help="The judge: a model at an endpoint, or a folder to serve.")],
    prompt: Annotated[
        str, typer.Option(help="Whose prompt it gets: alpaca-eval or alpaca-eval-2.")
    ] = "alpaca-eval",
    judge_url: JudgeUrl = None,
    judge_key_env: JudgeKey = None,
    judge_engine: JudgeEngine = None,
    data: Annotated[
        str | None, typer.Option(help="A folder of gold pairs; LLMBar's if fetched or added.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often each pair is asked, for the noise.")] = 2,
    limit: Annotated[int | None, typer.Option(min=1, help="The first pairs.")] = None,
    runs: Runs = Path("runs"),
    max_cost: Budget = None,
    max_calls: Calls = None,
    prices: Prices = None,
) -> None:
    """Run a judge over pairs whose better answer is known: agreement, position bias and repeat noise."""
    _quiet_libraries()
    from harness import command, evaluation

    words = evaluation.JudgeWords(judge, judge_url, judge_key_env, judge_engine)
    spending = command.Spending(max_cost, max_calls, prices)
    command.check_judge(evaluation.of_judge(words), runs, prompt, data, repeats, limit, spending)


@data_of_benchmarks.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A data set; `bench data list` names them.")],
    mirror: Annotated[str | None, typer.Option(help="The URL of a copy of the data folder.")] = None,
) -> None:
    """Download a benchmark's data from its public home, at its revision and checksum."""
    from harness import benchmark_data

    typer.echo(f"{name}: {benchmark_data.fetch(name, mirror=mirror)}")


@data_of_benchmarks.command()
def add(
    name: Annotated[str, typer.Argument(help="A data set; `bench data list` names them.")],
    path: Annotated[Path, typer.Argument(help="The folder that holds its files.")],
) -> None:
    """Read a benchmark's data from a folder of your own; nothing is copied."""
    from harness import benchmark_data

    added = benchmark_data.add(name, path)
    told = [
        f"{len(files)} {what}"
        for what, files in (("differ", added.other), ("missing", added.missing))
        if files
    ]
    typer.echo(f"{name}: {added.folder}" + (f" ({', '.join(told)})" if told else ""))


@data_of_benchmarks.command(name="list")
def list_() -> None:
    """Every data set: where it is, whether its files are as pinned, its licence."""
    from harness import command

    command.show_data()


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="One method, in full.")] = None,
    method_file: MethodFile = None,
    write: Annotated[Path | None, typer.Option(help="Write a page for each method into this folder.")] = None,
) -> None:
    """List the methods with their cost and what they read, or show one in full."""
    from harness import command

    command.show_methods(name, method_file, write)


@app.command()
def tune(
    suite: SuiteName = "pocket",
    only: Only = None,
    overrides: Overrides = None,
    runs: Runs = Path("runs"),
    out: Annotated[Path, typer.Option(help="The CSV file of all trials.")] = Path("tuning.csv"),
) -> None:
    """Try every method's grid on the validation questions, and write a table of all trials."""
    _quiet_libraries()
    from harness import tuning

    tuning.run(suite, only or [], overrides or [], runs, out)


def _estimate(suite: "Suite", prices: Path | None) -> None:
    from harness import estimate

    estimate.show(suite, prices)


def _quiet_libraries() -> None:
    """Libraries that talk while they load would break the live view; set before they are imported."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("DATASETS_VERBOSITY", "critical")  # what fails is told by us, once
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def main() -> None:
    """Entry point: one clear line and exit code 2 for what the person at the keyboard can mend."""
    try:
        app()
    except ValueError as e:
        sys.exit(_fail(str(e), 2))
    except OSError as e:
        full = "; nothing that is done is lost, make room and run the same command again"
        sys.exit(_fail(f"{e}{full if e.errno in (errno.ENOSPC, errno.EDQUOT) else ''}", 1))
    except SystemExit as e:  # what typer makes of Ctrl-C, without a word
        if e.code == INTERRUPTED:
            _fail("stopped; the same command goes on where it was", INTERRUPTED)
        raise


def _fail(message: str, code: int) -> int:
    typer.echo(f"bench: {' '.join(message.split())}", err=True)
    return code
