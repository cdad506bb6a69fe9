"""Looking after a store: what is in it, whether it is whole, what nobody needs, and models for elsewhere."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from benchmarks.json_files import json_lines
from harness.common.files import check_new, discard
from harness.common.suggest import meant, nearest
from harness.common.text import size
from harness.store.integrity import RECORD, faults, read_record
from harness.store.locks import RUN
from harness.store.step import ID
from harness.store.store import BEGUN, DAMAGED, KEPT, PARTIAL, VERIFIED, Store

NO_SUITES = ("judge-check",)  # kinds that belong to a judge rather than to a suite
ASIDE = (PARTIAL, KEPT, DAMAGED)  # folders of what is no artifact
PLANNED = re.compile(rf"([a-z-]+-)?[0-9a-f]{{{ID}}}")  # a step as a plan prints it
BEGINNING = re.compile(r"[a-z-]+-[0-9a-f]{4,}")  # of such a one
NOT_OF_THE_MODEL = (RECORD, "training.json", "selection.json")


class RunStep(BaseModel):
    """A row of a run's steps.jsonl, as far as it is read here."""

    id: str


@dataclass(frozen=True)
class Artifact:
    """A finished folder of the store and its record; None where it cannot be read."""

    folder: Path
    record: Mapping[str, Any] | None

    @property
    def id(self) -> str:
        return self.folder.name.rpartition("-")[2]

    @property
    def kind(self) -> str:
        return self.folder.parent.name

    @property
    def label(self) -> str:
        return str(self.record["label"]) if self.record else "?"

    @property
    def size(self) -> int:
        """Bytes of its own files; what links lead to is not counted."""
        if self.folder.is_symlink():
            return 0
        inside = (Path(top) / name for top, _, names in os.walk(self.folder) for name in names)
        return sum(path.lstat().st_size for path in inside)


def artifacts(store: Store) -> list[Artifact]:
    """Every finished artifact, by kind and name."""
    found = []
    for folder in folders(store):
        record = None
        with contextlib.suppress(OSError, ValueError):
            record = read_record(folder)
        found.append(Artifact(folder, record))
    return found


def folders(store: Store) -> list[Path]:
    """The folder of every finished artifact, by kind and name."""
    return sorted(p.parent for p in store.root.glob(f"*/*/{RECORD}") if p.parts[-3] not in ASIDE)


def recordless(store: Store) -> list[Path]:
    """Folders in the place of artifacts that have no record: whoever needs one makes it again."""
    found = (p for p in store.root.glob(f"*/*-{'[0-9a-f]' * ID}") if p.parent.name not in ASIDE)
    return sorted(p for p in found if (p.is_dir() or p.is_symlink()) and not (p / RECORD).exists())


class Damage(NamedTuple):
    """A file that is not as it was published, "" where the whole artifact cannot be checked."""

    artifact: str
    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.artifact}/{self.file}: {self.what}" if self.file else f"{self.artifact}: {self.what}"


def damaged(store: Store) -> Iterator[Damage]:
    """Every file that is not as it was published, and every artifact that cannot be checked."""
    for one in artifacts(store):
        where = f"{one.kind}/{one.folder.name}"
        yield from (Damage(where, *fault) for fault in faults(one.folder))
    for folder in recordless(store):
        yield Damage(f"{folder.parent.name}/{folder.name}", RECORD, "missing")


def damage_lines(damages: Mapping[Path, str], store: Store) -> Iterator[str]:
    """A line for each damaged artifact: what is wrong, and how many others were made from it."""
    inputs = _inputs(store) if damages else {}
    for folder, damage in damages.items():
        stand = len(_made_from(inputs, folder.name[-ID:]))
        yield (
            f"damaged, so it is made again: {folder.parent.name}/{folder.name}: {damage}; "
            f"{stand} finished artifacts were made from it and stay"
        )


def other_bytes_lines(damages: Mapping[Path, str], store: Store) -> Iterator[str]:
    """A line for each damaged artifact that has other bytes than before, now that it is made again."""
    inputs = _inputs(store) if damages else {}
    for folder in damages:
        again = store.record(folder).get("recomputed", {"same_bytes": True})
        if not again["same_bytes"] and (others := _made_from(inputs, folder.name[-ID:])):
            yield (
                f"{folder.parent.name}/{folder.name}: has other bytes than before it was damaged, of which "
                f"{len(others)} artifacts were made: {', '.join(sorted(others))}"
            )


def _inputs(store: Store) -> dict[str, set[str]]:
    """The ids that each artifact was made of, by its record."""
    return {
        one.id: {i.partition("/")[0] for i in (one.record or {}).get("inputs", {}).values()}
        for one in artifacts(store)
    }


def _made_from(inputs: Mapping[str, set[str]], of: str) -> set[str]:
    """The ids of the artifacts that stand on one, near or far."""
    found: set[str] = set()
    while more := {i for i, sources in inputs.items() if sources & (found | {of})} - found:
        found |= more
    return found


def unreferenced(store: Store, wanted: set[str] | None) -> list[Path]:
    """What nobody needs: unfinished work that nobody is at, and where `wanted` says which steps are needed,
    artifacts of others. OSError while a run is at work in the store.
    """
    held = store.locks.held()
    if runs := [owner for name, owner in held.items() if name.startswith(f"{RUN}.")]:
        who = ", ".join(f"{owner.host} process {owner.pid}" for owner in runs)
        raise OSError(f"{store.root}: a run is at work there ({who}); nothing was removed")
    known = artifacts(store)
    done = {one.id for one in known}
    found = [p for p in sorted(store.root.glob(f"{DAMAGED}/*")) if BEGUN.match(p.name)]
    for folder in undone(store):
        number = folder.name.partition(".")[0]
        # What a killed step has kept is no rubbish while someone may run it again.
        goes_on = folder.parent.name == KEPT and number not in done and (not wanted or number in wanted)
        if number not in held and not goes_on:
            found.append(folder)
    found += [folder for folder in recordless(store) if folder.name[-ID:] not in held]
    if wanted is not None:
        found += [
            one.folder
            for one in known
            if one.id not in wanted | set(held) and one.folder.parent.name not in NO_SUITES
        ]
    return found


def remove(store: Store, folders: Sequence[Path]) -> None:
    """Remove folders; each is out of sight at once, so that a kill leaves no half of one behind."""
    aside = store.root / PARTIAL
    aside.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        number = folder.name[:ID] if folder.parent.name in ASIDE else folder.name[-ID:]
        gone = aside / f"{number}.removed.{os.getpid()}"
        folder.rename(gone)
        if folder.parent.name not in ASIDE:
            (store.root / VERIFIED / number).unlink(missing_ok=True)
        discard(gone)  # a run that starts now sweeps it too


class Removable(NamedTuple):
    """A folder as `bench store gc` names it."""

    folder: str
    bytes: int

    def __str__(self) -> str:
        return f"{self.folder}  {size(self.bytes) or '0 B'}"


def removable(folder: Path, store: Store) -> Removable:
    """A folder of the store, which is there."""
    return Removable(str(folder.relative_to(store.root)), Artifact(folder, None).size)


def model(name: str, runs: Path, *, first_seed: bool = False) -> Path:
    """The artifact of a trained model, whole. `name` is a label, the name or the beginning of the id of an
    artifact, or RUN/METHOD, of whose seeds `first_seed` takes the least; ValueError in one line.
    """
    store = Store(runs / "store")
    models = [a for a in artifacts(store) if (a.folder / "config.json").exists()]
    several = all_named(name, runs, models, "trained model") if first_seed else []
    if len({a.label for a in several}) == 1:
        models = [min(several, key=_seed)]
        name = models[0].folder.name
    found = named(name, runs, models, "trained model")
    if damage := store.damage(found.folder):
        raise ValueError(f"{found.folder}: {damage}; the run that made it makes it again")
    return found.folder


def export(name: str, runs: Path, to: Path) -> Path:
    """Copy a trained model to a folder of its own, as transformers reads it. Returns the artifact; ValueError
    in one line.
    """
    check_new(to)
    folder = model(name, runs)
    aside = to.with_name(f"{to.name}.partial-{os.getpid()}")
    discard(aside)
    aside.mkdir(parents=True)
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name not in NOT_OF_THE_MODEL and path.suffix != ".jsonl":
            # Copies rather than links: the store may be cleared, or lie on another disk.
            shutil.copyfile(path, aside / path.name)
    aside.rename(to)
    return folder


def named(name: str, runs: Path, known: Sequence[Artifact], what: str = "artifact") -> Artifact:
    """The one artifact that is meant; ValueError where none or several are."""
    found = all_named(name, runs, known, what)
    if len(found) > 1:
        raise ValueError(
            f"{name}: there are {len(found)}, name one: {', '.join(a.folder.name for a in found)}"
        )
    return found[0]


def all_named(name: str, runs: Path, known: Sequence[Artifact], what: str) -> list[Artifact]:
    """The artifacts that are meant: by a folder's name, with or without its kind's, KIND-ID as a plan prints
    it, an id or four digits of it, a label, or RUN/METHOD; ValueError where none are.
    """
    found = [a for a in known if name in (a.folder.name, f"{a.kind}/{a.folder.name}")]
    run, _, method = name.rpartition("/")
    if run and not found:
        known, name = _of_run(run, runs, known, name), method
    name = meant(name, [a.label for a in known])
    found = found or [a for a in known if name in (a.label, a.folder.name.rpartition("-")[0])]
    # A label wins over an id that happens to begin alike; three digits are too few to mean one.
    found = found or [a for a in known if BEGINNING.fullmatch(name) and f"{a.kind}-{a.id}".startswith(name)]
    found = found or [a for a in known if len(name) > 3 and a.id.startswith(name)]
    if not found and PLANNED.fullmatch(name):
        why = "it is not made yet, and --plan says why it would run"
        raise ValueError(f"no {what} {name!r} in {runs / 'store'}: {why}")
    if not found:
        names = dict.fromkeys([*sorted(a.label for a in known), *(a.folder.name for a in known)])
        unread = [f"{a.kind}/{a.folder.name}" for a in known if a.record is None]
        hint = f"; the label of {unread[0]} is not known, as its {RECORD} cannot be read" if unread else ""
        raise ValueError(f"no {what} {name!r}; {nearest(name, list(names))}{hint}")
    return found


def _seed(made: Artifact) -> int:
    seed = (made.record or {}).get("settings", {}).get("seed", 0)
    return seed if isinstance(seed, int) else 0  # of a record that was altered, which is told after


def _of_run(run: str, runs: Path, known: Sequence[Artifact], name: str) -> list[Artifact]:
    """The artifacts of a finished run."""
    rows = runs / run / "steps.jsonl"
    if not rows.is_file():
        have = [p.parent.name for p in sorted(runs.glob("*/steps.jsonl"))]
        raise ValueError(f"{name}: no finished run {run} in {runs}; {nearest(run, have)}")
    of_run = {row["id"] for row in json_lines(rows, RunStep, "a run's steps")}
    if not of_run:
        raise ValueError(f"{rows}: holds no steps; the same `bench run` writes it anew")
    return [a for a in known if a.id in of_run]


def undone(store: Store) -> list[Path]:
    """What lies there of steps that are not done."""
    begun = [p for p in store.root.glob(f"{PARTIAL}/*") if BEGUN.match(p.name)]
    return sorted([*begun, *store.root.glob(f"{KEPT}/{'[0-9a-f]' * ID}")])
