"""The options that several commands of `bench` share, and what they do before heavy imports."""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.common.secrets.redaction import json_text

if TYPE_CHECKING:
    from harness.suite.judging import JudgeArguments

SuiteName = Annotated[str, typer.Argument(help="A suite by name, or a path that ends in .yaml.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one key of the suite, such as methods.ADPA.gamma_beta=0.2."),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", "-o", help="Run these methods (DPO,ADPA), with all that they need."),
]
RunName = Annotated[str, typer.Argument(help="A run by name below --runs, or its folder.")]
RUNS = "BENCH_RUNS"
OF_RUNS = "The folder of the store and of each suite's results."
Runs = Annotated[Path, typer.Option(envvar=RUNS, help=OF_RUNS)]


def _there(context: typer.Context, runs: Path) -> Path:
    """The folder that a command only reads. One that was typed is there: mistyped, it would look as if it
    held nothing. What the variable names may be still to be made.
    """
    source = context.get_parameter_source("runs")
    typed = source is not None and source.name == "COMMANDLINE"
    if not runs.is_dir() and (typed or runs.exists()):
        fault = "a file, where a folder is expected" if runs.exists() else "no such folder"
        raise ValueError(f"{'--runs' if typed else RUNS} {runs}: {fault}")
    return runs


FinishedRuns = Annotated[Path, typer.Option(envvar=RUNS, help=OF_RUNS, callback=_there)]
MethodFile = Annotated[str | None, typer.Option(help="A Python file that defines methods of your own.")]
BenchmarkFile = Annotated[str | None, typer.Option(help="A Python file that defines benchmarks of your own.")]
JudgeFile = Annotated[str | None, typer.Option(help="A Python file that defines judges of your own.")]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else on standard output.")]

Judged = Annotated[
    str | None, typer.Option("--judge", help="The judge: a model at an endpoint, or a folder to serve.")
]


@dataclass(frozen=True)
class JudgeEndpoint:
    """Where a judge is asked, or what serves it."""

    judge_url: Annotated[str | None, typer.Option(help="The judge's endpoint; OpenAI's if absent.")] = None
    judge_key_env: Annotated[
        str | None, typer.Option(help="The environment variable with the judge's key; OPENAI_API_KEY.")
    ] = None
    judge_engine: Annotated[
        str | None, typer.Option(help="What serves a judge from a folder or hub id: transformers or vllm.")
    ] = None

    def arguments(self, judge: str) -> "JudgeArguments":
        """The judge of this name, as it is typed."""
        from harness.suite.judging import JudgeArguments

        return JudgeArguments(judge, self.judge_url, self.judge_key_env, self.judge_engine)


def gathered(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer wants it: an option for each field of the dataclasses that it takes."""
    own = inspect.signature(command).parameters.values()
    groups = {
        p.name: p.annotation for p in own if isinstance(p.annotation, type) and is_dataclass(p.annotation)
    }
    fields = {name: inspect.signature(kind).parameters for name, kind in groups.items()}

    @wraps(command)
    def flat(**given: Any) -> None:
        made = {n: kind(**{f: given.pop(f) for f in fields[n]}) for n, kind in groups.items()}
        command(**given, **made)

    options = [p for p in own if p.name not in groups] + [p for f in fields.values() for p in f.values()]
    # Typer reads nothing but a signature; the alternative is a second list of every option in each command.
    flat.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]
    )
    return flat


def echo_json(value: object) -> None:
    """Print what a program reads; everything but ASCII stands as its escape."""
    typer.echo(json_text(value))


def quiet_libraries() -> None:
    """Libraries that talk while they load would break the live view; set before they are imported."""
    # Defaults alone: whoever sets one of these wants to hear the library.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("DATASETS_VERBOSITY", "critical")  # what fails is told by us, once
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
