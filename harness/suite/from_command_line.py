"""`bench eval` as a suite: models from outside, measured without training anything.

bench eval FOLDER http://127.0.0.1:8000/v1#gpt-x --bench mt-bench,alpaca-eval-2 --judge gpt-4-1106-preview
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from benchmarks.declaration import BASELINE, Benchmark, ComparedSettings
from harness.common.suggest import nearest
from harness.suite import loading
from harness.suite.benchmarks import Control
from harness.suite.judging import KIND, JudgeArguments
from harness.suite.loading import Known
from harness.suite.schema import Suite


class BenchmarkArguments(NamedTuple):
    """What the command gives to each of its benchmarks that has a use for it."""

    judge: JudgeArguments | None = None
    reference: str | None = None
    data: Sequence[str] = ()  # "benchmark=folder"
    limit: int | None = None


def evaluation_suite(
    models: Sequence[str],
    benchmarks: Sequence[str],
    known: Known,
    arguments: BenchmarkArguments,
    *,
    controls: bool = False,
    name: str | None = None,
    overrides: Sequence[str] = (),
) -> Suite:
    """The suite that measures these models; any fault is one ValueError line."""
    rows = dict(map(_row, models))
    if len(rows) < len(models):
        raise ValueError(f"two models of one name among {', '.join(models)}; write NAME=MODEL for one")
    if arguments.reference and arguments.reference not in {*rows, BASELINE}:
        reference, row = _row(arguments.reference)
        rows[reference], arguments = row, arguments._replace(reference=reference)
    if controls:
        rows |= {f"control: {kind}": {"control": kind} for kind in get_args(Control)}
    declarations = [(b, declared_of(b, known)) for b in benchmarks]
    served = [n for n, row in rows.items() if "url" in row]
    if served and (scored := [name for name, declared in declarations if declared.likelihoods]):
        raise ValueError(
            f"--bench {scored[0]} needs log-likelihoods, which the endpoint of {served[0]} does not give"
        )
    raw: dict[str, Any] = {
        "name": name or f"eval-{next(iter(rows), 'nothing').replace(':', '-')}",
        "models": rows,
        "benchmarks": {name: settings_of(declared, arguments) for name, declared in declarations},
        "judges": {arguments.judge.name: judge_entry(arguments.judge, known)} if arguments.judge else {},
    }
    for assignment in overrides:
        loading.override(raw, assignment)
    return loading.suite_of(raw, known, "bench eval")


def judge_suite(judge: JudgeArguments, known: Known) -> Suite:
    """A suite of nothing but a judge, to check it."""
    raw = {"name": "judges", "models": {"none": {"control": "empty"}}, "benchmarks": {}}
    return loading.suite_of(
        raw | {"judges": {judge.name: judge_entry(judge, known)}}, known, "bench judge check"
    )


def _row(typed: str) -> tuple[str, dict[str, Any]]:
    """NAME=MODEL or MODEL; a model is a folder, a hub id, or URL#MODEL."""
    name, equals, value = typed.partition("=")
    given_name, location = (name, value) if equals and "/" not in name else ("", typed)
    if location.startswith(("http://", "https://")):
        url, mark, model = location.partition("#")
        if not mark or not model:
            raise ValueError(f"{location}: which model does it serve? Write {location}#MODEL")
        return given_name or model.rsplit("/", 1)[-1], {"url": url, "model": model}
    if "://" in location:
        raise ValueError(f"{location}: a model at an endpoint begins with http:// or https://")
    return given_name or Path(location.partition("@")[0]).name, {"path": location}


def judge_entry(typed: JudgeArguments, known: Known) -> dict[str, Any]:
    """The entry of a suite's judges; the kinds are asked from the last, which the user may have added."""
    for name, kind in reversed(list(known.judges.items())):
        settings = kind.typed(typed) if kind.typed else {} if typed.model == name else None
        if settings is not None:
            return {KIND: name, **settings}
    raise AssertionError("an endpoint takes any words")


def declared_of(name: str, known: Known) -> Benchmark:
    offered = {n: b.declaration for n, b in known.benchmarks.items() if b.declaration.any_model}
    if name not in offered:
        raise ValueError(f"--bench {name}: no such benchmark; {nearest(name, list(offered))}")
    return offered[name]


def settings_of(declared: Benchmark, arguments: BenchmarkArguments) -> dict[str, Any]:
    """What a suite would say of a benchmark, from the words of the command line."""
    settings, data = dict(declared.defaults), _paths(arguments.data)
    if declared.name in data:
        settings["data"] = data[declared.name]
    if arguments.limit:
        settings["limit"] = arguments.limit
    if declared.judged:
        if arguments.judge is None:
            raise ValueError(f"--bench {declared.name} needs --judge: a model's name, or a folder to serve")
        settings["judge"] = arguments.judge.name
    if issubclass(declared.settings, ComparedSettings) and arguments.reference:
        settings["reference"] = arguments.reference
    return settings


def _paths(typed: Sequence[str]) -> dict[str, str]:
    folders = {}
    for words in typed:
        name, equals, path = words.partition("=")
        if not equals or not Path(path).is_dir():
            raise ValueError(f"--data {words}: must be BENCHMARK=FOLDER, a folder that is there")
        folders[name] = path
    return folders
