"""The suites that ship, as `bench suites` lists them and `bench suites show NAME` prints them; and what any
suite may say, as `bench suites keys` prints it.

adpa-llama    1 pair   2 data sets   13 methods   30 rows   mt-bench, alpaca-eval, openllm
              ADPA's main table on LLaMA-3.1-8B > LLaMA-3.2-1B (...)
"""

import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from harness.cli.pages import suite_page
from harness.common.text import aligned
from harness.evaluate import registry
from harness.suite import loading
from harness.suite.schema import row_count

HEAD = ("suite", "pairs", "data sets", "methods", "rows", "benchmarks")


class Shipped(NamedTuple):
    """A suite that ships: how much of each it has, its benchmarks, and the first sentence of its file."""

    suite: str
    pairs: int
    datasets: int
    methods: int
    rows: int
    benchmarks: tuple[str, ...]
    about: str


def catalogue(words: Sequence[str]) -> str:
    """What `bench suites` prints: the list, the suite of `show NAME`, or the keys of `keys [PLACE]`."""
    if not words:
        return listing()
    if len(words) == 2 and words[0] == "show":
        return page(words[1])
    if words[0] == "keys" and len(words) <= 2:
        return suite_page.page(*words[1:])
    allowed = "write `bench suites`, `bench suites show NAME` or `bench suites keys [PLACE]`"
    raise ValueError(f"bench suites {' '.join(words)}: {allowed}")


def for_programs(words: Sequence[str]) -> list[dict[str, Any]]:
    """What `bench suites --json` and `bench suites keys [PLACE] --json` print."""
    if not words:
        return [suite._asdict() for suite in shipped()]
    if words[0] != "keys" or len(words) > 2:
        raise ValueError(f"bench suites {' '.join(words)} --json: nothing, or keys [PLACE]; a suite is YAML")
    return [
        {"section": one.name, "places": one.places, "keys": [key._asdict() for key in one.keys]}
        for one in suite_page.asked(*words[1:])
    ]


def listing() -> str:
    """Every suite as an aligned line, and below it the first sentence of its file."""
    found = shipped()
    rows = [HEAD, *((*map(str, suite[:5]), ", ".join(suite.benchmarks)) for suite in found)]
    indent = " " * (max(len(row[0]) for row in rows) + 2)
    about = ["", *(suite.about for suite in found)]
    lines = zip(aligned(rows, numbers=range(1, len(HEAD) - 1)), about, strict=True)
    return "\n".join(f"{line}\n{indent}{sentence}" if sentence else line for line, sentence in lines)


def shipped() -> list[Shipped]:
    """Every suite that ships, by its name."""
    found = []
    for path in sorted(loading.suite_file("pocket").parent.glob("*.yaml")):
        # Loaded in full, so that a suite which no longer fits the schema is seen in the list.
        loaded = loading.load(path.stem, [], registry.known())
        counts = len(loaded.pairs), len(loaded.datasets), len(loaded.methods), row_count(loaded)
        measured = tuple(loaded.benchmarks.settings_by_name())
        found.append(Shipped(path.stem, *counts, measured, _first_sentence(path)))
    return found


def page(name: str) -> str:
    """A suite's file as it stands, and then those that it extends: what stands first wins.

    ValueError where there is no such suite, or where it is not valid.
    """
    loading.load(name, [], registry.known())
    path = loading.suite_file(name)
    parts = [_text(path).strip()]
    while (base := _extended(path)) is not None:
        parts += [f"# ---- {path.name} extends {base.name} ----", _text(base).strip()]
        path = base
    return "\n\n".join(parts) + "\n"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _first_sentence(path: Path) -> str:
    """The first sentence of the comment that a file begins with."""
    comment = takewhile(lambda line: line.startswith("# "), _text(path).splitlines())
    return re.split(r"(?<=\.) ", " ".join(line.removeprefix("# ") for line in comment))[0]


def _extended(path: Path) -> Path | None:
    """The file that a suite's file extends; None where it stands by itself."""
    # Read as text, since the loader gives what is merged, without comments.
    for line in _text(path).splitlines():
        if line.startswith("extends:"):
            base = line.removeprefix("extends:").partition("#")[0].strip().strip("\"'")
            return loading.base_file(path, base)
    return None
