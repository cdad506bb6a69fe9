"""Every artifact of a store: `bench store ls`."""

import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import NamedTuple

from harness.common.text import aligned, size
from harness.store.integrity import RECORD
from harness.store.maintenance import artifacts, recordless, undone
from harness.store.store import DAMAGED, Store


class Listed(NamedTuple):
    """An artifact as it is listed: bytes of its own, seconds since it was made, how many others stand on it,
    and whether its version is one that no plan uses.
    """

    kind: str
    artifact: str
    id: str
    label: str
    bytes: int
    age: float
    used_by: int
    version: int | None
    outdated: bool


class Contents(NamedTuple):
    """A store: its artifacts, how many steps lie unfinished, how many damaged artifacts were replaced, and
    the folders in the place of artifacts that have no record.
    """

    artifacts: list[Listed]
    unfinished: int
    damaged: int
    recordless: list[str]


def contents(store: Store, versions: Mapping[str, Collection[int]]) -> Contents:
    """What a store holds. `versions` are those of each kind of step that are made today."""
    known = artifacts(store)
    users: dict[str, int] = defaultdict(int)
    for one in known:
        # By the records alone: an artifact that a suite still wants is not known here.
        for source in {i.partition("/")[0] for i in (one.record or {}).get("inputs", {}).values()}:
            users[source] += 1
    found = []
    for one in known:
        age, version = time.time() - (one.folder / RECORD).stat().st_mtime, (one.record or {}).get("version")
        old = version is not None and version not in versions.get(one.kind, ())
        name = one.kind, one.folder.name, one.id, one.label
        found.append(Listed(*name, one.size, age, users[one.id], version, old))
    lost = [f"{folder.parent.name}/{folder.name}" for folder in recordless(store)]
    return Contents(found, len(undone(store)), len(list(store.root.glob(f"{DAMAGED}/*"))), lost)


def text(held: Contents) -> str:
    """A line for each artifact, and one for all."""
    rows = [("kind", "artifact", "size", "age", "used by", "label")]
    for one in held.artifacts:
        label = f"{one.label} (version {one.version}, which no plan uses)" if one.outdated else one.label
        used = str(one.used_by or "-")
        rows.append((one.kind, one.artifact, size(one.bytes), _age(one.age), used, label))
    total, outdated = sum(one.bytes for one in held.artifacts), sum(one.outdated for one in held.artifacts)
    undone = f"unfinished: {held.unfinished}; damaged, replaced: {held.damaged}"
    all_told = f"{len(held.artifacts)} artifacts, {size(total) or '0 B'}"
    lost = [f"{folder}: no {RECORD}, so it counts as not there" for folder in held.recordless]
    return "\n".join([*aligned(rows), *lost, f"{all_told}; {undone}; of older versions: {outdated}"])


def _age(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
