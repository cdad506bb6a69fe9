"""Judges as parts of a plan: what of a judge is identity, and where it is asked."""

from typing import Any, NamedTuple

from harness import models
from harness.benchmark_specs import Judge, Outside
from harness.setting import Setting
from harness.store import Part, Step
from harness.suite import RULE

WHERE = ("base_url", "api_key_env", "timeout", "concurrency", "attempts", "tokens_field")


class Asked(NamedTuple):
    """A judge in a step: its settings, inputs and context."""

    settings: dict[str, Any]
    inputs: dict[str, Step | Part]
    context: dict[str, Any]


def of(setting: Setting, name: str) -> Asked:
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
        settings |= {"engine": spec.engine, "model": models.fingerprint(spec.model)}
    return Asked(settings, {}, {"endpoint": endpoint(spec)})


def endpoint(spec: Judge | Outside) -> dict[str, Any]:
    """Where and how a judge, or a row that an endpoint answers for, is asked."""
    if isinstance(spec, Outside):
        spec = Judge(model=spec.model or "", base_url=spec.url or "", api_key_env=spec.api_key_env)
    server = {"engine": spec.engine} if spec.kind == "server" else {}
    return {k: getattr(spec, k) for k in ("model", *WHERE)} | server
