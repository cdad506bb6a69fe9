"""Whose a method's parts and numbers are, as its card says.

    paper: Eq. 9-10    release: ADPA, student_adpa.yaml    other: TVKD fork, vanilakd.yaml    ours: as DPO's

`paper` and `release` are those of the method's authors or of the tables that it stands in, `other` is anybody
else's; after `ours:` stands why, or what it is taken from. A source holds for the value beside it alone.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, NamedTuple, get_args

from methods.api import Method, Rollouts
from methods.batch import ViewName

WHOSE = ("paper", "release", "other", "ours")
NOT_SAID = "not said"
SAMPLED: tuple[ViewName, ...] = ("teacher_rollout", "student_rollout", "policy_rollout")
# What no entry decides for itself, where its table does not either.
OF_THE_SUITE = dict.fromkeys(("data", "starts_from", "selection", "evaluation"), "ours: the suite's")
ADPA_TABLES = {
    "data": "paper: ADPA, Sec. 4",
    "starts_from": "paper: ADPA, Sec. 4",
    "selection": "release: ADPA, valid_with_rm",
    "evaluation": "paper: ADPA, tables",
}
# Hyper-parameters that say what is read or sampled, and not what is computed of it.
OF_DATA = {
    *("states", "preferred", "dispreferred"),
    *("samples", "responses", "temperature", "top_p", "iterations", "batches", "passes"),
}


class Sourced(NamedTuple):
    """A line of a card: `whose` is one of WHOSE or NOT_SAID, `where` is "" where `ours` says all."""

    part: str
    setting: str
    value: Any
    whose: str
    where: str

    @property
    def source(self) -> str:
        return ": ".join(filter(None, (self.whose, self.where)))


def card(method: Method) -> tuple[Sourced, ...]:
    """Every part and number of a method with its source; ValueError for a source of nothing, or of nobody."""
    rows = tuple(_rows(method))
    known = {row.setting for row in rows}
    for name, source in method.sources.items():
        if name not in known | OF_THE_SUITE.keys() | set(get_args(ViewName)):
            raise ValueError(f"{method.name}: sources: no setting {name!r}{_near(name, known)}")
        _split(method, name, source)
    return rows


def numbers(method: Method) -> list[Sourced]:
    """The lines of a card that are settings: of the loss, the sampling and the optimizer."""
    own = {"loss", *OF_THE_SUITE}
    return [row for row in card(method) if row.setting not in own]


def _rows(method: Method) -> Iterator[Sourced]:
    needs = method.needs(method.hparams)
    yield _row(method, "loss", "loss", method.formula)
    for name, value in _settings(method.hparams):
        if name not in OF_DATA:
            yield _row(method, "loss", name, value)
    yield _row(method, "data", "data", ", ".join(needs.views))
    yield _row(method, "data", "starts_from", method.starts_from)
    for view in SAMPLED:
        if view in needs.views:
            yield _row(
                method, "data", view, "sampled" if view == "policy_rollout" else _drawn(needs.rollouts)
            )
    for name, value in _settings(method.hparams):
        if name in OF_DATA:
            yield _row(method, "data", name, value)
    for name, value in _settings(method.training):
        yield _row(method, "schedule", name, value, method.training.source)
    for part in ("selection", "evaluation"):
        yield _row(method, part, part, "the suite's")


def _drawn(how: Rollouts) -> str:
    several = f"{how.samples} of a prompt, " if how.samples > 1 else ""
    nucleus = f", top_p {how.top_p}" if how.top_p < 1 else ""
    return several + (f"temperature {how.temperature}{nucleus}" if how.temperature else "greedy")


def _row(method: Method, part: str, setting: str, value: Any, default: str = NOT_SAID) -> Sourced:
    source = method.sources.get(setting, OF_THE_SUITE.get(setting, default))
    return Sourced(part, setting, value, *_split(method, setting, source))


def _settings(settings: Any) -> Iterator[tuple[str, Any]]:
    """A dataclass's fields by name, but for those that a record has not, or has not at their default."""
    for f in fields(settings):
        value = getattr(settings, f.name)
        if f.metadata.get("recorded", True) and not (f.metadata.get("optional") and value == f.default):
            yield f.name, value


def _split(method: Method, setting: str, source: str) -> tuple[str, str]:
    whose, _, where = source.partition(": ")
    if whose not in (*WHOSE, NOT_SAID) or (whose in WHOSE[:-1] and not where):
        forms = ", ".join(f'"{one}: WHERE"' for one in WHOSE)
        raise ValueError(f'{method.name}: sources: {setting}: given {source!r}; allowed: {forms}, "ours"')
    return whose, where


def _near(name: str, known: Mapping[str, object] | set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
