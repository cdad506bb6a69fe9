"""docs/suite.md: every key of a suite, as the schema has it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from harness.cli.pages import suite_page
from harness.cli.pages.key_words import NEEDED, Key
from harness.suite import loading
from tests.bench_command import bench
from tests.paths import ROOT, TINY

PAGE = ROOT / "docs" / "suite.md"
SECTIONS = suite_page.sections()
PRESETS = [*sorted(loading.suite_file("pocket").parent.glob("*.yaml")), Path(TINY)]


def test_the_page_is_what_the_schema_says() -> None:
    """After a change: bench suites keys > docs/suite.md"""
    assert PAGE.read_text() == suite_page.page() + "\n"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name or "suite")
def test_every_key_says_what_it_means(section: suite_page.Section) -> None:
    for key in section.keys:
        name = f"{section.name}.{key.name}"
        mend = f"{name}: write one sentence, as a docstring below its field"
        assert key.says.endswith("."), f"{mend}; then: bench suites keys > docs/suite.md"
        assert key.allowed, f"{name}: harness/cli/pages/key_words.py has no word for its type"


def keys_at(place: str) -> dict[str, Key]:
    (section,) = [one for one in SECTIONS if place in one.places]
    return {key.name: key for key in section.keys}


@pytest.mark.parametrize(
    ("place", "name", "allowed", "default"),
    [
        ("", "max_length", "integer > 1", "`1024`"),
        ("", "chat_template", "text", "-"),
        ("", "extends", "text", "-"),
        ("", "too_long", "drop, truncate_response, truncate_prompt", "`drop`"),
        ("world", "questions", "integer >= 8 and <= 10000000 and a multiple of 8", "`400`"),
        ("datasets.NAME.sft", "layout", "auto, messages, sharegpt, alpaca", "`auto`"),
        ("datasets.NAME.validation", "skip", "integer >= 0", "`0`"),
        ("datasets.NAME.sft", "pack", "true, false", "`false`"),
        ("methods.NAME.training.lora", "targets", "all-linear or list of text (1 or more)", "`all-linear`"),
        ("pairs.NAME.teacher.dpo", "beta", "number > 0", "`0.01`"),
        ("judges.NAME, kind: openai", "model", "text", NEEDED),
        ("judges.NAME, kind: openai", "base_url", "text", "`https://api.openai.com/v1`"),
        ("judges.NAME, kind: openai", "concurrency", "integer > 0", "`16`"),
        ("judges.NAME, kind: server", "timeout", "number > 0", "`600.0`"),
        ("benchmarks.openllm", "num_fewshot", "integer >= 0", "-"),
        ("benchmarks.alpaca-eval", "reference", "list of text (1 or more)", '`["baseline"]`'),
    ],
)
def test_a_key_has_its_type_range_and_default(place: str, name: str, allowed: str, default: str) -> None:
    key = keys_at(place)[name]
    assert (key.allowed, key.default) == (allowed, default)


def stated(raw: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each key of a suite's file, and where it stands; hyper-parameters are their method's."""
    for name, value in raw.items():
        if len(place) != 2 or place[0] != "methods" or name in loading.RECIPE:
            yield place, name
        if isinstance(value, dict) and (*place, name) != ("tuning", "methods"):
            yield from stated(value, (*place, name))


def is_at(place: str, path: tuple[str, ...]) -> bool:
    names = place.partition(",")[0].split(".") if place else []
    return len(names) == len(path) and all(n in (suite_page.ANY, p) for n, p in zip(names, path, strict=True))


@pytest.mark.parametrize("file", PRESETS, ids=lambda path: path.stem)
def test_no_key_of_a_suite_that_ships_is_missing(file: Path) -> None:
    mappings = {"pairs", "datasets", "models", "judges", "methods", "benchmarks", "seeds"}
    for path, name in stated(YAML(typ="safe", pure=True).load(file)):
        if len(path) == 1 and path[0] in mappings:  # a name of the suite's own
            continue
        found = [one for one in SECTIONS if any(is_at(place, path) for place in one.places)]
        assert any(key.name == name for one in found for key in one.keys), (path, name)


def test_links_lead_to_headings() -> None:
    text = PAGE.read_text()
    headings = {suite_page.anchor(h) for h in re.findall("^## (.*)$", text, re.M)}
    links = set(re.findall(r"\(#([^)]+)\)", text))
    assert links and links <= headings


def test_the_command_prints_all_of_it_or_a_part() -> None:
    whole, part = bench("suites", "keys"), bench("suites", "keys", "judges")
    assert whole.stdout == PAGE.read_text()
    assert part.stdout.startswith("## judges.NAME, kind: openai")
    assert "## benchmarks" not in part.stdout and "`base_url`" in part.stdout


def test_a_key_is_found_wherever_it_stands() -> None:
    one = suite_page.page("concurrency")
    assert re.findall("^## (.*)$", one, re.M) == ["judges.NAME, kind: openai", "judges.NAME, kind: server"]
    assert one.count("`concurrency`") == 2 and "`model`" not in one


def test_a_key_that_is_none_is_a_line_with_the_nearest() -> None:
    wrong = bench("suites", "keys", "judgs")
    assert wrong.returncode == 2
    assert wrong.stderr == "bench: no key 'judgs'; did you mean 'judges'?\n"
