"""Rows of several runs as those of one: all of them, or one method of each."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from reports.records import run_folder
from reports.records.comparable import Told, check
from reports.records.merge import merged
from reports.records.rows import MethodRow
from reports.records.run_folder import Rows
from reports.records.texts import read_steps
from reports.tables.table import check_row

Own = TypeVar("Own", bound=MethodRow)


def together(folders: Sequence[Path]) -> Rows:
    """The rows of runs as those of one; ValueError where they were asked or judged in two ways."""
    read = {folder.name: _read(folder) for folder in folders}
    check(read)
    return merged({name: told.rows for name, told in read.items()})


def chosen(of: Sequence[tuple[Path, str]]) -> tuple[Rows, str]:
    """A method of each of some runs, as rows of one table, and what the first is called there."""
    read = {folder.name: _read(folder) for folder, _ in of}
    check(read)
    runs, wanted = {}, dict[str, list[str]]()
    for folder, typed in of:
        names = dict.fromkeys(r.method for r in read[folder.name].rows.records)
        method = next((name for name in names if name.lower() == typed.lower()), typed)
        check_row(method, list(names))
        wanted.setdefault(folder.name, []).append(method)
    places = {run: _place(run, read[run].rows, methods) for run, methods in wanted.items()}
    pair, dataset = (" / ".join(dict.fromkeys(p[part] for p in places.values())) for part in (0, 1))
    for run, place in places.items():
        runs[run] = _moved(read[run].rows, place, (pair, dataset))
    rows = merged(runs)
    known = {r.method for r in rows.records}
    called = [
        next(name for name in (f"{method} ({folder.name})", method) if name in known)
        for (folder, _), method in zip(of, (m for ms in wanted.values() for m in ms), strict=True)
    ]
    if len(set(called)) < len(of):
        raise ValueError(f"{called[0]}: the same model in both runs; nothing to compare")
    return _only(rows, called), called[0]


def _read(folder: Path) -> Told:
    return Told(run_folder.read(folder), read_steps(folder / "steps.jsonl"))


def _place(run: str, rows: Rows, methods: Sequence[str]) -> tuple[str, str]:
    """The pair and data set that methods of a run are of."""
    places = dict.fromkeys((r.pair, r.dataset) for r in rows.records if r.method in methods)
    if len(places) > 1:
        named = ", ".join(" on ".join(place) for place in places)
        raise ValueError(f"{run}: {', '.join(methods)} is of several pairs or data sets there: {named}")
    return next(iter(places))


def _moved(rows: Rows, place: tuple[str, str], to: tuple[str, str]) -> Rows:
    """The rows of one pair and data set, under another pair and data set."""

    def own(group: Sequence[Own], /) -> list[Own]:
        return [replace(r, pair=to[0], dataset=to[1]) for r in group if (r.pair, r.dataset) == place]

    return rows.of_each_kind(own)._replace(counts=[])


def _only(rows: Rows, methods: Sequence[str]) -> Rows:
    def own(group: Sequence[Own], /) -> list[Own]:
        return [r for r in group if r.method in methods]

    return rows.of_each_kind(own)
