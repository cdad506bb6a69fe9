"""What calls cost: the table, a user's file over it, and typical sizes."""

import subprocess
import sys

import pytest

from harness.endpoints import prices
from harness.endpoints.prices import Price, Usage
from tests.paths import ROOT


def test_a_users_file_adds_models_and_overrides_prices(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("gpt-4o: {input: 1, output: 2.5}\norg/mine: {input: 0, output: 0}\n")
    shipped, merged = prices.load(), prices.load(file)

    assert merged["gpt-4o"] == Price(1.0, 2.5) != shipped["gpt-4o"]
    assert merged["org/mine"] == Price(0.0, 0.0) and "org/mine" not in shipped
    assert {m: p for m, p in merged.items() if m not in ("gpt-4o", "org/mine")} == {
        m: p for m, p in shipped.items() if m != "gpt-4o"
    }


def test_an_empty_file_changes_nothing(tmp_path):
    (tmp_path / "empty.yaml").write_text("# no prices yet\n")

    assert prices.load(tmp_path / "empty.yaml") == prices.load()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gpt-4o: 3\n", "gpt-4o"),
        ("- gpt-4o\n", "must map a model to"),
        ("gpt-4o: {input: 1}\n", "gpt-4o.output"),
        ("gpt-4o: {input: 1, output: dear}\n", "gpt-4o.output"),
        ("gpt-4o: {input: 1, output: 2, cached: 3}\n", "gpt-4o.cached"),
        ("gpt-4o: {input: -1, output: 2}\n", "gpt-4o.input"),
        ("gpt-4o: {input: .nan, output: 2}\n", "gpt-4o.input"),
        ("gpt-4o: {input: .inf, output: 2}\n", "gpt-4o.input"),
        ("gpt-4o: {input: 1, output: 2\n", "not YAML"),
        ("a: {input: 1, output: 2}\na: {input: 1, output: 2}\n", "not YAML"),
        ("\x00", "not YAML"),
        (b"\xff\xfe\xff", "not UTF-8"),
    ],
)
def test_a_bad_file_is_one_line_that_names_the_place(tmp_path, text, told):
    file = tmp_path / "bad.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=told) as caught:
        prices.load(file)

    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"{file}:")


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    for path, told in ((tmp_path / "absent.yaml", "no price file"), (tmp_path, "no price file")):
        with pytest.raises(ValueError, match=told) as caught:
            prices.load(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_usd_by_hand():
    """AlpacaEval 2 with gpt-4-1106-preview: 1.0 M in at 10 and 805 out at 30 per million: 10.02415 USD."""
    table = {"gpt-4-1106-preview": Price(10.0, 30.0), "own": Price(0.0, 0.0)}

    assert prices.usd(table, "gpt-4-1106-preview", Usage(805, 1_000_000, 805)) == pytest.approx(10.02415)
    assert prices.usd(table, "own", Usage(1, 10**9, 10**9)) == 0.0
    assert prices.usd(table, "gpt-4", Usage(1, 1, 1)) is None


def test_every_price_that_ships_is_dearer_for_output_and_none_is_free():
    table = prices.load()

    assert table["gpt-4-1106-preview"] == Price(10.0, 30.0)
    assert all(0 < p.input < p.output for p in table.values())


def test_prices_are_read_without_torch_or_openai():
    heavy = {"torch", "openai", "transformers", "numpy"}
    code = f"import sys, harness.endpoints.prices; print({heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert run.stdout == "set()\n"
