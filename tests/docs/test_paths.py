"""Files and modules that the pages name are there."""

import importlib
import re

import pytest

from tests.paths import ROOT

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")]
    if path.name != "CHANGELOG.md"
)
TOP = "harness|methods|benchmarks|reports|tests|examples|docs"


@pytest.mark.parametrize("page", PAGES)
def test_paths_and_modules_of_a_page_are_there(page: str) -> None:
    text = (ROOT / page).read_text()
    for path in re.findall(rf"`((?:{TOP})/[\w./*-]*)`", text):
        assert list(ROOT.glob(path.rstrip("/"))), path
    for path in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text):
        assert (ROOT / page).parent.joinpath(path).exists(), path
    for name in re.findall(
        r"`((?:harness|reports)(?:\.\w+)+)(?:\(\))?`", text
    ):  # "methods.DPO" is a suite's key
        assert _exists(name), name


def _exists(name: str) -> bool:
    """Whether it is a module, or what a module holds; a name with a file's ending is none."""
    module, _, last = name.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), last) or bool(importlib.import_module(name))
    except ModuleNotFoundError:
        return False
