"""The docs as a site: every page is found in it, and nothing of it comes from elsewhere.

The site itself is built by `make check`, which ends at a link that leads nowhere.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from harness.cli.pages.suite_page import anchor
from tests.paths import ROOT

SITE = YAML(typ="safe", pure=True).load(ROOT / "mkdocs.yml")
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
PICTURE = DOCS / "data-way.svg"


def named(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for inner in nav.values() if isinstance(nav, dict) else nav:
            yield from named(inner)


def test_every_page_is_in_the_navigation_once() -> None:
    """A new page of docs/ has a line in mkdocs.yml; those of single methods are reached from their list."""
    listed = list(named(SITE["nav"]))
    assert sorted(listed) == [page for page in PAGES if page == "methods/README.md" or "/" not in page]


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert SITE["theme"]["font"] is False
    assert not {"extra_javascript", "extra_css"} & SITE.keys()
    outside = set(re.findall(r'(?:href|src|url)\W+(https?:[^"\')]+)', PICTURE.read_text()))
    assert not outside


@pytest.mark.parametrize("page", PAGES)
def test_a_link_within_the_docs_leads_to_a_page_and_a_heading(page: str) -> None:
    for path, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", (DOCS / page).read_text()):
        target = (DOCS / page).parent / path if path else DOCS / page
        assert target.resolve().is_relative_to(DOCS), f"{path}: the site has docs/ alone; name it in `code`"
        if heading:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            assert heading in {anchor(text) for text in headings}, f"{path}#{heading}"
