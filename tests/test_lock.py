"""requirements.lock is constraints.txt with hashes, and these pin all that `make install` brings."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.paths import ROOT

CONSTRAINTS, LOCK = (ROOT / name for name in ("constraints.txt", "requirements.lock"))
OWN_BUILD = {"torch"}  # each machine's own


def pinned() -> dict[str, str]:
    lines = (line.partition("==") for line in CONSTRAINTS.read_text().splitlines() if "==" in line)
    return {canonicalize_name(name): version for name, _, version in lines}


def needed(given: list[str], seen: set[str], extras: tuple[str, ...] = ("",)) -> Iterator[str]:
    """The names that requirements stand for on this machine, with all that these need."""
    for requirement in map(Requirement, given):
        name = canonicalize_name(requirement.name)
        told = requirement.marker
        if told and not any(told.evaluate({"extra": extra}) for extra in extras):
            continue
        key = f"{name}{sorted(requirement.extras)}"
        if key in seen:
            continue
        seen.add(key)
        try:
            below = requires(name) or []
        except PackageNotFoundError:
            continue
        yield name
        # It is installed for a file of its data, without what it needs.
        if name != "llama-index-core":
            yield from needed(below, seen, ("", *requirement.extras))


def test_the_lock_holds_the_pinned_versions_with_hashes_and_no_address() -> None:
    entries = re.split(r"\n(?=\S)", LOCK.read_text().strip())
    locked = {}
    for entry in entries:
        first, *rest = entry.replace("\\", "").split()
        name, _, version = first.partition("==")
        locked[canonicalize_name(name)] = version
        assert rest and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in rest), first
    assert locked == {n: v for n, v in pinned().items() if n not in OWN_BUILD}, "`make lock` writes it anew"
    assert not any("://" in file.read_text() for file in (CONSTRAINTS, LOCK))


def test_what_a_development_environment_needs_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    given = [*project["dependencies"], *extras["dev"]]
    for requirement in map(Requirement, extras["dev"]):
        if requirement.name == project["name"]:
            given += [x for extra in requirement.extras for x in extras[extra]]
    given = [x for x in given if Requirement(x).name != project["name"]]
    missing = set(needed(given, set())) - pinned().keys()
    assert not missing, f"constraints.txt lacks {', '.join(sorted(missing))}; add them, then `make lock`"
