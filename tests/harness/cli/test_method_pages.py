"""The page of each method: made from the method, and in docs/methods as the code says it."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

import methods
from harness.cli.pages import method_pages
from methods import sources
from tests.bench_command import bench
from tests.paths import ROOT


def test_the_pages_of_the_docs_are_what_the_code_says(tmp_path: Path) -> None:
    """After a change: bench methods --write docs/methods"""
    method_pages.write(methods.BUILT_IN, tmp_path)
    kept = ROOT / "docs" / "methods"
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in kept.iterdir()}
    for page in tmp_path.iterdir():
        assert page.read_text() == (kept / page.name).read_text(), page.name


def test_every_entry_is_listed_with_paper_needs_and_cost() -> None:
    lines = method_pages.listing(methods.BUILT_IN).splitlines()[1:]
    assert len(lines) == len(methods.BUILT_IN)
    for line, method in zip(lines, methods.BUILT_IN, strict=True):
        assert line.startswith(method.name + " ") and method.paper in line
        assert all(view in line for view in method.needs(method.hparams).views)


@pytest.mark.parametrize(
    ("name", "cost"),
    [
        ("SFT", "student"),
        ("SimPO", "student"),
        ("DPO", "reference"),
        ("TDPO", "reference"),
        ("DCKD", "teacher"),
        ("ADPA[chosen]", "teacher"),
        ("SeqKD", "rollouts"),
        ("ADPA", "rollouts"),
        ("PAD", "rollouts"),
        ("GKD", "online"),
        ("DPPO[token]", "online"),
    ],
)
def test_the_cost_class_is_that_of_the_dearest_thing_a_method_needs(name: str, cost: str) -> None:
    assert method_pages.cost(methods.registry()[name]) == cost


@pytest.mark.parametrize("method", methods.BUILT_IN, ids=lambda m: m.name)
def test_a_page_holds_the_settings_and_their_source(method: methods.Method) -> None:
    page = method_pages.page(method)
    for field in fields(method.hparams):
        assert f"| {field.name} | {getattr(method.hparams, field.name)} |" in page
    assert f"| lr | {method.training.lr} |" in page
    assert method.starts_from in page and method.about in page


@pytest.mark.parametrize("method", methods.BUILT_IN, ids=lambda m: m.name)
def test_the_card_of_a_page_fits_a_terminal_of_80_columns(method: methods.Method) -> None:
    card = method_pages.page(method).split("\n## Sources\n")[1].splitlines()
    assert [line for line in card if len(line) > 80] == []
    assert sum(line.startswith("| ") for line in card) == len(sources.card(method)) + 2


def test_the_command_says_whose_every_number_of_adpa_is() -> None:
    shown = bench("methods", "ADPA").stdout
    assert "| loss | gamma_beta | 0.1 | ours |" in shown
    assert "| schedule | lr | 5e-07 | release: ADPA, student_adpa.yaml |" in shown
    assert "| selection | selection | the suite's | release: ADPA, valid_with_rm |" in shown


def test_the_command_lists_the_numbers_that_are_ours_in_80_columns() -> None:
    lines = bench("methods", "--sources").stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    told = [line.split() for line in lines]
    assert ["ADPA", "gamma_beta", "0.1"] in told and ["KTO", "epochs", "1.0"] in told
    assert ["Q-softmax", "KD", "batch_size", "128", "as", "ADPA's"] in told
    assert not any(words[:2] in (["ADPA", "lr"], ["KTO", "lr"]) for words in told)


def test_the_command_gives_every_card_as_json() -> None:
    known = json.loads(bench("methods", "--json").stdout)
    assert [m["name"] for m in known] == [m.name for m in methods.BUILT_IN]
    [adpa] = json.loads(bench("methods", "ADPA", "--json").stdout)
    assert adpa["card"][1] == {
        "part": "loss",
        "setting": "gamma_beta",
        "value": 0.1,
        "whose": "ours",
        "where": "",
    }


def test_two_forms_at_once_are_refused() -> None:
    refused = bench("methods", "--json", "--sources")
    assert refused.returncode == 2 and "--sources and --json: one of them" in refused.stderr


def test_the_command_prints_a_page_and_writes_all_of_them(tmp_path: Path) -> None:
    shown = bench("methods", "PAD[3x4]")
    assert shown.returncode == 0 and "The stage is run 3 times" in shown.stdout
    written = bench("methods", "--write", str(tmp_path / "pages"))
    assert written.returncode == 0, written.stderr
    assert len(list((tmp_path / "pages").iterdir())) == len(methods.BUILT_IN) + 1


def test_pages_have_nothing_that_a_terminal_obeys(tmp_path: Path) -> None:
    own = replace(methods.get("DPO", methods.registry()), about="red \x1b[31m", paper="\x07 bell")
    method_pages.write([own], tmp_path)
    for page in tmp_path.iterdir():
        assert "\\x07 bell" in page.read_text() and "\x1b" not in page.read_text()
