"""What made an artifact: whether the code is still the same, and in what it differs from another one.

Code is not in an id: a change of meaning bumps a step's version. A source that has changed since is reported.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from harness.store.code_version import recorded_digest, sources
from harness.store.maintenance import Artifact, artifacts, named
from harness.store.step import Step
from harness.store.store import Store

Record = Mapping[str, Any]


def changed_code_line(steps: Iterable[Step], store: Store) -> str:
    """One line on finished steps that other code has made; "" where there are none."""
    other: Counter[str] = Counter()
    for step in steps:
        if folder := store.find(step):
            then = store.record(folder).get("sources", {})
            other.update(
                m
                for m, digest in sources(step.kind.run, step.settings_record).items()
                if recorded_digest(then, m) not in (None, digest)
            )
    if not other:
        return ""
    named = ", ".join(f"{module} ({count})" for module, count in sorted(other.items()))
    return f"finished steps of other code than is here, kept since no version says otherwise: {named}"


def artifact_differences(one: str, two: str, store: Store) -> list[str]:
    """Lines on what two artifacts differ in, and, indented below an input, in what that differs.

    ValueError for a name (maintenance.named) that none or several have.
    """
    known = artifacts(store)
    a, b = _named(one, known, store), _named(two, known, store)
    if a["id"] == b["id"]:
        return [f"{one} and {two} are one artifact"]
    by_id = {artifact.id: artifact.folder for artifact in known}
    return list(_differences(a, b, lambda i: store.record(by_id[i]) if i in by_id else None, set(), ""))


def _named(name: str, known: Sequence[Artifact], store: Store) -> Record:
    return store.record(named(name, store.root.parent, known).folder)


def _differences(
    a: Record, b: Record, of: Callable[[str], Record | None], seen: set[tuple[str, str]], indent: str
) -> Iterator[str]:
    """Each pair of inputs is looked into once."""
    for name in ("kind", "version", "label"):
        if a[name] != b[name]:
            yield f"{indent}{name} {a[name]} -> {b[name]}"
    yield from (f"{indent}{line}" for line in _changed_settings(a["settings"], b["settings"]))
    for key in sorted({*a["inputs"], *b["inputs"]}):
        was, now = a["inputs"].get(key, "-"), b["inputs"].get(key, "-")
        if was == now:
            continue
        yield f"{indent}{key} {was} -> {now}"
        ids = was.partition("/")[0], now.partition("/")[0]
        inner = of(ids[0]), of(ids[1])
        if inner[0] and inner[1] and ids[0] != ids[1] and ids not in seen:
            seen.add(ids)
            yield from _differences(inner[0], inner[1], of, seen, indent + "    ")


def dotted_settings(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings with nested names joined by dots."""
    dotted: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            dotted |= dotted_settings(value, f"{prefix}{key}.")
        else:
            dotted[f"{prefix}{key}"] = value
    return dotted


def _changed_settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """A line "key old -> new" for each setting that differs, "-" where there is none."""
    old, new = dotted_settings(one), dotted_settings(other)
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield f"{key} {old.get(key, '-')} -> {new.get(key, '-')}"


def reason_to_run(step: Step, store: Store) -> str:
    """Why a step would run, "" for one that is done: what differs from the nearest artifact of the same
    label.
    """
    if store.find(step):
        return ""
    if damages := store.damages([step]):
        return f"damaged: {', '.join(damages.values())}"
    alike = [r for r in store.records(step.kind.name) if r["label"] == step.label]
    if not alike:
        return "new"
    # The nearest by the number of changed fields is what a person has most likely edited.
    return ", ".join(sorted((step_differences(r, step) for r in alike), key=len)[0]) or "new"


def step_differences(record: Mapping[str, Any], step: Step) -> list[str]:
    """The fields in which a step differs from a finished artifact, "key old -> new" or "input changes"."""
    changes = list(_changed_settings(record["settings"], step.settings_record))
    inputs = record["inputs"]
    for key in sorted({*inputs, *step.input_ids}):
        if inputs.get(key) != step.input_ids.get(key):
            known = key in step.sources
            changes.append(f"{key} changes ({step.sources[key].label})" if known else f"{key} is gone")
    if record["version"] != step.kind.version:
        changes.append(f"version {record['version']} -> {step.kind.version}")
    return changes
