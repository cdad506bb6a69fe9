"""Running a plan: one step after the other in this process; what is done is never done again."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from harness.store import Step, Store


class Watcher(Protocol):
    """Is told what runs."""

    def begin(self, step: Step) -> None:
        """A step starts."""

    def end(self, step: Step, seconds: float) -> None:
        """A step is done."""


def run(steps: Sequence[Step], store: Store, watcher: Watcher) -> None:
    """Make every step that is not done, in order."""
    store.sweep()
    for step in steps:
        if store.find(step):
            continue
        watcher.begin(step)
        began = time.perf_counter()
        store.make(step)
        watcher.end(step, time.perf_counter() - began)


def why(step: Step, store: Store) -> str:
    """Why a step would run, "" for one that is done: what differs from the nearest artifact of the same
    label.
    """
    if store.find(step):
        return ""
    alike = [r for r in store.records(step.kind) if r["label"] == step.label]
    if not alike:
        return "new"
    told = [differences(r, step) for r in alike]
    return ", ".join(sorted(told, key=len)[0]) or "new"


def differences(record: Mapping[str, Any], step: Step) -> list[str]:
    """The fields in which a step differs from a finished artifact, "key old -> new" or "input changes"."""
    old, new = _flat(record["settings"]), _flat(step.settings)
    told = [
        f"{k} {old.get(k, '-')} -> {new.get(k, '-')}"
        for k in sorted({*old, *new})
        if old.get(k) != new.get(k)
    ]
    inputs = record["inputs"]
    changed = [k for k in sorted({*inputs, *step.input_ids}) if inputs.get(k) != step.input_ids.get(k)]
    named = [
        f"{k} changes ({step.sources[k].label})" if k in step.sources else f"{k} is gone" for k in changed
    ]
    version = [f"version {record['version']} -> {step.version}"] if record["version"] != step.version else []
    return told + named + version


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
