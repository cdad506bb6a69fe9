"""The built-in code that a step runs, as digests of its files: {"harness.signals.stored": "3f9c01d2ab77"}."""

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.common.files import sha256

# Modules of steps' functions by what records from before a move call them.
FORMER = {
    "harness.data.prepare": "harness.prepare",
    "harness.evaluate.answers": "harness.answers",
    "harness.evaluate.judge_check": "harness.judge_check",
    "harness.evaluate.judgments": "harness.judgments",
    "harness.evaluate.openllm": "harness.openllm",
    "harness.models.prepare": "harness.prepare",
    "harness.signals.diverse_responses": "harness.group",
    "harness.signals.output_head": "harness.signals",
    "harness.signals.preference_probes": "harness.probes",
    "harness.signals.reward_model": "harness.reward",
    "harness.signals.rollouts": "harness.rollouts",
    "harness.signals.stored": "harness.signals",
    "harness.train.select_checkpoint": "harness.select",
    "harness.train.step": "harness.train",
}


def recorded_digest(sources: Mapping[str, str], module: str) -> str | None:
    """The digest of a module in a record, which may know it by its former name; None where it names none."""
    return sources.get(module) or sources.get(FORMER.get(module, module))


def sources(run: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """The modules of a step's function ("harness.train.step:run") and of its formula ("methods.dpo.loss")."""
    modules = [run.partition(":")[0], ".".join(settings.get("formula", "").split(".")[:2])]
    return {m: _digest(m) for m in modules if m.split(".")[0] in ("harness", "methods")}


@cache
def _digest(module: str) -> str:
    spec = find_spec(module)
    assert spec and spec.origin, module
    return sha256(Path(spec.origin))[:12]
