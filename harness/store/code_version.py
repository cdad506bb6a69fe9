"""The built-in code that a step runs, as digests of its files: {"harness.signals.stored": "3f9c01d2ab77"}."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.common.files import sha256

# Modules of steps' functions by what records from before a move call them.
FORMER: dict[str, list[str]] = json.loads(Path(__file__).with_name("former_modules.json").read_text())


def recorded_digest(sources: Mapping[str, str], module: str) -> str | None:
    """The digest of a module in a record, which may know it by a former name; None where it names none."""
    return next((sources[name] for name in (module, *FORMER.get(module, ())) if name in sources), None)


def sources(run: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """The modules of a step's function ("harness.train.step:run") and of its formula ("methods.dpo.loss")."""
    modules = [run.partition(":")[0], ".".join(settings.get("formula", "").split(".")[:2])]
    return {m: _digest(m) for m in modules if m.split(".")[0] in ("harness", "methods")}


@cache
def _digest(module: str) -> str:
    spec = find_spec(module)
    assert spec and spec.origin, module
    return sha256(Path(spec.origin))[:12]
