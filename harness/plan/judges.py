"""Judges as parts of a plan: what of a judge is identity, and where it is asked."""

from typing import Any, NamedTuple

from benchmarks.judge_check.declaration import DATA_SET as GOLD
from harness.evaluate import benchmark_files
from harness.evaluate.judge_check import KIND
from harness.models import loading
from harness.plan.context import PlanContext
from harness.store.step import Part, Step, StepKind
from harness.suite.benchmarks import ExternalModel, Judge
from harness.suite.schema import RULE

WHERE = ("base_url", "api_key_env", "timeout", "concurrency", "attempts", "tokens_field")


class Asked(NamedTuple):
    """A judge in a step: its settings, inputs and context."""

    settings: dict[str, Any]
    inputs: dict[str, Step | Part]
    context: dict[str, Any]


def of(setting: PlanContext, name: str) -> Asked:
    """The judge of that name. Where it is asked is context; who it is, its seed and guard are identity."""
    if name == RULE and name not in setting.suite.judges:
        return Asked({"kind": RULE}, {"judge": setting.world()}, {})
    spec = setting.suite.judges[name]
    settings: dict[str, Any] = {
        "kind": spec.kind,
        "model": spec.model,
        "seed": spec.seed,
        "guard": spec.guarded(),
        "max_tokens": spec.max_tokens,
    }
    if spec.kind == "server":
        settings |= {"engine": spec.engine, "model": loading.fingerprint(spec.model)}
    return Asked(settings, {}, {"endpoint": endpoint(spec)})


def endpoint(spec: Judge | ExternalModel) -> dict[str, Any]:
    """Where and how a judge, or a row that an endpoint answers for, is asked."""
    if isinstance(spec, ExternalModel):
        spec = Judge(model=spec.model or "", base_url=spec.url or "", api_key_env=spec.api_key_env)
    server = {"engine": spec.engine} if spec.kind == "server" else {}
    return {k: getattr(spec, k) for k in ("model", *WHERE)} | server


def step_of(
    setting: PlanContext, judge: str, prompt: str, data: str | None, repeats: int, limit: int | None
) -> Step:
    """The step that checks a judge of the suite with a benchmark's prompt."""
    who = of(setting, judge)
    settings = {"judge": who.settings, "prompt": prompt, "repeats": repeats, "limit": limit}
    gold = setting.folder(data or str(benchmark_files.find(GOLD)), "data")
    label, context = f"check of {judge} with {prompt}", {**setting.how, **who.context}
    inputs = {"data": gold, **who.inputs}
    kind = StepKind(KIND, dict, dict, "harness.evaluate.judge_check:run")
    return kind.step(label, settings, inputs, context)
