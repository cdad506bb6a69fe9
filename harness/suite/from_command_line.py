"""`bench eval` as a suite: models from outside, measured without training anything.

bench eval FOLDER http://127.0.0.1:8000/v1#gpt-x --bench mt-bench,alpaca-eval-2 --judge gpt-4-1106-preview
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from harness.common.suggest import nearest
from harness.suite import loading
from harness.suite.benchmarks import BASELINE, Benchmarks, Compared, Control, Judged
from harness.suite.schema import Suite
from harness.suite.validation import validated

# What a benchmark is given where nothing else is said.
DEFAULTS: dict[str, dict[str, Any]] = {
    "alpaca-eval": {"order": "random"},  # as upstream
    "openllm": {"tasks": ["v1"]},
    "openllm-v2": {"tasks": ["v2"]},
}
OF_TRAINING = ("rule", "implicit-reward", "teacher-reward", "reward", "objective")  # not for any model


class JudgeArguments(NamedTuple):
    """A judge as it is typed: a model's name at an endpoint, or a folder that is served here."""

    model: str
    url: str | None = None
    key_env: str | None = None
    engine: str | None = None

    @property
    def name(self) -> str:
        """What tables call it."""
        return Path(self.model).name if self.served_here else self.model

    @property
    def served_here(self) -> bool:
        """Whether a server is started for it."""
        return Path(self.model).is_dir() or self.engine is not None


def evaluation_suite(
    models: Sequence[str],
    benchmarks: Sequence[str],
    *,
    judge: JudgeArguments | None,
    reference: str | None = None,
    data: Sequence[str] = (),
    limit: int | None = None,
    controls: bool = False,
    name: str | None = None,
    overrides: Sequence[str] = (),
) -> Suite:
    """The suite that measures these models; any fault is one ValueError line."""
    rows = dict(map(_row, models))
    if len(rows) < len(models):
        raise ValueError(f"two models of one name among {', '.join(models)}; write NAME=MODEL for one")
    against = reference
    if reference and reference not in {*rows, BASELINE}:
        against, row = _row(reference)
        rows[against] = row
    if controls:
        rows |= {f"control: {kind}": {"control": kind} for kind in get_args(Control)}
    served = [n for n, row in rows.items() if "url" in row]
    if served and (scored := [b for b in benchmarks if b.startswith("openllm")]):
        raise ValueError(
            f"--bench {scored[0]} needs log-likelihoods, which the endpoint of {served[0]} does not give"
        )
    raw: dict[str, Any] = {
        "name": name or f"eval-{next(iter(rows), 'nothing').replace(':', '-')}",
        "models": rows,
        "benchmarks": {b: _benchmark(b, judge, against, _paths(data), limit) for b in benchmarks},
        "judges": {judge.name: _judge(judge)} if judge else {},
    }
    for given in overrides:
        loading.override(raw, given)
    found: Suite = validated(Suite, raw, "bench eval")
    return found


def judge_suite(judge: JudgeArguments) -> Suite:
    """A suite of nothing but a judge, to check it."""
    raw = {"name": "judges", "models": {"none": {"control": "empty"}}, "benchmarks": {}}
    found: Suite = validated(Suite, raw | {"judges": {judge.name: _judge(judge)}}, "bench judge check")
    return found


def _row(typed: str) -> tuple[str, dict[str, Any]]:
    """NAME=MODEL or MODEL; a model is a folder, a hub id, or URL#MODEL."""
    name, equals, rest = typed.partition("=")
    named, where = (name, rest) if equals and "/" not in name else ("", typed)
    if where.startswith(("http://", "https://")):
        url, mark, model = where.partition("#")
        if not mark or not model:
            raise ValueError(f"{where}: which model does it serve? Write {where}#MODEL")
        return named or model.rsplit("/", 1)[-1], {"url": url, "model": model}
    return named or Path(where.partition("@")[0]).name, {"path": where}


def _judge(typed: JudgeArguments) -> dict[str, Any]:
    if typed.served_here:
        if typed.url:
            raise ValueError(f"--judge {typed.model} is a folder, which is served here: no --judge-url")
        return {"kind": "server", "model": typed.model, "engine": typed.engine or "transformers"}
    told = {"base_url": typed.url, "api_key_env": typed.key_env}
    return {"kind": "openai", "model": typed.model} | {k: v for k, v in told.items() if v}


def _benchmark(
    name: str, judge: JudgeArguments | None, reference: str | None, data: dict[str, str], limit: int | None
) -> dict[str, Any]:
    fields = {f.alias or n: f.annotation for n, f in Benchmarks.model_fields.items()}
    known = [n for n in fields if n not in OF_TRAINING]
    if name not in known:
        raise ValueError(f"--bench {name}: no such benchmark; {nearest(name, known)}")
    kind = next(t for t in fields[name].__args__ if t is not type(None))  # type: ignore[union-attr]
    given = DEFAULTS.get(name, {}) | ({"data": data[name]} if name in data else {})
    if limit:
        given |= {"limit": limit}
    if issubclass(kind, Judged):
        if judge is None:
            raise ValueError(f"--bench {name} needs --judge: a model's name, or a folder to serve")
        given |= {"judge": judge.name}
    if issubclass(kind, Compared) and reference:
        given |= {"reference": reference}
    return given


def _paths(typed: Sequence[str]) -> dict[str, str]:
    found = {}
    for words in typed:
        name, equals, path = words.partition("=")
        if not equals or not Path(path).is_dir():
            raise ValueError(f"--data {words}: must be BENCHMARK=FOLDER, a folder that is there")
        found[name] = path
    return found
