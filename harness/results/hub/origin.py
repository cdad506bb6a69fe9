"""Where a trained model comes from, read off the records of the artifacts behind it.

A model or data set of the hub is known by its name and commit, one of this machine by its content's hash.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from harness.data.chat_format import TOKENIZER
from harness.data.prepare import DIALOGUES, PAIRS, TEXT
from harness.models.prepare import INIT, LINK
from harness.store import maintenance
from harness.store.store import Store
from harness.train.costs import TRAIN
from harness.train.select_checkpoint import SELECT

Record = Mapping[str, Any]
EARLIER = {TRAIN.name: "start", SELECT.name: "trained", TOKENIZER.name: "model"}  # input that it goes on from
READ = (PAIRS.name, DIALOGUES.name, TEXT.name)


class Source(NamedTuple):
    """A model or data set from outside: what it is here, its hub id or "", its commit or hash."""

    what: str
    name: str
    repository: str
    revision: str
    folder: Path


class Data(NamedTuple):
    """Data that had a part in a model: the rows that were used, those that were read, and why any was not."""

    source: Source
    rows: int
    read: int
    dropped: Mapping[str, int]


@dataclass(frozen=True)
class Origin:
    """The stages from a base model on, the models of others beside it, and all data; `template` is the chat
    template that the suite gave, None where each tokenizer's own was used.
    """

    base: Source
    stages: tuple[Record, ...]
    models: tuple[Source, ...]
    data: tuple[Data, ...]
    template: str | None = None


def origin(folder: Path, store: Store) -> Origin:
    """The origin of the model in a folder of the store."""
    by_id = {one.id: one for one in maintenance.artifacts(store) if one.record}
    start = by_id[folder.name.rpartition("-")[2]]
    behind = list(_behind(start.id, by_id, {}))
    stages: list[Record] = []
    one = start
    while (key := EARLIER.get(one.kind)) and one.record:
        if one.kind == TRAIN.name:
            stages.insert(0, one.record)
        before = by_id.get(_id(one.record["inputs"][key]))
        if before is None:
            raise ValueError(f"{one.folder}: what it was made from is gone; the same run makes it")
        one = before
    outside = [a for a in behind if a.kind in (LINK.name, INIT.name) and _is_model(a.record)]
    return Origin(
        base=_source(one),
        stages=tuple(stages),
        models=tuple(_source(a) for a in outside if a.id != one.id),
        data=tuple(_data(a) for a in behind if a.kind in READ),
        template=next((t for a in behind if a.record and (t := a.record["settings"].get("template"))), None),
    )


def _is_model(record: Record | None) -> bool:
    return record is not None and record["settings"].get("kind", "model") == "model"


def _behind(
    number: str, by_id: Mapping[str, maintenance.Artifact], seen: dict[str, None]
) -> Iterator[maintenance.Artifact]:
    """An artifact and all that it was made of, inputs first, each once; what is no more in the store is left
    out.
    """
    if number in seen or number not in by_id:
        return
    seen[number] = None
    record = by_id[number].record or {}
    for source in record["inputs"].values():
        yield from _behind(_id(source), by_id, seen)
    yield by_id[number]


def _id(source: str) -> str:
    return source.partition("/")[0]  # "049f946ede3d/chosen"


def _source(one: maintenance.Artifact) -> Source:
    assert one.record
    settings = one.record["settings"]
    known = str(settings.get("fingerprint") or "")
    name, _, commit = known.partition("@")
    path = settings.get("path") or settings.get("file") or one.label.removeprefix("model ")
    hub = bool(commit)
    return Source(one.label, name if hub else path, name if hub else "", commit or known, one.folder)


def _data(one: maintenance.Artifact) -> Data:
    assert one.record
    measured = one.record["measured"]
    rows = measured.get("chosen", measured).get("sequences", 0)  # a pair counts once
    return Data(_source(one), rows, measured.get("read", rows), measured.get("dropped", {}))
